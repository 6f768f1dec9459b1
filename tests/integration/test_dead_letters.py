"""Dead letters on a real Kafka: listed, shown, and replayed exactly once, whatever is killed."""

import gzip
import json
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from batch.__main__ import main as batch
from consumer.__main__ import main as consumer
from shared.dead_letters import ATTEMPT, origin_of, read_headers, reason_of
from shared.deadline import Deadline
from shared.errors import AnswerIsNo
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.topics import TopicSpec, create_topics
from shared.kafka.writer import Writer
from shared.replay_log import log_topic
from tests.support.commands import command, running
from tests.support.models import threshold_model
from tests.support.topics import Pipeline, make_pipeline

pytestmark = pytest.mark.broker

KEY = {"name": "customer_id", "type": "integer"}


def event(customer: int, feature: float, **more: Any) -> bytes:
    return json.dumps({"customer_id": customer, "feature": feature, **more}).encode()


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A model that takes no feature above 1."""
    inputs = [KEY, {"name": "feature", "type": "number", "maximum": 1.0}]
    return threshold_model(tmp_path / "strict", inputs=inputs)


@pytest.fixture
def mended(tmp_path: Path) -> Path:
    """The next version, whose bounds are wider."""
    inputs = [KEY, {"name": "feature", "type": "number", "maximum": 10.0}]
    return threshold_model(tmp_path / "mended", inputs=inputs, version="2")


def reach(pipeline: Pipeline) -> list[str]:
    """What every command for these letters is told."""
    return [
        *("--bootstrap-servers", pipeline.kafka.bootstrap_servers),
        *("--dead-letter-topic", pipeline.dead_letters),
    ]


def replay(pipeline: Pipeline, model: Path, *more: str) -> list[str]:
    """The command line of a replay."""
    topics = ("--input-topic", pipeline.events, "--output-topic", pipeline.predictions)
    return ["dead-letters", "replay", *reach(pipeline), *topics, "--model", str(model), "--json", *more]


def replayed(pipeline: Pipeline, model: Path, *more: str) -> dict[str, Any]:
    """What a replay says of itself."""
    done = command("consumer", *replay(pipeline, model, "--create-topics", *more))
    assert done.code == 0, done.errors
    said: dict[str, Any] = json.loads(done.output)
    return said


def reject(pipeline: Pipeline, model: Path, values: Sequence[bytes | None]) -> None:
    """Sends events and lets the consumer score them, however many it rejects."""
    pipeline.send(values)
    done = command(
        "consumer", *pipeline.options(model, "--max-events", str(len(values)), "--reject-limit", "1")
    )
    assert done.code == 0, done.errors


def letters(pipeline: Pipeline) -> Counter[tuple[str, str, int]]:
    """Position, reason and attempt of each letter as it stands."""
    told = [
        read_headers(columns.headers[row])
        for columns in pipeline.read(pipeline.dead_letters)
        for row in range(len(columns))
    ]
    return Counter((origin_of(one).position, str(reason_of(one)), int(one[ATTEMPT])) for one in told)


def test_a_mended_model_scores_the_letters_and_each_event_counts_once(
    kafka: KafkaSettings, strict: Path, mended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = make_pipeline(kafka)
    values = [event(n, n / 10) for n in range(21)] + [b"junk \x1b[2J", event(1, 11)]
    reject(pipeline, strict, values)
    first = letters(pipeline)
    assert Counter(reason for _, reason, _ in first) == {"out_of_range": 11, "not_json": 1}
    [junk] = [position for position, reason, _ in first if reason == "not_json"]

    dry = replayed(pipeline, mended, "--dry-run")
    assert (dry["scored"], dry["rejected_again"], letters(pipeline)) == (10, 2, first)
    chosen = replayed(pipeline, mended, "--reason", "out_of_range")
    assert chosen["changes"] == [
        {"before": "out_of_range", "after": "scored", "letters": 10},
        {"before": "out_of_range", "after": "out_of_range", "letters": 1},
    ]
    assert chosen["left_alone"] == {"filtered": 1}
    rest = replayed(pipeline, mended, "--max-attempts", "2")
    assert rest["changes"] == [{"before": "not_json", "after": "not_json", "letters": 1}]
    assert rest["left_alone"] == {"replayed": 11, "tried_out": 1}
    assert replayed(pipeline, mended, "--max-attempts", "2")["replayed"] == 0

    predictions = pipeline.scored()
    ids = Counter(prediction["prediction_id"] for prediction in predictions)
    assert (len(ids), set(ids.values())) == (21, {1})
    by_customer = {prediction["customer_id"]: prediction for prediction in predictions}
    assert [by_customer[n]["model"] for n in (10, 11, 20)] == ["threshold@1", "threshold@2", "threshold@2"]
    for columns in pipeline.read(pipeline.predictions):
        for key, value in zip(columns.keys, columns.values, strict=True):
            prediction = json.loads(value or b"")
            number = int(key or b"")
            place = f"{pipeline.events}/{number % 3}/{number // 3}"
            assert (prediction["prediction_id"], columns.partition) == (place, number % 3)
    again = letters(pipeline) - first
    assert sorted((reason, attempt) for _, reason, attempt in again) == [("not_json", 2), ("out_of_range", 2)]

    snapshot, scored = tmp_path / "snapshot", tmp_path / "scored"
    near = reach(pipeline)[:2]
    assert batch(["export", pipeline.events, "--model", str(mended), "--output", str(snapshot), *near]) == 0
    assert batch(["score", str(snapshot), "--model", str(mended), "--output", str(scored)]) == 0
    capsys.readouterr()
    code = batch(["compare", f"topic:{pipeline.predictions}", str(scored), *reach(pipeline), "--json"])
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert (code, counts["identical"], counts["rejected_alike"]) == (0, 21, 2)

    _list_and_show(pipeline, junk, capsys)


def _list_and_show(pipeline: Pipeline, junk: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the other commands say after the replays of the test above."""
    writer = Writer(pipeline.kafka)
    writer.write(NewRecords(pipeline.dead_letters, 0, [None], [b"not a letter"], time.time_ns() // 1_000_000))
    writer.flush(Deadline.after(20))
    writer.close(Deadline.after(5))

    def said(*arguments: str) -> str:
        capsys.readouterr()
        assert consumer(["dead-letters", *arguments, *reach(pipeline)]) == 0
        return capsys.readouterr().out

    rows = [json.loads(line) for line in said("list", "--json").splitlines()]
    assert Counter((row["reason"], row["attempt"], row["replay"]) for row in rows) == {
        ("out_of_range", 1, "scored"): 10,
        ("out_of_range", 1, "rejected_again"): 1,
        ("not_json", 1, "rejected_again"): 1,
        ("out_of_range", 2, "waiting"): 1,
        ("not_json", 2, "waiting"): 1,
    }
    newest = [json.loads(line) for line in said("list", "--json", "--limit", "2").splitlines()]
    assert {row["attempt"] for row in newest} == {2}
    assert [row["position"] for row in newest if row["reason"] == "not_json"] == [junk]
    partition = junk.split("/")[1]
    summary = json.loads(said("list", "--summary", "--json", "--partition", partition))
    letters = [row for row in rows if row["letter"].split("/")[1] == partition]
    assert sum(group["letters"] for group in summary["groups"]) == len(letters)
    summary = json.loads(said("list", "--summary", "--json", "--by-model", "threshold@1"))
    assert summary["not_letters"] == 1
    assert {group["reason"]: group["letters"] for group in summary["groups"]} == {
        "out_of_range": 11,
        "not_json": 1,
    }
    table = said("list", "--limit", "1", "--since", "1d")
    assert (
        "14 letters, 2 waiting to be replayed; the newest 1 are shown; not letters of Tandem's: 1." in table
    )

    shown = json.loads(said("show", junk, "--json"))
    assert [(one["attempt"], one["replay"]) for one in shown["attempts"]] == [
        (1, "rejected_again"),
        (2, "waiting"),
    ]
    assert shown["value"]["text"] == r"junk \x1b[2J"
    assert json.loads(said("show", shown["attempts"][0]["letter"], "--json")) == shown
    assert "\x1b[2J" not in said("show", junk)
    with pytest.raises(AnswerIsNo, match=f"holds no letter of {pipeline.events}/0/999"):
        said("show", f"{pipeline.events}/0/999")


def test_replays_that_are_killed_frozen_and_fenced_replay_each_letter_exactly_once(
    kafka: KafkaSettings, strict: Path, mended: Path
) -> None:
    pipeline = make_pipeline(kafka)
    count = 2_000
    reject(pipeline, strict, [event(n, 5 if n % 10 else 11) for n in range(count)])
    before = letters(pipeline)
    assert len(before) == count
    log = log_topic(pipeline.dead_letters)
    spec = TopicSpec(pipeline.partitions, configs={"cleanup.policy": "compact"})
    create_topics(kafka, {log: spec}, Deadline.after(20))
    # Letters that these make, of the second attempt, wait for the last replay.
    first = ("--max-attempts", "2")
    slow = replay(pipeline, mended, *first, "--batch-events", "1")

    def progress() -> int:
        return sum(map(len, pipeline.read(log)))

    def wait_beyond(done: int) -> int:
        deadline = Deadline.after(60)
        while (now := progress()) <= done:
            assert not deadline.passed, "the replay does not advance"
        return now

    with running("consumer", *slow) as frozen:
        done = wait_beyond(0)
        frozen.process.send_signal(signal.SIGSTOP)
        with running("consumer", *slow) as killed:
            # The frozen one's transaction is ended by the newer one, which then goes on.
            done = wait_beyond(wait_beyond(done))
            killed.process.kill()
            assert killed.wait(30) == -signal.SIGKILL
        assert done < count
        newest = command("consumer", *replay(pipeline, mended, *first, "--batch-events", "400"))
        assert newest.code == 0, newest.errors
        frozen.process.send_signal(signal.SIGCONT)
        assert frozen.wait() == 5, "".join(frozen.lines)
        assert any("taken over" in line for line in frozen.lines)

    assert replayed(pipeline, mended)["replayed"] == count // 10
    ids = Counter(prediction["prediction_id"] for prediction in pipeline.scored())
    assert (len(ids), set(ids.values())) == (count - count // 10, {1})
    again = letters(pipeline) - before
    assert Counter(attempt for _, _, attempt in again) == {2: count // 10, 3: count // 10}
    assert set(again.values()) == {1}
    entries = Counter(
        (entry["position"], entry["attempt"])
        for columns in pipeline.read(log)
        for entry in map(json.loads, filter(None, columns.values))
    )
    assert (len(entries), set(entries.values())) == (count + count // 10, {1})


def test_an_event_whose_letter_goes_without_its_bytes_is_scored_from_its_own_topic(
    kafka: KafkaSettings, strict: Path, mended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = make_pipeline(kafka, partitions=1, event_bytes=50_000)
    # Repeated behind gzip's window, and within that of zstd.
    large = event(7, 5, note=Random(1).randbytes(40_000).hex() * 2)  # noqa: S311 - any bytes will do
    assert len(gzip.compress(large)) > 60_000
    pipeline.send([event(6, 5)])
    pipeline.send([large], compression="zstd")
    options = pipeline.options(strict, "--max-events", "2")
    assert command("consumer", *options).code == 0
    assert [value for columns in pipeline.read(pipeline.dead_letters) for value in columns.values][1] is None
    assert consumer(["dead-letters", "show", f"{pipeline.events}/0/1", "--json", *reach(pipeline)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["value"]["text"] == large.decode()
    assert (shown["attempts"][0]["has_bytes"], shown["attempts"][0]["bytes"]) == (False, len(large))
    assert replayed(pipeline, mended)["scored"] == 2
    assert [prediction["customer_id"] for prediction in pipeline.scored()] == [6, 7]


def test_a_consumer_that_would_reject_most_of_its_topic_stops_before_it_does(
    kafka: KafkaSettings, strict: Path
) -> None:
    pipeline = make_pipeline(kafka)
    pipeline.send([event(n, 0.5) for n in range(300)])
    options = pipeline.options(
        strict, "--reject-window", "300", "--reject-limit", "0.4", "--batch-events", "100"
    )
    assert command("consumer", *options, "--max-events", "300").code == 0
    pipeline.send([event(n, 5) for n in range(3_000)], batch_bytes=2_000)
    stopped = command("consumer", *options, "--until-idle", "2")
    assert stopped.code == 1
    assert "above --reject-limit 0.4: " in stopped.errors
    assert "out_of_range of feature" in stopped.errors
    assert "Traceback" not in stopped.errors
    assert len(letters(pipeline)) < 300
    assert command("consumer", *options, "--until-idle", "2", "--reject-limit", "1").code == 0
    assert len(letters(pipeline)) == 3_000
    assert set(pipeline.committed_content().values()) == {1}
