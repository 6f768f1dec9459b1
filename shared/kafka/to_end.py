"""A topic as stored data: what was committed when the reading began, to its end."""

import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from shared.deadline import Deadline
from shared.errors import InputError, StalledError
from shared.kafka.columns import RecordColumns
from shared.kafka.connection import KafkaSettings, wait_for_broker
from shared.kafka.errors import RecoverableError
from shared.kafka.reader import Isolation, Reader

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Extent:
    """A partition's offsets from `start` up to, not including, `end`, as they were at one moment."""

    start: int
    end: int


def extents(settings: KafkaSettings, topic: str) -> dict[int, Extent]:
    """What each partition of a topic holds now; an open transaction and all after it is left out.

    Raises:
        BrokerUnreachableError: No broker answers.
        ConfigurationError: There is no such topic.
    """
    wait_for_broker(settings, Deadline.after(settings.broker_timeout))
    with _reading(settings, topic) as reader:
        return _extents(reader)


def settled_extents(settings: KafkaSettings, topic: str) -> dict[int, Extent]:
    """Like `extents`, with all that was written by any transaction that is known to have committed.

    A commit reaches the partitions of a transaction one after the other: a group's offsets, or another
    topic, may show it before this one does. So those that are open here now are waited for.

    Raises:
        StalledError: One does not end for as long as the broker may take.
        BrokerUnreachableError: No broker answers.
        ConfigurationError: There is no such topic.
    """
    deadline = Deadline.after(settings.broker_timeout)
    wait_for_broker(settings, deadline)
    with _reading(settings, topic, "read_uncommitted") as reader:
        written = reader.end_offsets()
    with _reading(settings, topic) as reader:
        while True:
            found = _extents(reader)
            waiting = [p for p, extent in found.items() if extent.end < written[p]]
            if not waiting:
                return found
            if deadline.passed:
                raise StalledError(
                    f"A transaction on topic {topic!r}, partition {waiting[0]} did not end within"
                    f" {settings.broker_timeout:g} s.",
                    hint="`python -m consumer status` shows open transactions; wait longer with"
                    " --broker-timeout.",
                )
            deadline.pause(0.05)


def offsets_from(settings: KafkaSettings, topic: str, timestamp: int) -> dict[int, int | None]:
    """The first offset of each partition whose record is of a time or later; None where there is none.

    Args:
        settings: Where the brokers are.
        topic: The topic.
        timestamp: Milliseconds since the epoch.

    Raises:
        ConfigurationError: There is no such topic.
        TandemError: The broker does not answer.
    """
    with _reading(settings, topic) as reader:
        return reader.offsets_from(timestamp)


@contextmanager
def _reading(
    settings: KafkaSettings, topic: str, isolation: Isolation = "read_committed"
) -> Iterator[Reader]:
    reader = Reader(settings, topic, group=None, isolation=isolation)
    try:
        yield reader
    finally:
        reader.close(Deadline.after(settings.broker_timeout))


def _extents(reader: Reader) -> dict[int, Extent]:
    starts, ends = reader.beginning_offsets(), reader.end_offsets()
    return {
        partition: Extent(start, max(start, ends[partition])) for partition, start in sorted(starts.items())
    }


def read_to_end(
    settings: KafkaSettings, topic: str, wanted: Mapping[int, Extent] | None = None
) -> Iterator[RecordColumns]:
    """The committed records of partitions, each partition's in order.

    Args:
        settings: Where the brokers are.
        topic: What to read.
        wanted: Of each partition to read, what to read; all that the topic holds now unless given.

    Raises:
        InputError: Records were deleted before they were read.
        StalledError: Nothing came for as long as the broker may take.
    """
    wanted = extents(settings, topic) if wanted is None else wanted
    wanted = {partition: extent for partition, extent in wanted.items() if extent.end > extent.start}
    if not wanted:
        return
    starts = {partition: extent.start for partition, extent in wanted.items()}
    reader = Reader(settings, topic, group=None, partitions=sorted(wanted), start=starts)
    try:
        yield from _until(reader, wanted, settings)
    finally:
        reader.close(Deadline.after(settings.broker_timeout))


def _until(reader: Reader, wanted: Mapping[int, Extent], settings: KafkaSettings) -> Iterator[RecordColumns]:
    deadline = Deadline.after(settings.broker_timeout)
    seen = _Seen(reader, {partition: extent.start for partition, extent in wanted.items()})
    while any(seen.upto[partition] < extent.end for partition, extent in wanted.items()):
        before = dict(seen.upto)
        polled: list[RecordColumns] = []
        try:
            polled = reader.poll(0.2)
        except RecoverableError as error:
            # Nothing is lost: the position stands where the last records ended.
            logger.warning("%s", error)
        seen.add(polled)
        for columns in polled:
            count = bisect_left(columns.offsets, wanted[columns.partition].end)
            if count:
                yield columns.head(count)
        if seen.upto != before:
            deadline = Deadline.after(settings.broker_timeout)
        elif deadline.passed:
            raise StalledError(
                f"Nothing came from topic {reader.topic!r} for {settings.broker_timeout:g} s before its end.",
                hint="See that the brokers of all its partitions are up, then start again.",
            )


class _Seen:
    """How far each partition was read, without a hole that retention tore.

    The reader goes on behind records that were deleted meanwhile, with a warning: it cannot know that all
    of them were asked for. Offsets without a record are no hole: transactions and compaction leave such.

    Args:
        reader: Reads the partitions.
        upto: The offset from which each partition is read; later, up to which it was.
    """

    def __init__(self, reader: Reader, upto: dict[int, int]) -> None:
        self.upto = upto
        self._reader = reader
        # By partition, the first offset that was passed over without a record.
        self._gaps: dict[int, int] = {}

    def add(self, polled: Sequence[RecordColumns]) -> None:
        """Notes what was read.

        Raises:
            InputError: Records were deleted before they were read.
        """
        for columns in polled:
            self._pass(columns.partition, columns.offsets[0])
            self.upto[columns.partition] = columns.next_offset
        try:
            for partition, position in self._reader.positions().items():
                self._pass(partition, position)
            if self._gaps:
                self._check()
        except RecoverableError as error:
            # The gaps are kept, to be looked at the next time.
            logger.warning("%s", error)

    def _pass(self, partition: int, offset: int) -> None:
        if offset > self.upto[partition]:
            self._gaps.setdefault(partition, self.upto[partition])
            self.upto[partition] = offset

    def _check(self) -> None:
        kept = self._reader.beginning_offsets()
        for partition, offset in self._gaps.items():
            if kept[partition] > offset:
                raise InputError(
                    f"topic {self._reader.topic!r}, partition {partition}: the records from offset {offset}"
                    f" up to {kept[partition]} were deleted before they were read",
                    hint="Start again, which reads from there on; a longer retention keeps them for longer.",
                )
        self._gaps.clear()
