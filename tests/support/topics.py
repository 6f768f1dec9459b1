"""Topics of one test's consumer, and what really stands in them."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.dead_letters import MAX_HEADER_BYTES, origin_of, read_headers, reason_of
from shared.deadline import Deadline
from shared.kafka.columns import NewRecords, RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader
from shared.kafka.topics import TopicSpec, create_topics
from shared.kafka.writer import Writer
from tests.support.broker import unique

#: Settings of a topic whose records are never deleted, whenever they are stamped.
KEPT = {"retention.ms": "-1"}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The topics and the group of one consumer under test."""

    kafka: KafkaSettings
    name: str
    partitions: int

    @property
    def events(self) -> str:
        return f"{self.name}-events"

    @property
    def predictions(self) -> str:
        return f"{self.name}-predictions"

    @property
    def dead_letters(self) -> str:
        return f"{self.name}-dead-letters"

    def options(self, model: Path | str, *more: str) -> list[str]:
        """A consumer's options for these topics."""
        return [
            *("--bootstrap-servers", self.kafka.bootstrap_servers, "--model", str(model)),
            *("--input-topic", self.events, "--output-topic", self.predictions),
            *("--dead-letter-topic", self.dead_letters, "--group", self.name, "--log-format", "json"),
            *more,
        ]

    def send(
        self,
        values: Sequence[bytes | None],
        batch_bytes: int | None = None,
        keys: Sequence[bytes] | None = None,
        compression: str = "none",
    ) -> None:
        """Sends events round the partitions in runs, keyed by their number unless keys are given."""
        settings = self.kafka.model_copy(update={"kafka_option": {"compression_type": compression}})
        writer = Writer(settings, max_batch_bytes=batch_bytes)
        given = keys or [str(number).encode() for number in range(len(values))]
        for partition in range(self.partitions):
            numbers = range(partition, len(values), self.partitions)
            keys = [given[number] for number in numbers]
            now = time.time_ns() // 1_000_000
            writer.write(NewRecords(self.events, partition, keys, [values[n] for n in numbers], now))
        writer.flush(Deadline.after(60))
        writer.close(Deadline.after(10))

    def read(self, topic: str) -> list[RecordColumns]:
        """A topic's whole content under read_committed, in a reader that knows nothing of the consumer."""
        reader = Reader(self.kafka, topic, group=None)
        ends, found = reader.end_offsets(), []
        deadline = Deadline.after(60)
        while any(reader.positions().get(p, 0) < end for p, end in ends.items()):
            assert not deadline.passed, f"{topic} could not be read to its end"
            found += reader.poll(0.5)
        reader.close(Deadline.after(10))
        return found

    def scored(self) -> list[dict[str, Any]]:
        """The predictions as they stand."""
        return [
            json.loads(value or b"") for columns in self.read(self.predictions) for value in columns.values
        ]

    def letters(self) -> list[tuple[str, str]]:
        """The dead letters as they stand: position and reason."""
        told = [
            read_headers(columns.headers[row])
            for columns in self.read(self.dead_letters)
            for row in range(len(columns))
        ]
        return [(origin_of(one).position, str(reason_of(one))) for one in told]

    def rejected(self) -> dict[str, str]:
        """The dead letters' reasons by position."""
        return dict(self.letters())

    def committed_content(self) -> Counter[str]:
        """How often each position stands in the output or the dead letters."""
        scored = [prediction["prediction_id"] for prediction in self.scored()]
        return Counter(scored) + Counter([position for position, _ in self.letters()])


def make_pipeline(kafka: KafkaSettings, partitions: int = 3, event_bytes: int = 11 << 20) -> Pipeline:
    """Fresh topics that take 10 MB events, or others as large as told."""
    made = Pipeline(kafka, unique("pipeline"), partitions)

    def spec(most: int) -> TopicSpec:
        return TopicSpec(partitions, configs={"max.message.bytes": str(most), **KEPT})

    source, target = spec(event_bytes), spec(event_bytes + MAX_HEADER_BYTES)
    topics = {made.events: source, made.predictions: target, made.dead_letters: target}
    create_topics(kafka, topics, Deadline.after(30))
    return made
