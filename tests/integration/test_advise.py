"""`batch advise` on a real Kafka: a topic's events, and how late the consumer's predictions of them were."""

import json
from pathlib import Path

import pytest

from shared.kafka.connection import KafkaSettings
from tests.support.commands import command
from tests.support.topics import make_pipeline

pytestmark = pytest.mark.broker

MODEL = Path("models/threshold")


def test_a_topic_is_advised_on_with_the_latency_that_its_predictions_had(kafka: KafkaSettings) -> None:
    pipeline = make_pipeline(kafka)
    # Ten customers who come every six minutes over ten hours, and change their minds in the fifth.
    events = [
        {
            "customer_id": place % 10,
            "feature": 0.9 if place // 100 == 5 else 0.1,
            "occurred_at": f"2026-03-02T{place // 100:02}:{place % 100 * 59 // 99:02}:00Z",
        }
        for place in range(1_000)
    ]
    pipeline.send([*(json.dumps(event).encode() for event in events), b"not JSON"])
    scored = command("consumer", *pipeline.options(MODEL, "--no-http", "--max-events", "1001"))
    assert scored.code == 0, scored.errors
    asked = command(
        *("batch", "advise", f"topic:{pipeline.events}", "--predictions", f"topic:{pipeline.predictions}"),
        *("--model", MODEL, "--bootstrap-servers", kafka.bootstrap_servers, "--json"),
    )
    assert asked.code == 0, asked.errors
    advice = json.loads(asked.output)
    assert (advice["events"], advice["customers"]) == (1_000, 10)
    stream, minute, hourly = advice["cadences"]
    assert (stream["stale"], stream["changed_customers"]) == (0, 10)
    assert stream["age"]["largest"] > 0
    assert 0 < minute["stale"] < hourly["stale"]
    assert hourly["without"] == 0
    assert any("1 of 1,001 events were rejected" in note for note in advice["notes"])
    assert any("Nightly is left out" in note for note in advice["notes"])
