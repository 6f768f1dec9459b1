"""Sends events at a steady rate and counts what the broker acknowledges."""

import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from producer.message import Message
from shared.deadline import Deadline
from shared.errors import StalledError, TandemError
from shared.kafka.columns import NewRecords
from shared.kafka.errors import RecordTooLargeError, RecoverableError
from shared.kafka.partitioning import partition_for

logger = logging.getLogger(__name__)

# Most events and bytes that are handed over at once, and most bytes that may wait for an acknowledgement.
_BATCH_EVENTS = 4_000
_BATCH_BYTES = 2 << 20
_WAITING_BYTES = 16 << 20
# What a record takes beside its value, about: an event without one is not free.
_OVERHEAD = 100
# With a rate something goes out every few milliseconds, and a signal is noticed soon.
_TICK = 0.004
_LONGEST_SLEEP = 0.05


class Future(Protocol):
    """What a writer gives for each record batch."""

    @property
    def rows(self) -> int:
        """How many records the batch has."""

    @property
    def done(self) -> bool:
        """Whether it has been acknowledged or has failed."""

    def result(self, deadline: Deadline) -> int:
        """Waits for the acknowledgement; raises when there is none."""


class EventWriter(Protocol):
    """The part of shared.kafka.writer.Writer that is used here."""

    def write(self, records: NewRecords) -> Sequence[Future]:
        """Hands records of one partition to the sender."""


