"""A broker that falls silent under load, as in a long pause of its machine, and comes back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader
from tests.support.broker import OwnBroker, own_broker
from tests.support.commands import running
from tests.support.topics import Pipeline, make_pipeline

pytestmark = [pytest.mark.broker, pytest.mark.chaos]

EVENTS = 24_000
MODEL = Path("models/threshold")
# Seconds; the freezes below are longer.
TRANSACTION_TIMEOUT = 2
# A member that is gone is missed sooner than after ten seconds.
SESSION = ("--kafka-option", "session_timeout_ms=3000", "--kafka-option", "heartbeat_interval_ms=500")


@pytest.fixture(scope="module")
def own() -> Iterator[OwnBroker]:
    """A broker that nobody else uses."""
    with own_broker() as broker:
        yield broker


@pytest.fixture
def pipeline(own: OwnBroker) -> Pipeline:
    return make_pipeline(KafkaSettings(bootstrap_servers=own.address, broker_timeout=20))


@pytest.fixture
def output(pipeline: Pipeline) -> Iterator[Reader]:
    """Tells where the predictions end."""
    reader = Reader(pipeline.kafka, pipeline.predictions, group=None)
    yield reader
    reader.close(Deadline.after(5))


def wait_for_progress(output: Reader) -> None:
    """Returns when a batch has been committed: by then the client holds the events of many more."""
    before, deadline = output.end_offsets(), Deadline.after(60)
    while output.end_offsets() == before:
        assert not deadline.passed, "nothing was committed"


def test_a_broker_frozen_under_load_loses_nothing_and_makes_nothing_twice(
    own: OwnBroker, pipeline: Pipeline, output: Reader
) -> None:
    values: list[bytes | None] = [
        b"junk" if number % 100 == 0 else json.dumps({"customer_id": number, "feature": 0.7}).encode()
        for number in range(EVENTS)
    ]
    pipeline.send(values, batch_bytes=4_000)
    work = ("--batch-events", "200", "--until-idle", "2", "--transaction-timeout", str(TRANSACTION_TIMEOUT))
    options = pipeline.options(MODEL, *work, *SESSION)

    with running("consumer", *options, "--commit-timeout", "1") as stalled:
        wait_for_progress(output)
        with own.frozen():
            # A commit that hangs, of the real command: its own deadline ends it, not the broker.
            assert stalled.wait(30) == 5
        assert any("in time" in line for line in stalled.lines)
        assert not any("Traceback" in line for line in stalled.lines)

    with running("consumer", *options) as thawed:
        wait_for_progress(output)
        with own.frozen():
            # Not a wait for a condition: the broker is to come back after the transaction's time.
            time.sleep(2 * TRANSACTION_TIMEOUT)
            assert thawed.process.poll() is None
        codes = [thawed.wait()]
        assert not any("Traceback" in line for line in thawed.lines)
    while codes[-1] != 0:
        # The broker has ended the transaction, and whoever supervises the consumer starts it again.
        assert codes[-1] == 5
        assert len(codes) < 4
        with running("consumer", *options) as again:
            codes.append(again.wait())

    content = pipeline.committed_content()
    assert (len(content), set(content.values())) == (EVENTS, {1})
    assert len(pipeline.rejected()) == EVENTS // 100


def test_a_silent_broker_is_not_an_idle_topic(own: OwnBroker, pipeline: Pipeline) -> None:
    options = pipeline.options(MODEL, "--until-idle", "1", "--broker-timeout", "2")
    with running("consumer", *options) as consumer:
        consumer.wait_for('"Ready"')
        with own.frozen():
            assert consumer.wait(30) == 4
        assert any("whether any is left is not known" in line for line in consumer.lines)
