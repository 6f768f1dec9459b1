"""Snapshots of real topics, and comparing what really stands on them."""

import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kafka import KafkaAdminClient, TopicPartition

from batch.__main__ import main
from batch.export import ExportSettings, export
from batch.manifest import MANIFEST_FILE, PartitionRange, Snapshot, read_manifest
from batch.replaying.result import Replay
from batch.sides import TOPIC
from shared.dead_letters import Origin, headers_for
from shared.deadline import Deadline
from shared.errors import ExitCode, InputError
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import Extent, extents
from shared.kafka.writer import Writer
from shared.predict import Predictor
from shared.predictions import PredictionEncoder
from tests.support.broker import unique
from tests.support.models import threshold_model
from tests.support.records import MakeTopic
from tests.support.tables import rejected, scored

pytestmark = pytest.mark.broker

GOOD = [json.dumps({"customer_id": n, "feature": n / 10}).encode() for n in range(10)]
VALUES: list[bytes | None] = [*GOOD[:4], b"not json", None, *GOOD[4:]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


def send(
    kafka: KafkaSettings,
    topic: str,
    partition: int,
    values: list[bytes | None],
    *,
    commit: bool | None = None,
    headers: list[list[tuple[str, bytes | None]]] | None = None,
) -> None:
    """Writes records; `commit` tells whether a transaction around them is committed or aborted."""
    writer = Writer(kafka, transactional_id=None if commit is None else unique("batch"))
    if commit is not None:
        writer.begin()
    keys: list[bytes | None] = [b"k"] * len(values)
    writer.write(NewRecords(topic, partition, keys, values, time.time_ns() // 1_000_000, headers))
    writer.flush(Deadline.after(20))
    if commit:
        writer.commit_transaction()
    elif commit is False:
        writer.abort_transaction()
    writer.close(Deadline.after(5))


def delete_records(kafka: KafkaSettings, topic: str, partition: int, before: int) -> None:
    """Deletes the records of a partition below an offset, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_records({TopicPartition(topic, partition): before})
    admin.close()


def snapshot(kafka: KafkaSettings, topic: str, folder: Path, model: Path | None) -> Snapshot:
    """Exports a topic."""
    return export(
        ExportSettings(
            topic=topic, output=folder, model=model, bootstrap_servers=kafka.bootstrap_servers, part_rows=7
        )
    )


def test_a_snapshot_holds_what_is_committed_and_its_offsets(
    kafka: KafkaSettings, topic_factory: MakeTopic, tmp_path: Path, model: Path
) -> None:
    """Transaction markers and aborted records leave gaps: rows are counted, not offsets."""
    topic = topic_factory("events", partitions=3)
    send(kafka, topic, 0, list(GOOD), commit=True)
    send(kafka, topic, 0, [b"aborted"] * 5, commit=False)
    send(kafka, topic, 0, VALUES, commit=True)
    send(kafka, topic, 2, VALUES)
    manifest = snapshot(kafka, topic, tmp_path / "snapshot", model)
    assert manifest.partitions == [
        PartitionRange(partition=0, start=0, end=30, rows=22),
        PartitionRange(partition=1, start=0, end=0, rows=0),
        PartitionRange(partition=2, start=0, end=12, rows=12),
    ]
    assert manifest.rows == 34
    assert read_manifest(tmp_path / "snapshot") == manifest
    assert [(part.rows, part.partition) for part in manifest.parts] == [
        (7, 0),
        (7, 0),
        (7, 0),
        (1, 0),
        (7, 2),
        (5, 2),
    ]
    rows = [
        row for part in manifest.parts for row in pq.read_table(tmp_path / "snapshot" / part.file).to_pylist()
    ]
    assert [row["value"] for row in rows] == [*GOOD, *VALUES, *VALUES]
    assert {row["key"] for row in rows} == {b"k"}
    assert [row["offset"] for row in rows] == [*range(10), *range(17, 29), *range(12)]
    assert [row["inputs"] is None for row in rows] == [row["value"] not in GOOD for row in rows]


def test_records_that_come_later_are_not_in_a_snapshot(
    kafka: KafkaSettings, topic_factory: MakeTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topic_factory("events")
    send(kafka, topic, 0, list(GOOD))

    def then_more(settings: KafkaSettings, name: str) -> dict[int, Extent]:
        found = extents(settings, name)
        send(kafka, topic, 0, list(GOOD))
        return found

    monkeypatch.setattr("batch.export.extents", then_more)
    manifest = snapshot(kafka, topic, tmp_path / "snapshot", None)
    assert (manifest.rows, manifest.partitions[0].end) == (10, 10)


def test_records_that_retention_deletes_meanwhile_end_a_snapshot(
    kafka: KafkaSettings, topic_factory: MakeTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest would otherwise tell of offsets that no part holds."""
    topic = topic_factory("events", partitions=2)
    for partition in (0, 1):
        send(kafka, topic, partition, list(GOOD))

    def then_fewer(settings: KafkaSettings, name: str) -> dict[int, Extent]:
        found = extents(settings, name)
        delete_records(kafka, topic, partition=1, before=4)
        return found

    monkeypatch.setattr("batch.export.extents", then_fewer)
    with pytest.raises(InputError, match=r"partition 1: the records from offset 0 up to 4 were deleted"):
        snapshot(kafka, topic, tmp_path / "snapshot", None)
    assert not (tmp_path / "snapshot" / MANIFEST_FILE).exists()


def test_two_snapshots_of_the_same_topic_have_the_same_bytes(
    kafka: KafkaSettings, topic_factory: MakeTopic, tmp_path: Path, model: Path
) -> None:
    topic = topic_factory("events", partitions=2)
    for partition in (0, 1):
        send(kafka, topic, partition, VALUES * 3)
    one, two = (snapshot(kafka, topic, tmp_path / name, model) for name in ("one", "two"))
    assert one.parts == two.parts
    assert one.model_copy(update={"run": two.run}) == two


def test_an_empty_topic_gives_a_snapshot_without_rows(
    kafka: KafkaSettings, topic_factory: MakeTopic, tmp_path: Path, model: Path
) -> None:
    manifest = snapshot(kafka, topic_factory("events", partitions=2), tmp_path / "snapshot", model)
    assert (manifest.rows, manifest.parts) == (0, [])
    arguments = ["--model", str(model), "--output", str(tmp_path / "out")]
    assert main(["score", str(tmp_path / "snapshot"), *arguments]) == ExitCode.DONE
    assert scored(tmp_path / "out") == []


def test_a_topic_that_does_not_exist_is_a_sentence(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, reach = unique("nowhere"), ["--bootstrap-servers", kafka.bootstrap_servers]
    assert main(["export", name, "--output", str(tmp_path / "out"), *reach]) == ExitCode.USAGE
    assert f"there is no topic {name!r}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def published(kafka: KafkaSettings, make_topic: MakeTopic, topic: str, model: Path) -> tuple[str, str]:
    """What a consumer would write for VALUES on partition 1: predictions and dead letters."""
    predictions, letters = make_topic("predictions", partitions=2), make_topic("letters", partitions=2)
    predictor = Predictor.load(model)
    outcome = predictor.score_json(VALUES)
    encoded = PredictionEncoder(predictor.model).encode(outcome, f"{topic}/1/", outcome.rows.tolist())
    send(kafka, predictions, 1, list(encoded), commit=True)
    # What was aborted is not there.
    send(kafka, predictions, 1, [b"rubbish"], commit=False)
    headers = [
        headers_for(rejection, Origin(topic, 1, rejection.row, 0), predictor.model.id)
        for rejection in outcome.rejections
    ]
    values = [VALUES[rejection.row] for rejection in outcome.rejections]
    send(kafka, letters, 1, values, commit=True, headers=headers)
    return predictions, letters


def test_a_topic_and_the_score_of_its_snapshot_are_identical(
    kafka: KafkaSettings,
    topic_factory: MakeTopic,
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    topic = topic_factory("events", partitions=2)
    send(kafka, topic, 1, VALUES)
    predictions, letters = published(kafka, topic_factory, topic, model)
    snapshot(kafka, topic, tmp_path / "snapshot", model)
    output, reach = tmp_path / "out", ["--bootstrap-servers", kafka.bootstrap_servers, "--json"]
    assert main(["score", str(tmp_path / "snapshot"), "--model", str(model), "--output", str(output)]) == 0
    assert rejected(output) == {f"{topic}/1/4": "not_json", f"{topic}/1/5": "tombstone"}

    def compare(*arguments: str) -> tuple[int, dict[str, int]]:
        capsys.readouterr()
        code = main(["compare", f"{TOPIC}{predictions}", str(output), *arguments, *reach])
        answer = json.loads(capsys.readouterr().out)
        return code, {name: count for name, count in answer["counts"].items() if count}

    whole = ("--dead-letter-topic", letters)
    assert compare(*whole) == (ExitCode.DONE, {"identical": 10, "rejected_alike": 2})
    # Without their topic the stream's rejections are not known.
    assert compare() == (ExitCode.ANSWER_IS_NO, {"identical": 10, "rejected_on_one": 2})
    # A second prediction for a position, and one for a position that was never there.
    twice = json.dumps(scored(output)[0]).encode()
    send(kafka, predictions, 0, [twice, twice.replace(b"/1/0", b"/1/99")])
    assert compare(*whole) == (
        ExitCode.ANSWER_IS_NO,
        {"identical": 9, "extra": 1, "duplicated": 1, "rejected_alike": 2},
    )


def test_a_topic_of_something_else_is_named(
    kafka: KafkaSettings, topic_factory: MakeTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    topic, reach = topic_factory("events"), ["--bootstrap-servers", kafka.bootstrap_servers]
    send(kafka, topic, 0, list(GOOD))
    sides = (f"{TOPIC}{topic}", f"{TOPIC}{topic}")
    assert main(["compare", *sides, *reach]) == ExitCode.UNREADABLE
    assert f"topic {topic!r}, partition 0, from offset 0 on: not a prediction" in capsys.readouterr().err
    predictions = topic_factory("predictions")
    assert (
        main(["compare", f"{TOPIC}{predictions}", sides[0], "--dead-letter-topic", topic, *reach])
        != ExitCode.DONE
    )
    assert "is no dead letter" in capsys.readouterr().err


def test_history_is_replayed_against_what_the_stream_decided(
    kafka: KafkaSettings,
    topic_factory: MakeTopic,
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From topics and from their snapshots; an event that was not scored yet has no decision to flip."""
    topic, tried = topic_factory("events", partitions=2), threshold_model(tmp_path / "tried", threshold=0.45)
    send(kafka, topic, 1, VALUES, commit=True)
    predictions, _ = published(kafka, topic_factory, topic, model)
    send(kafka, topic, 0, [GOOD[5]], commit=True)
    events, decided = (tmp_path / name for name in ("events", "decided"))
    snapshot(kafka, topic, events, model)
    snapshot(kafka, predictions, decided, None)
    found: list[Replay] = []
    for source, against in (
        (f"{TOPIC}{topic}", f"{TOPIC}{predictions}"),
        (f"{TOPIC}{topic}", str(decided)),
        (str(events), f"{TOPIC}{predictions}"),
        (f"{TOPIC}{topic}", str(model)),
    ):
        capsys.readouterr()
        arguments = ["replay", str(tried), source, "--against", against, "--json"]
        assert main([*arguments, "--bootstrap-servers", kafka.bootstrap_servers]) == ExitCode.DONE
        found.append(Replay.model_validate_json(capsys.readouterr().out))
    streamed, by_model = found[0], found[-1]
    assert (streamed.events, streamed.compared, streamed.newly_scored) == (13, 10, 1)
    # Of 0.0 to 0.9 those between the thresholds 0.45 and 0.6: nothing is above 0.6 that is not above 0.45.
    assert (streamed.all.raised, streamed.all.lowered) == (2, 0)
    assert [one.position for one in streamed.affected] == [f"{topic}/1/7", f"{topic}/1/8"]
    for other in found[1:-1]:
        assert other.model_dump(exclude={"source", "notes"}) == streamed.model_dump(
            exclude={"source", "notes"}
        )
    assert (by_model.compared, by_model.all.raised, by_model.before) == (11, 3, streamed.before)
