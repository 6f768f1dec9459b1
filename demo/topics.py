"""What the demo reads from topics by itself, to measure and to show."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Self

import msgspec

from demo.commands import wait_until
from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings
from shared.kafka.errors import RecoverableError
from shared.kafka.groups import GroupLag
from shared.kafka.reader import Isolation, Reader

logger = logging.getLogger(__name__)

_SECONDS = 30.0
_SETTLE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics and the group of one consumer.

    Attributes:
        events: Its input.
        predictions: Its output.
        dead_letters: Where what it cannot score goes.
        group: Its consumer group.
    """

    events: str
    predictions: str
    dead_letters: str
    group: str

    @property
    def names(self) -> tuple[str, str, str]:
        """All three topics."""
        return self.events, self.predictions, self.dead_letters


def wait_until_settled(kafka: KafkaSettings, topics: Topics) -> None:
    """Returns once every event has been scored or rejected and every transaction has ended."""
    with ExitStack() as stack:
        lag = GroupLag(kafka, topics.group, topics.events)
        stack.callback(lambda: lag.close(Deadline.after(_SECONDS)))
        outputs = (topics.predictions, topics.dead_letters)
        seen = [stack.enter_context(_reader(kafka, topic, "read_committed")) for topic in outputs]
        there = [stack.enter_context(_reader(kafka, topic, "read_uncommitted")) for topic in outputs]

        def settled() -> bool:
            # What readers see ends before the first open transaction.
            return lag.records() == 0 and [reader.end_offsets() for reader in seen] == [
                reader.end_offsets() for reader in there
            ]

        what = f"group {topics.group} to work off {topics.events}"
        wait_until(settled, Deadline.after(_SETTLE_SECONDS), what)


@contextmanager
def _reader(
    kafka: KafkaSettings,
    topic: str,
    isolation: Isolation = "read_committed",
    start: Mapping[int, int] | None = None,
) -> Iterator[Reader]:
    reader = Reader(kafka, topic, group=None, isolation=isolation, start=start)
    try:
        yield reader
    finally:
        reader.close(Deadline.after(_SECONDS))


def end_of(kafka: KafkaSettings, topic: str) -> dict[int, int]:
    """Where each partition of a topic ends now."""
    with _reader(kafka, topic) as reader:
        return reader.end_offsets()


@dataclass
class Watcher:
    """Notes when predictions become visible to read-committed readers, in a thread of its own.

    Use it as a context manager around the events to be watched.

    Attributes:
        seen: When each prediction was first seen, in milliseconds since the epoch, by its prediction id.
    """

    kafka: KafkaSettings
    topic: str
    seen: dict[str, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._reader = Reader(self.kafka, self.topic, group=None, start=end_of(self.kafka, self.topic))
        self._thread = threading.Thread(target=self._watch, name="watcher")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._reader.close(Deadline.after(_SECONDS))

    def _watch(self) -> None:
        decode = msgspec.json.Decoder(_Identified).decode
        while not self._stop.is_set():
            try:
                batches = self._reader.poll(0.1)
            except RecoverableError as error:
                logger.warning("%s", error.message)
                continue
            now = time.time() * 1000
            for columns in batches:
                self.seen.update((decode(value).prediction_id, now) for value in columns.values if value)


class _Identified(msgspec.Struct):
    prediction_id: str
