"""Connections that are cut and refused while batches are committed: each step of a transaction is met."""

import json
import random
import time
from pathlib import Path

import pytest

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader
from tests.chaos.harness.proxy import Proxy
from tests.support.broker import free_port, own_broker
from tests.support.commands import running
from tests.support.topics import make_pipeline

pytestmark = [pytest.mark.broker, pytest.mark.chaos]

MODEL = Path("models/threshold")
EVENTS = 60_000
# How often the broker is away.
TIMES = 30


def test_a_broker_away_for_a_moment_stalls_no_commit_whenever_it_goes() -> None:
    chance, port = random.Random(7), free_port()  # noqa: S311 - the same pauses in every run
    with own_broker(advertised=port) as broker:
        assert broker.behind is not None
        pipeline = make_pipeline(KafkaSettings(bootstrap_servers=broker.address))
        events = [json.dumps({"customer_id": number, "feature": 0.7}).encode() for number in range(EVENTS)]
        pipeline.send(events, batch_bytes=4_000)
        output = Reader(pipeline.kafka, pipeline.predictions, group=None)
        work = ("--batch-events", "200", "--until-idle", "2", "--commit-timeout", "20", "--no-http")
        options = [*pipeline.options(MODEL, *work), "--bootstrap-servers", f"127.0.0.1:{port}"]
        with Proxy(port, broker.behind) as link, running("consumer", *options) as consumer:
            for _ in range(TIMES):
                before, deadline = output.end_offsets(), Deadline.after(60)
                while output.end_offsets() == before and consumer.process.poll() is None:
                    assert not deadline.passed, "nothing was committed"
                # No waits for a condition: it goes at any moment of a batch, and comes back soon.
                time.sleep(chance.uniform(0, 0.1))
                link.refuse()
                time.sleep(chance.uniform(0, 0.3))
                link.admit()
            assert consumer.wait() == 0, consumer.lines[-20:]
        output.close(Deadline.after(5))
        content = pipeline.committed_content()
    assert (len(content), set(content.values())) == (EVENTS, {1})
