"""The demo, whole: with its own broker, and its verdict on a real Kafka."""

import json
import re
import time
from pathlib import Path

import pytest

from demo.topics import Topics
from shared.deadline import Deadline
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.topics import TopicSpec, create_topics
from shared.kafka.writer import Writer
from tests.support.broker import unique
from tests.support.commands import command, running


@pytest.mark.slow
def test_the_demo_agrees_on_a_machine_without_docker(tmp_path: Path) -> None:
    done = command("demo", "--events", "3000", "--report", tmp_path)
    assert done.code == 0, done.output + done.errors
    assert "[False, True, False, True]" in done.output
    assert "(105, 0.7) -> True" in done.output
    counts = {
        row: int(number.replace(",", ""))
        for row, number in re.findall(r"│ (.+?) +│ +([\d,]+) │", done.output)
    }
    assert counts["events on the topic"] == 5000
    assert counts["predictions identical to the bit"] + counts["rejected alike, for the same reason"] == 5000
    assert counts["rejected alike, for the same reason"] > 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["proof"]["holds"]
    assert report["advice"]["events"] == counts["predictions identical to the bit"]
    assert "Identical and conserved" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.broker
def test_the_verdict_is_no_when_a_prediction_stands_there_that_nobody_made(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    name = unique("verdict")
    topics = Topics(f"{name}-events", f"{name}-predictions", f"{name}-dead-letters", name)
    create_topics(kafka, {topics.events: TopicSpec(2)}, Deadline.after(20))
    names = ("--input-topic", topics.events, "--output-topic", topics.predictions)
    more = ("--dead-letter-topic", topics.dead_letters, "--group", topics.group)
    where = ("--bootstrap-servers", kafka.bootstrap_servers)
    model = ("--model", "models/churn", "--create-topics")
    with running("consumer", *model, *names, *more, *where) as consumer:
        consumer.wait_for('"Ready"')
        forged = {
            "prediction_id": f"{topics.events}/0/999999",
            "customer_id": "0000-FORGE",
            "score": 0.5,
            "churn": False,
            "threshold": 0.5,
            "model": "churn@2",
            "model_sha256": "0" * 12,
        }
        writer = Writer(kafka)
        # Not in 1970: a broker deletes a record that is older than its topic's retention.
        now = time.time_ns() // 1_000_000
        writer.write(NewRecords(topics.predictions, 0, [b"0000-FORGE"], [json.dumps(forged).encode()], now))
        writer.flush(Deadline.after(20))
        writer.close(Deadline.after(20))
        done = command("demo", "verdict", *names, *more, *where, "--report", tmp_path)
    assert done.code == 1, done.output + done.errors
    assert "✗ The answers are not what they should be" in done.output
    assert re.search(r"answers of no event +│ +1 │", done.output)
