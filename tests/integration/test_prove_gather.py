"""The evidence of a proof from a real Kafka: what the group has committed, and all that was said of it."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition

from batch.proof.answers import LETTER
from batch.proof.evidence import Evidence
from batch.proof.fixing import fix
from batch.proof.settings import ProveSettings
from shared.deadline import Deadline
from shared.errors import ConfigurationError, StalledError
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.writer import Writer
from shared.moments import shown_time
from tests.support.broker import unique
from tests.support.commands import command
from tests.support.evidence import gathered, prediction, prove_settings
from tests.support.models import threshold_model
from tests.support.topics import Pipeline, make_pipeline

pytestmark = pytest.mark.broker

GOOD = [json.dumps({"customer_id": n, "feature": n / 40}).encode() for n in range(40)]
VALUES: list[bytes | None] = [*GOOD[:5], b"junk", None, *GOOD[5:]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


def settings_of(pipeline: Pipeline, work: Path | None = None, *more: str) -> ProveSettings:
    """The settings of a proof of what a pipeline did."""
    return prove_settings(
        work,
        *("--bootstrap-servers", pipeline.kafka.bootstrap_servers, "--group", pipeline.name),
        *("--input-topic", pipeline.events, "--output-topic", pipeline.predictions),
        *("--dead-letter-topic", pipeline.dead_letters, *more),
    )


def score(pipeline: Pipeline, model: Path, *more: str) -> None:
    """Lets a consumer score, exactly once."""
    done = command("consumer", *pipeline.options(model, "--reject-limit", "1", *more))
    assert done.code == 0, done.errors


def answered(evidence: Evidence) -> Counter[tuple[int, int]]:
    """How often each event that is covered was answered: 0 for none."""
    found: Counter[tuple[int, int]] = Counter()
    for partition in evidence.partitions:
        for window in evidence.windows(partition):
            found.update({(partition, offset): 0 for offset in window.events.column("offset").to_pylist()})
            found.update((partition, offset) for offset in window.answers.column("offset").to_pylist())
    return found


def test_what_a_group_has_committed_has_its_answers_and_the_rest_is_pending(
    kafka: KafkaSettings, model: Path, tmp_path: Path
) -> None:
    """Half way, and later at the end; a proof that is gone on with covers what it did at first."""
    pipeline = make_pipeline(kafka, partitions=2)
    pipeline.send(VALUES[:20])
    with pytest.raises(ConfigurationError, match="has committed nothing"):
        fix(settings_of(pipeline))
    score(pipeline, model, "--until-idle", "0.5")
    pipeline.send(VALUES[20:])
    halfway = gathered(settings_of(pipeline, tmp_path / "work"))
    assert halfway.plan.pending == 22
    assert answered(halfway) == {(p, offset): 1 for p in (0, 1) for offset in range(10)}
    letters = [
        (window.partition, row["reason"])
        for p in (0, 1)
        for window in halfway.windows(p)
        for row in window.answers.to_pylist()
        if row["kind"] == LETTER
    ]
    assert letters == [(0, "tombstone"), (1, "not_json")]

    score(pipeline, model, "--until-idle", "0.5")
    again = gathered(settings_of(pipeline, tmp_path / "work", "--resume"))
    assert (again.plan, answered(again)) == (halfway.plan, answered(halfway))
    whole = gathered(settings_of(pipeline, tmp_path / "whole"))
    assert whole.plan.pending == 0
    assert answered(whole) == {(p, offset): 1 for p in (0, 1) for offset in range(21)}
    assert (whole.foreign, whole.notes, [whole.outside(p) for p in (0, 1)]) == ({}, [], [0, 0])


def test_a_transaction_that_is_open_is_waited_for(kafka: KafkaSettings, model: Path, tmp_path: Path) -> None:
    """The group's offsets may show its end before the topic of answers does."""
    pipeline = make_pipeline(kafka, partitions=1)
    pipeline.send(GOOD[:4])
    score(pipeline, model, "--until-idle", "0.5")
    writer = Writer(kafka, transactional_id=unique("open"))
    writer.begin()
    value = prediction(0, topic=pipeline.events)
    writer.write(NewRecords(pipeline.predictions, 0, [None], [value], time.time_ns() // 1_000_000))
    writer.flush(Deadline.after(20))
    with pytest.raises(StalledError, match=f"A transaction on topic '{pipeline.predictions}', partition 0"):
        fix(settings_of(pipeline, None, "--broker-timeout", "1"))
    writer.commit_transaction()
    writer.close(Deadline.after(5))
    evidence = gathered(settings_of(pipeline, tmp_path / "work"))
    assert answered(evidence) == {(0, 0): 2, (0, 1): 1, (0, 2): 1, (0, 3): 1}


def test_events_of_a_time_and_those_whose_answers_are_left_are_proved(
    kafka: KafkaSettings, model: Path, tmp_path: Path
) -> None:
    pipeline = make_pipeline(kafka, partitions=1)
    pipeline.send(GOOD[:4])
    score(pipeline, model, "--until-idle", "0.5")
    # A moment that is after the first events, and before the others.
    while (now := time.time_ns() // 1_000_000) <= newest(pipeline):
        time.sleep(0.001)
    pipeline.send(GOOD[4:9])
    score(pipeline, model, "--until-idle", "0.5")
    late = gathered(settings_of(pipeline, tmp_path / "late", "--since", shown_time(now)))
    assert answered(late) == {(0, offset): 1 for offset in range(4, 9)}
    assert late.outside(0) == 4

    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_records({TopicPartition(pipeline.predictions, 0): 2})
    admin.close()
    left = gathered(settings_of(pipeline, tmp_path / "left"))
    assert answered(left) == {(0, offset): 1 for offset in range(2, 9)}
    [note] = left.notes
    assert "records before offset 2 were deleted" in note


def newest(pipeline: Pipeline) -> int:
    """The time of the newest event."""
    return max(max(columns.timestamps) for columns in pipeline.read(pipeline.events))
