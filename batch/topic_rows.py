"""A topic as what is scored: one source a partition, up to its end at the beginning."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from batch.snapshots import RecordRows
from batch.sources import never
from shared.formats.base import Chunk, Split
from shared.kafka.columns import RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import Extent, extents, read_to_end
from shared.predict import Predictor
from shared.storage import FileState

#: How an input that is a topic is written: topic:NAME.
TOPIC: Final = "topic:"
#: Records that are scored at once: enough that a model's calls cost little each.
_RECORDS_AT_ONCE: Final = 16_384


def topics_among(inputs: Iterable[str]) -> tuple[list[str], list[str]]:
    """The topics that inputs name, each once, and the inputs that are no topics."""
    topics: dict[str, None] = {}
    others = []
    for text in inputs:
        if text.startswith(TOPIC):
            topics[text.removeprefix(TOPIC)] = None
        else:
            others.append(text)
    return list(topics), others


def sources_of_topic(kafka: KafkaSettings, topic: str) -> list["TopicRows"]:
    """The partitions of a topic, as far as they are committed now.

    Raises:
        BrokerUnreachableError: No broker answers.
        ConfigurationError: There is no such topic.
    """
    return [TopicRows(kafka, topic, partition, extent) for partition, extent in extents(kafka, topic).items()]


class TopicRows(RecordRows):
    """The committed records of one partition: what a snapshot of it would hold.

    Args:
        kafka: Where the brokers are.
        topic: The topic.
        partition: Its partition.
        extent: The offsets to read.
    """

    format, by_events, resumable = "topic", True, False

    def __init__(self, kafka: KafkaSettings, topic: str, partition: int, extent: Extent) -> None:
        self._kafka, self._topic, self._partition, self._extent = kafka, topic, partition, extent
        self.name = self.place = f"{topic}/{partition}"

    def check(self, predictor: Predictor) -> None:
        """Refuses nothing: events that do not suit a model are rejected, each for its reason."""

    def state(self) -> FileState:
        """How many offsets it has, and which."""
        start, end = self._extent.start, self._extent.end
        return FileState(end - start, f"{start}-{end}")

    def splits(self, predictor: Predictor, rows: int) -> list[Split]:  # noqa: ARG002 - there is one
        """One: a partition is read in order."""
        return [Split(first=0, rows=None, size=self.state().size)]

    def chunks(
        self,
        predictor: Predictor,  # noqa: ARG002 - a topic suits any model
        split: Split | None = None,  # noqa: ARG002 - there is one
        skip: int = 0,
    ) -> Iterator[Chunk]:
        """The records in order."""
        if skip:
            raise ValueError("a topic is read from its first record on")
        first = 0
        for columns in _gathered(read_to_end(self._kafka, self._topic, {self._partition: self._extent})):
            yield self._chunk(columns, first)
            first += len(columns)

    def _chunk(self, columns: RecordColumns, first: int) -> Chunk:
        batch = pa.record_batch(
            [
                pa.array(columns.offsets, pa.int64()),
                pa.array(columns.timestamps, pa.timestamp("ms", "UTC")),
                pa.array(columns.values, pa.binary()),
            ],
            names=["offset", "timestamp", "value"],
        )
        behind = columns.offsets[-1] + 1 - self._extent.start
        done = min(1.0, behind / max(1, self.state().size))
        return Chunk(np.arange(first, first + len(columns)), batch, done=done)

    def digest(self, stopped: Callable[[], bool] = never) -> str:  # noqa: ARG002 - it is quick
        """The digest of what the records are known by: an offset never gets another record."""
        known_by = (self._topic, self._partition, self._extent.start, self._extent.end)
        return hashlib.sha256("\n".join(map(str, known_by)).encode()).hexdigest()


def _gathered(polled: Iterator[RecordColumns]) -> Iterator[RecordColumns]:
    """The same records in larger pieces."""
    gathered: RecordColumns | None = None
    for columns in polled:
        if gathered is None:
            gathered = columns
        else:
            gathered.extend(columns)
        if len(gathered) >= _RECORDS_AT_ONCE:
            yield gathered
            gathered = None
    if gathered is not None:
        yield gathered