class Clock(Protocol):
    """Time, for pacing."""

    def monotonic(self) -> float:
        """Seconds that never jump."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float, /) -> None:
        """Waits."""


@dataclass(slots=True)
class Tally:
    """What became of the events so far; in the end sent = acknowledged + failed.

    Attributes:
        sent: Events handed to the broker, or refused on the way.
        acknowledged: Events that the broker has stored on all in-sync replicas.
        failed: Events that were not acknowledged.
        errors: The first error of each kind, for people.
    """

    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    def add_failure(self, events: int, error: TandemError) -> None:
        """Counts events that were not acknowledged."""
        self.failed += events
        if type(error).__name__ not in self.errors:
            # Their advice is for those who can do the work again.
            told = error.message if isinstance(error, StalledError | RecoverableError) else str(error)
            self.errors[type(error).__name__] = told
            logger.warning("Events were not acknowledged: %s", told)


class Publisher:
    """Sends messages to one topic, a customer's always to the same partition.

    Args:
        writer: Takes whole record batches.
        topic: Where to send.
        partitions: How many partitions the topic has.
        timeout: Seconds that the broker has to acknowledge anything.
        clock: Gives the time; another one in tests.
    """

    def __init__(
        self, writer: EventWriter, topic: str, partitions: int, *, timeout: float, clock: Clock = time
    ) -> None:
        self.tally = Tally()
        self._writer = writer
        self._topic = topic
        self._partitions = partitions
        self._timeout = timeout
        self._clock = clock
        # Each batch on its way, with its size.
        self._waiting: deque[tuple[Future, int]] = deque()
        self._waiting_bytes = 0
        self._next_partition = 0
        # When the broker last answered, or owed nothing.
        self._heard = clock.monotonic()
        self._hopeless = False

    def run(
        self,
        messages: Iterator[Message],
        *,
        rate: float | None,
        stopped: Callable[[], bool] = lambda: False,
        progress: Callable[[Tally], None] = lambda _: None,
    ) -> None:
        """Sends all messages and waits for their acknowledgements.

        Args:
            messages: What to send.
            rate: Events a second; None sends as fast as the broker takes them.
            stopped: Asked often; once it says yes, nothing more is sent.
            progress: Told of the tally often.
        """

        def ended() -> bool:
            return self._hopeless or stopped()

        try:
            self._send_all(messages, self._due(rate, ended) if rate else None, ended, progress)
        except TandemError:
            # The source is broken; what it gave so far counts.
            self._finish(progress)
            raise
        self._finish(progress)

    def _send_all(
        self,
        messages: Iterator[Message],
        due: Iterator[int] | None,
        ended: Callable[[], bool],
        progress: Callable[[Tally], None],
    ) -> None:
        due = itertools.repeat(_BATCH_EVENTS) if due is None else due
        wanted = next(due, 0)
        while wanted and not ended():
            batch, broken = _take(messages, wanted)
            if batch:
                self._send(batch)
                self._make_room(ended)
                progress(self.tally)
            if broken is not None:
                raise broken
            if not batch:
                return
            # A batch of large events may be smaller than what is due.
            wanted = wanted - len(batch) or next(due, 0)

    def _due(self, rate: float, ended: Callable[[], bool]) -> Iterator[int]:
        """How many events are due, judged from the start, so that the rate does not drift."""
        start = self._clock.monotonic()
        asked = 0
        while not ended():
            now = self._clock.monotonic()
            due = math.floor((now - start) * rate) + 1 - asked
            if due > 0:
                asked += due
                yield due
            else:
                self._clock.sleep(min(_LONGEST_SLEEP, max(_TICK, start + asked / rate - now)))

    def _send(self, messages: Sequence[Message]) -> None:
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            by_partition.setdefault(self._partition(message.key), []).append(message)
        self.tally.sent += len(messages)
        if not self._waiting:
            self._heard = self._clock.monotonic()
        for partition, group in by_partition.items():
            self._write(partition, group)

    def _partition(self, key: bytes | None) -> int:
        if key is not None:
            return partition_for(key, self._partitions)
        self._next_partition = (self._next_partition + 1) % self._partitions
        return self._next_partition

    def _write(self, partition: int, group: list[Message]) -> None:
        """Hands over what the topic takes; an event that is too large for it is left out and counted."""
        while group:
            keys, values = (list(column) for column in zip(*group, strict=True))
            now = int(self._clock.time() * 1000)
            try:
                futures = self._writer.write(NewRecords(self._topic, partition, keys, values, now))
            except RecordTooLargeError as error:
                lost = group if error.row is None else [group[error.row]]
                self._fail(len(lost), error)
                group = [] if error.row is None else group[: error.row] + group[error.row + 1 :]
            except TandemError as error:
                self._fail(len(group), error)
                return
            else:
                each = sum(map(_size, group)) // len(group)
                for future in futures:
                    self._waiting.append((future, each * future.rows))
                    self._waiting_bytes += each * future.rows
                return

    def _make_room(self, ended: Callable[[], bool]) -> None:
        """Takes note of what is acknowledged, and waits while too much is not."""
        while True:
            while self._waiting and self._waiting[0][0].done:
                self._settle(Deadline.after(0))
                self._heard = self._clock.monotonic()
            self._hopeless |= self._clock.monotonic() > self._heard + self._timeout
            if self._waiting_bytes <= _WAITING_BYTES or ended():
                return
            self._clock.sleep(0.001)

    def _settle(self, deadline: Deadline) -> None:
        future, size = self._waiting.popleft()
        self._waiting_bytes -= size
        try:
            future.result(deadline)
        except TandemError as error:
            self._fail(future.rows, error)
        else:
            self.tally.acknowledged += future.rows

    def _fail(self, events: int, error: TandemError) -> None:
        self.tally.add_failure(events, error)
        # No later event fares better, unless this one was at fault, or the moment.
        self._hopeless |= not isinstance(error, RecordTooLargeError | RecoverableError)

    def _finish(self, progress: Callable[[Tally], None]) -> None:
        deadline = Deadline.after(0 if self._hopeless else self._timeout)
        while self._waiting:
            self._settle(deadline)
            progress(self.tally)


def _size(message: Message) -> int:
    return len(message.value or b"") + _OVERHEAD


def _take(messages: Iterator[Message], most: int) -> tuple[list[Message], TandemError | None]:
    """The next messages, at most so many and not much more than _BATCH_BYTES; and why there are no more."""
    taken: list[Message] = []
    room = _BATCH_BYTES
    try:
        for message in itertools.islice(messages, min(most, _BATCH_EVENTS)):
            taken.append(message)
            room -= _size(message)
            if room <= 0:
                break
    except TandemError as error:
        return taken, error
    return taken, None
