"""SIGKILL in the middle of the work: read_committed shows each position once, whatever was killed."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings
from shared.kafka.groups import GroupLag
from tests.support.commands import Running, running
from tests.support.topics import make_pipeline

pytestmark = [pytest.mark.broker, pytest.mark.chaos]

EVENTS = 100_000
KILLS = 6
MEMBERS_EVENTS = 40_000
MODEL = Path("models/threshold")
# A killed member is missed after two seconds instead of ten: the test's time, not its meaning.
SESSION = ("--kafka-option", "session_timeout_ms=2000", "--kafka-option", "heartbeat_interval_ms=500")


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
def test_killed_and_restarted_consumers_lose_nothing(kafka: KafkaSettings, guarantee: str) -> None:
    """Exactly-once also makes nothing twice, and the order of each partition stands."""
    pipeline = make_pipeline(kafka, partitions=4)
    rng = random.Random(11)  # noqa: S311 - the same kills in every run
    values: list[bytes | None] = [
        b"junk" if number % 100 == 0 else json.dumps({"customer_id": number, "feature": 0.7}).encode()
        for number in range(EVENTS)
    ]
    pipeline.send(values, batch_bytes=16_000)
    work = ("--guarantee", guarantee, "--batch-events", "500", "--until-idle", "5")
    options = pipeline.options(MODEL, *work, *SESSION)
    lag = GroupLag(kafka, pipeline.name, pipeline.events)
    for _ in range(KILLS):
        with running("consumer", *options) as consumer:
            consumer.wait_for('"Ready"')
            wait_for_progress(lag)
            # Not a wait for a condition: the kill is to fall at a random moment of the work.
            time.sleep(rng.uniform(0.02, 0.15))
            assert consumer.end(signal.SIGKILL) == -signal.SIGKILL
    lag.close(Deadline.after(5))
    with running("consumer", *options) as consumer:
        assert consumer.wait(120) == 0
    content = pipeline.committed_content()
    assert len(content) == EVENTS
    assert set(pipeline.rejected().values()) == {"not_json"}
    # The kills fell in the middle of the work, not behind it.
    assert 0 < read_by(consumer) < EVENTS
    if guarantee == "exactly-once":
        assert set(content.values()) == {1}
        assert len(pipeline.rejected()) == EVENTS // 100
        for columns in pipeline.read(pipeline.predictions):
            offsets = [
                int(json.loads(value or b"")["prediction_id"].split("/")[2]) for value in columns.values
            ]
            assert offsets == sorted(offsets)


def wait_for_progress(lag: GroupLag) -> None:
    """Returns when a batch has been committed."""
    before, deadline = lag.records(), Deadline.after(60)
    while lag.records() >= before:
        assert not deadline.passed, "nothing was committed"


def wait_for_progress_everywhere(lag: GroupLag) -> None:
    """Returns when a batch of each partition has been committed, and so one of each member."""
    deadline = Deadline.after(60)
    while any(partition.committed is None for partition in lag.partitions()):
        assert not deadline.passed, "nothing of some partition was committed"


def read_by(consumer: Running) -> int:
    """How many events a consumer that has ended says that it read."""
    last = json.loads(next(line for line in consumer.lines if "Done:" in line))["message"]
    return int(last.split()[1])


def test_of_three_members_one_is_killed_and_the_others_take_its_partitions_over(kafka: KafkaSettings) -> None:
    pipeline = make_pipeline(kafka, partitions=6)
    events: list[bytes | None] = [
        json.dumps({"customer_id": number, "feature": 0.7}).encode() for number in range(MEMBERS_EVENTS)
    ]
    work = ("--batch-events", "500", "--until-idle", "5", "--transaction-timeout", "3")
    options = pipeline.options(MODEL, *work, *SESSION)
    lag = GroupLag(kafka, pipeline.name, pipeline.events)
    with (
        running("consumer", *options) as victim,
        running("consumer", *options) as second,
        running("consumer", *options) as third,
    ):
        for member in (victim, second, third):
            member.wait_for('"Ready"')
        pipeline.send(events[: MEMBERS_EVENTS // 2], batch_bytes=4_000)
        wait_for_progress_everywhere(lag)
        assert victim.end(signal.SIGKILL) == -signal.SIGKILL
        lag.close(Deadline.after(5))
        pipeline.send(events[MEMBERS_EVENTS // 2 :], batch_bytes=4_000)
        assert (second.wait(), third.wait()) == (0, 0)
    read = read_by(second), read_by(third)
    assert all(read)
    # The victim did its part before it was killed.
    assert sum(read) < MEMBERS_EVENTS
    # What it left open, the broker ends after the transaction's timeout; until then readers wait.
    deadline = Deadline.after(30)
    while len(content := pipeline.committed_content()) < MEMBERS_EVENTS and not deadline.passed:
        time.sleep(0.5)
    assert (len(content), set(content.values())) == (MEMBERS_EVENTS, {1})
