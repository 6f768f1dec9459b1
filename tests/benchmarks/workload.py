"""What every contender gets: the same events, the same linear model, the same broker."""

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaAdminClient

from shared.deadline import Deadline
from shared.kafka.columns import Header, NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.topics import TopicSpec, create_topics
from shared.kafka.writer import Writer
from shared.models.directory import read_model
from shared.predict import Predictor
from tests.benchmarks.model import FEATURES, INTERCEPT, THRESHOLD, WEIGHTS
from tests.support.broker import unique

PARTITIONS = 6


def write_model(directory: Path, intercept: float = INTERCEPT) -> Path:
    """A linear model over FEATURES."""
    directory.mkdir(parents=True, exist_ok=True)
    artifact = json.dumps(
        {"link": "logistic", "intercept": intercept, "weights": dict(zip(FEATURES, WEIGHTS, strict=True))}
    ).encode()
    (directory / "coefficients.json").write_bytes(artifact)
    declaration = {
        "name": "bench",
        "version": "1",
        "kind": "linear",
        "inputs": [
            {"name": "customer_id", "type": "integer"},
            *({"name": name, "type": "number"} for name in FEATURES),
        ],
        "threshold": THRESHOLD,
        "outputs": {"decision": "churn"},
        "artifact": {"file": "coefficients.json", "sha256": hashlib.sha256(artifact).hexdigest()},
        "golden": [{"event": json.loads(event_bytes(random.Random(0), 0)), "score": 0.0}],  # noqa: S311
    }
    path = directory / "model.json"
    path.write_text(json.dumps(declaration))
    golden = [row.event for row in read_model(directory).declaration.golden]
    outcome = Predictor(read_model(directory)).score_one(golden[0])
    declaration["golden"] = [{"event": golden[0], "score": outcome.scores.tolist()[0]}]
    path.write_text(json.dumps(declaration))
    return directory


def event_bytes(rng: random.Random, number: int) -> bytes:
    """An event of about 200 bytes."""
    event = {
        "event_id": f"e{number:09d}",
        "customer_id": 100_000 + number % 50_000,
        "tenure": rng.randint(0, 72),
        "monthly_charges": rng.randint(1825, 11875) / 100,
        "total_charges": rng.randint(1825, 855_000) / 100,
        "contract_months": rng.choice((1, 12, 24)),
        "support_calls": rng.randint(0, 9),
        "logins_7d": rng.randint(0, 40),
        "late_payments": rng.randint(0, 5),
        "discount": rng.randint(0, 30) / 100,
    }
    return json.dumps(event, separators=(",", ":")).encode()


def consumer_options(bootstrap: str, source: str, target: str, model: Path, guarantee: str) -> list[str]:
    """The options of the real consumer, as a user starts it; its group is named after its output topic."""
    options = {
        "--model": str(model),
        "--bootstrap-servers": bootstrap,
        "--input-topic": source,
        "--output-topic": target,
        "--dead-letter-topic": f"{target}-dead",
        "--group": target,
        "--guarantee": guarantee,
        "--log-format": "json",
        "--http-port": "0",
    }
    return [word for pair in options.items() for word in pair]


def preload(bootstrap: str, count: int, headers: Sequence[Header] = ()) -> str:
    """A new topic of `count` events in record batches of 16 KiB, as a busy producer's would be.

    Args:
        bootstrap: The broker.
        count: How many events.
        headers: What every event has.
    """
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    topic = unique("bench-in")
    make_topic(settings, topic)
    rng = random.Random(7)  # noqa: S311 - the same events in every run
    writer = Writer(settings, max_batch_bytes=16 * 1024)
    now = time.time_ns() // 1_000_000
    sent = 0
    while sent < count:
        for partition in range(PARTITIONS):
            size = min(2_000, count - sent)
            values = [event_bytes(rng, sent + place) for place in range(size)]
            keys = [str(100_000 + (sent + place) % 50_000).encode() for place in range(size)]
            of_rows = [headers] * size if headers else None
            writer.write(NewRecords(topic, partition, keys, values, now, of_rows))
            sent += size
    writer.flush(Deadline.after(120))
    writer.close(Deadline.after(10))
    return topic


def make_topic(settings: KafkaSettings, *topics: str, max_message_bytes: int = 1 << 20) -> None:
    """Topics of PARTITIONS partitions."""
    spec = TopicSpec(PARTITIONS, configs={"max.message.bytes": str(max_message_bytes)})
    create_topics(settings, dict.fromkeys(topics, spec), Deadline.after(30))


@contextmanager
def output_topics(bootstrap: str, name: str) -> Iterator[str]:
    """An output topic, with others for dead letters and a shadow, deleted afterwards: a disk is finite."""
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    target = unique(f"bench-{name.replace('_', '-')}")
    topics = (target, f"{target}-dead", f"{target}-shadow")
    make_topic(settings, *topics, max_message_bytes=2 << 20)
    try:
        yield target
    finally:
        delete_topics(bootstrap, *topics)


def delete_topics(bootstrap: str, *topics: str) -> None:
    """Deletes topics, and does not wait until the broker has."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.delete_topics(list(topics))
    finally:
        admin.close()
