"""SIGKILL in the middle of 100,000 events: read_committed shows each position once, whatever was killed."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from shared.kafka.connection import KafkaSettings
from tests.support.commands import running
from tests.support.topics import make_pipeline

pytestmark = [pytest.mark.broker, pytest.mark.chaos]

EVENTS = 100_000
KILLS = 6
MODEL = Path("models/threshold")


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
    # A killed member is missed after two seconds instead of ten: the test's time, not its meaning.
    session = ("--kafka-option", "session_timeout_ms=2000", "--kafka-option", "heartbeat_interval_ms=500")
    work = ("--guarantee", guarantee, "--batch-events", "2000", "--until-idle", "5")
    options = pipeline.options(MODEL, *work, *session)
    for _ in range(KILLS):
        with running("consumer", *options) as consumer:
            consumer.wait_for('"Ready"')
            # Not a wait for a condition: the kill is to fall at a random moment of the work.
            time.sleep(rng.uniform(0.05, 0.4))
            assert consumer.end(signal.SIGKILL) == -signal.SIGKILL
    with running("consumer", *options) as consumer:
        assert consumer.process.wait(120) == 0
        last = json.loads(next(line for line in consumer.lines if "Done:" in line))["message"]
        # The kills fell in the middle of the work, not behind it.
        assert 0 < int(last.split()[1]) < EVENTS
    content = pipeline.committed_content()
    assert len(content) == EVENTS
    assert set(pipeline.rejected().values()) == {"not_json"}
    if guarantee == "exactly-once":
        assert set(content.values()) == {1}
        assert len(pipeline.rejected()) == EVENTS // 100
        for columns in pipeline.read(pipeline.predictions):
            offsets = [
                int(json.loads(value or b"")["prediction_id"].split("/")[2]) for value in columns.values
            ]
            assert offsets == sorted(offsets)
