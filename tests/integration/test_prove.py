"""`python -m batch prove` on a real Kafka: it holds for what the consumer did, and tells each planted fault.

The faults are planted into copies of what one honest consumer wrote, one at a time.
"""

import csv
import json
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch.__main__ import main as batch
from batch.proof.classes import AGREEING, Found
from producer.generate import churn_customers
from shared.deadline import Deadline
from shared.kafka.columns import Header, NewRecords, RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import read_to_end
from shared.kafka.topics import TopicSpec, create_topics
from shared.kafka.writer import Writer
from tests.support.broker import unique
from tests.support.commands import ROOT, command
from tests.support.models import change_model

pytestmark = [pytest.mark.broker, pytest.mark.slow]

PARTITIONS = 2
CUSTOMERS, VISITS = 60, 3
BAD = (b"junk", b'{"customerID": "1-A"}', None, b"\xff")
EVENTS = CUSTOMERS * VISITS + len(BAD)


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a topic of answers, to be changed and written again."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    timestamp: int

    @property
    def said(self) -> dict[str, Any]:
        """The prediction."""
        found: dict[str, Any] = json.loads(self.value or b"")
        return found

    def saying(self, **fields: object) -> "Record":
        """The same prediction with other fields."""
        return replace(self, value=json.dumps(self.said | fields, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class Deployment:
    """What one consumer read and wrote.

    Attributes:
        kafka: Where.
        topic: Its input topic.
        group: Its group.
        predictions: All of its output topic, by partition and offset.
        letters: All of its dead-letter topic.
    """

    kafka: KafkaSettings
    topic: str
    group: str
    predictions: list[Record]
    letters: list[Record]


def write(kafka: KafkaSettings, topic: str, records: list[Record]) -> None:
    """Makes a topic of these records."""
    create_topics(kafka, {topic: TopicSpec(PARTITIONS)}, Deadline.after(20))
    writer = Writer(kafka)
    for partition in range(PARTITIONS):
        there = [record for record in records if record.partition == partition]
        if there:
            keys, values = [record.key for record in there], [record.value for record in there]
            times, headers = [record.timestamp for record in there], [record.headers for record in there]
            writer.write(NewRecords(topic, partition, keys, values, times, headers))
    writer.flush(Deadline.after(20))
    writer.close(Deadline.after(20))


def read(kafka: KafkaSettings, topic: str) -> list[Record]:
    """All that a read-committed reader sees."""

    def records(columns: RecordColumns) -> Iterator[Record]:
        for row, (key, value, at) in enumerate(
            zip(columns.keys, columns.values, columns.timestamps, strict=True)
        ):
            yield Record(columns.partition, key, value, tuple(columns.headers.get(row, ())), at)

    return [record for columns in read_to_end(kafka, topic) for record in records(columns)]


def scored(kafka: KafkaSettings, topic: str, group: str, *more: str | Path) -> None:
    """Runs a consumer until nothing is left."""
    names = ("--input-topic", topic, "--output-topic", f"{group}-p", "--dead-letter-topic", f"{group}-d")
    where = ("--group", group, "--bootstrap-servers", kafka.bootstrap_servers, "--http-port", "0")
    done = command("consumer", *names, *where, *more, "--create-topics", "--until-idle", "1")
    assert done.code == 0, done.errors


@pytest.fixture(scope="module")
def honest(broker: str) -> Deployment:
    """Customers who come three times, and events that cannot be scored, through a real consumer."""
    kafka = KafkaSettings(bootstrap_servers=broker)
    topic = unique("prove")
    customers = churn_customers(11)
    events = []
    for _ in range(CUSTOMERS):
        first = next(customers).event
        for visit in range(VISITS):
            event = first | {
                "tenure": int(first["tenure"]) + visit,
                "event_id": f"{first['event_id']}.{visit}",
            }
            events.append((str(first["customerID"]).encode(), json.dumps(event).encode()))
    # Not long ago: a broker deletes a record that is older than its topic's retention.
    now = time.time_ns() // 1_000_000
    records = [
        Record(key[0] % PARTITIONS, key, value, (), now + number)
        for number, (key, value) in enumerate(events)
    ]
    bad = [Record(number % PARTITIONS, b"bad", value, (), now) for number, value in enumerate(BAD)]
    write(kafka, topic, records[:50] + bad + records[50:])
    scored(kafka, topic, topic, "--model", ROOT / "models/churn")
    return Deployment(kafka, topic, topic, read(kafka, f"{topic}-p"), read(kafka, f"{topic}-d"))


@dataclass(frozen=True, slots=True)
class Proved:
    """What a proof said."""

    code: int
    said: dict[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """The classes that are not well, by name."""
        return {name: count for name, count in self.said["counts"].items() if count and name not in AGREEING}

    @property
    def agreeing(self) -> int:
        """Events on which both paths agree."""
        return sum(self.said["counts"][found] for found in AGREEING)


Prove = Callable[..., Proved]


@pytest.fixture
def prove(honest: Deployment, capsys: pytest.CaptureFixture[str]) -> Prove:
    """Proves the honest deployment, or copies of what it wrote."""

    def run(
        *more: str | Path,
        predictions: list[Record] | None = None,
        letters: list[Record] | None = None,
        models: tuple[Path, ...] = (ROOT / "models/churn",),
    ) -> Proved:
        output, dead = f"{honest.topic}-p", f"{honest.topic}-d"
        if predictions is not None:
            output = unique("planted-p")
            write(honest.kafka, output, predictions)
        if letters is not None:
            dead = unique("planted-d")
            write(honest.kafka, dead, letters)
        names = ("--input-topic", honest.topic, "--output-topic", output, "--dead-letter-topic", dead)
        where = ("--group", honest.group, "--bootstrap-servers", honest.kafka.bootstrap_servers)
        given = [part for model in models for part in ("--model", str(model))]
        code = batch(["prove", *names, *where, *given, "--json", *map(str, more)])
        return Proved(code, json.loads(capsys.readouterr().out))

    return run


def test_it_holds_for_what_an_honest_consumer_wrote(honest: Deployment, prove: Prove) -> None:
    proved = prove()
    assert (proved.code, proved.counts, proved.said["holds"]) == (0, {}, True)
    assert proved.said["counts"]["identical"] == len(honest.predictions) == CUSTOMERS * VISITS
    assert proved.said["counts"]["rejected_alike"] == len(honest.letters) == len(BAD)


def test_another_proof_of_the_same_data_has_the_same_certificate(honest: Deployment, prove: Prove) -> None:
    first = prove().said["certificate"]
    assert prove().said["certificate"] == first
    # A topic of other offsets with the same content is the same evidence.
    assert prove(predictions=honest.predictions).said["certificate"] == first
    assert prove(predictions=honest.predictions[:-1]).said["certificate"] != first


def bits(score: float) -> str:
    """The 64 bits of a score, in hexadecimal."""
    return struct.pack(">d", score).hex()


def only(proved: Proved, found: Found, count: int) -> dict[str, Any]:
    """Asserts that this fault is told and nothing else; returns its first example."""
    assert proved.code == 1
    assert not proved.said["holds"]
    assert proved.counts == {found: count}
    assert proved.agreeing == EVENTS - count
    return next(example for example in proved.said["examples"] if example["found"] == found)


def test_a_flipped_bit(honest: Deployment, prove: Prove) -> None:
    planted = list(honest.predictions)
    score = planted[7].said["score"]
    planted[7] = planted[7].saying(score=float(np.nextafter(score, 1)))
    example = only(prove(predictions=planted), Found.OTHER_BITS, 1)
    assert example["position"] == planted[7].said["prediction_id"]
    assert example["stream"][0]["bits"] == bits(float(np.nextafter(score, 1)))
    assert example["batch"]["bits"] == bits(score)
    assert example["field"] == "score"


def test_a_dropped_prediction(honest: Deployment, prove: Prove) -> None:
    dropped = honest.predictions[20]
    planted = [record for record in honest.predictions if record is not dropped]
    example = only(prove(predictions=planted), Found.MISSING, 1)
    assert example["position"] == dropped.said["prediction_id"]
    assert example["stream"] == []
    assert example["batch"]["score"] == dropped.said["score"]


def test_a_duplicate(honest: Deployment, prove: Prove) -> None:
    planted = [*honest.predictions, honest.predictions[3]]
    example = only(prove(predictions=planted), Found.DUPLICATED, 1)
    assert example["position"] == honest.predictions[3].said["prediction_id"]
    assert len(example["stream"]) == 2


def test_an_answer_under_another_key_or_on_another_partition(honest: Deployment, prove: Prove) -> None:
    planted = list(honest.predictions)
    planted[5] = replace(planted[5], key=b"wrong")
    last = max(place for place, record in enumerate(planted) if record.partition == 0)
    planted[last] = replace(planted[last], partition=1)
    example = only(prove(predictions=planted), Found.MISPLACED, 2)
    assert example["position"] == planted[5].said["prediction_id"]
    assert "under the key 'wrong'" in example["detail"]
    letters = [replace(honest.letters[0], key=None), *honest.letters[1:]]
    only(prove(letters=letters), Found.MISPLACED, 1)


def test_a_swapped_pair_of_a_key(honest: Deployment, prove: Prove) -> None:
    planted = list(honest.predictions)
    first = next(
        place
        for place, record in enumerate(planted)
        if any(other.key == record.key for other in planted[place + 1 :])
    )
    second = next(
        place for place in range(first + 1, len(planted)) if planted[place].key == planted[first].key
    )
    later = planted[second].said["prediction_id"]
    planted[first], planted[second] = planted[second], planted[first]
    proved = prove(predictions=planted)
    example = only(proved, Found.OUT_OF_ORDER, sum(proved.counts.values()))
    assert example["position"] == later
    # Of other customers between them none is told.
    told = {example["position"] for example in proved.said["examples"]}
    assert told <= {record.said["prediction_id"] for record in planted if record.key == planted[first].key}


def test_a_changed_threshold(honest: Deployment, prove: Prove) -> None:
    threshold = honest.predictions[0].said["threshold"] + 0.1
    planted = [
        record.saying(threshold=threshold, churn=record.said["score"] > threshold)
        for record in honest.predictions
    ]
    flipped = sum(
        before.said["churn"] != after.said["churn"]
        for before, after in zip(honest.predictions, planted, strict=True)
    )
    proved = prove("--examples", "1", predictions=planted)
    assert flipped > 0
    assert proved.counts == {"other_decision": flipped, "other_bits": len(planted) - flipped}
    fields = {example["found"]: example["field"] for example in proved.said["examples"]}
    assert fields["other_bits"] == "threshold"


def test_a_float32_detour(honest: Deployment, prove: Prove) -> None:
    planted = [record.saying(score=float(np.float32(record.said["score"]))) for record in honest.predictions]
    changed = sum(
        before.said["score"] != after.said["score"]
        for before, after in zip(honest.predictions, planted, strict=True)
    )
    assert changed > len(planted) / 2
    only(prove(predictions=planted), Found.OTHER_BITS, changed)


def test_an_event_that_only_the_stream_rejected(honest: Deployment, prove: Prove) -> None:
    gone = honest.predictions[0]
    topic, partition, offset = gone.said["prediction_id"].rsplit("/", 2)
    event = next(
        record
        for columns in read_to_end(honest.kafka, topic)
        if columns.partition == int(partition)
        for at, record in zip(columns.offsets, columns.values, strict=True)
        if at == int(offset)
    )
    told = dict(honest.letters[0].headers) | {
        "tandem.partition": partition.encode(),
        "tandem.offset": offset.encode(),
        "tandem.reason": b"not_json",
    }
    letter = replace(
        honest.letters[0], partition=gone.partition, key=gone.key, value=event, headers=tuple(told.items())
    )
    proved = prove(predictions=honest.predictions[1:], letters=[*honest.letters, letter])
    example = only(proved, Found.REJECTED_ON_ONE, 1)
    assert example["stream"][0]["reason"] == "not_json"
    assert example["batch"]["score"] == gone.said["score"]


def test_an_event_that_was_rejected_for_another_reason(honest: Deployment, prove: Prove) -> None:
    told = dict(honest.letters[0].headers) | {"tandem.reason": b"too_deep"}
    planted = [replace(honest.letters[0], headers=tuple(told.items())), *honest.letters[1:]]
    only(prove(letters=planted), Found.REJECTED_OTHERWISE, 1)


def test_a_letter_that_holds_another_event(honest: Deployment, prove: Prove) -> None:
    planted = [replace(honest.letters[0], value=b"other junk"), *honest.letters[1:]]
    only(prove(letters=planted), Found.OTHER_INPUT, 1)


def test_an_answer_of_no_event_breaks_the_books(honest: Deployment, prove: Prove) -> None:
    stray = honest.predictions[0].saying(prediction_id=f"{honest.topic}/0/1000000")
    proved = prove(predictions=[*honest.predictions, stray])
    assert proved.code == 1
    assert (proved.counts, proved.said["conserved"]) == ({}, False)


def test_a_second_model_half_way(honest: Deployment, prove: Prove, tmp_path: Path) -> None:
    """Unknown, its predictions are told; named, the proof holds with both."""
    second = tmp_path / "second"
    shutil.copytree(ROOT / "models/churn", second)
    change_model(second, version="3", threshold=0.4)
    group = unique("second")
    scored(honest.kafka, honest.topic, group, "--model", second)
    half = len(honest.predictions) // 2
    theirs = {record.said["prediction_id"]: record for record in read(honest.kafka, f"{group}-p")}
    planted = [
        record if place < half else theirs[record.said["prediction_id"]]
        for place, record in enumerate(honest.predictions)
    ]
    only(prove(predictions=planted), Found.UNKNOWN_MODEL, len(planted) - half)
    known = prove(predictions=planted, models=(ROOT / "models/churn", second))
    assert (known.code, known.counts) == (0, {})
    assert sorted(model["id"] for model in known.said["models"]) == ["churn@2", "churn@3"]


def test_a_truncated_export(honest: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exports of all three topics prove the same as the topics; one that lost its end is refused by name."""
    where = ("--bootstrap-servers", honest.kafka.bootstrap_servers)
    names = {"events": honest.topic, "predictions": f"{honest.topic}-p", "dead-letters": f"{honest.topic}-d"}
    for role, topic in names.items():
        assert batch(["export", topic, "--output", str(tmp_path / role), *where]) == 0
    given = [part for role in names for part in (f"--{role}", str(tmp_path / role))]
    capsys.readouterr()
    assert batch(["prove", "--model", str(ROOT / "models/churn"), *given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"]
    part = next((tmp_path / "predictions").glob("part-*"))
    part.write_bytes(part.read_bytes()[:-100])
    assert batch(["prove", "--model", str(ROOT / "models/churn"), *given, "--json"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert part.name in said.err


def events_of(honest: Deployment) -> list[dict[str, Any]]:
    """The events that have a prediction."""
    scored = {record.said["prediction_id"] for record in honest.predictions}
    return [
        json.loads(value)
        for columns in read_to_end(honest.kafka, honest.topic)
        for offset, value in zip(columns.offsets, columns.values, strict=True)
        if value is not None and f"{honest.topic}/{columns.partition}/{offset}" in scored
    ]


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A table of the warehouse, as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_table_of_the_same_customers_is_identical_until_it_is_spelt_otherwise(
    honest: Deployment, prove: Prove, tmp_path: Path
) -> None:
    """A comma for a point, and a category in other words: each is told by its input."""
    rows = events_of(honest)
    # The events that were rejected have no id, and are compared with the batch path's answer to their bytes.
    assert prove("--rows", table(tmp_path / "honest.csv", rows)).counts == {}
    comma = [row | {"MonthlyCharges": str(row["MonthlyCharges"]).replace(".", ",")} for row in rows]
    spelt = [row | {"Contract": row["Contract"].replace("One year", "1 year")} for row in rows]
    with_comma = sum("," in row["MonthlyCharges"] for row in comma)
    one_year = sum(row["Contract"] == "1 year" for row in spelt)
    for name, planted, count, field in (
        ("comma", comma, with_comma, "MonthlyCharges"),
        ("spelt", spelt, one_year, "Contract"),
    ):
        assert count > 0
        proved = prove("--rows", table(tmp_path / f"{name}.csv", planted))
        example = only(proved, Found.OTHER_INPUT, count)
        assert example["field"] == field
        differing = {
            one["feature"]: one["mismatched"] for one in proved.said["features"] if one["mismatched"]
        }
        assert differing == {field: count}
