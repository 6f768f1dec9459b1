"""A topic as stored data: what was committed when the reading began, to its end."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.deadline import Deadline
from shared.errors import StalledError
from shared.kafka.columns import RecordColumns
from shared.kafka.connection import KafkaSettings, wait_for_broker
from shared.kafka.errors import RecoverableError
from shared.kafka.reader import Reader

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
    reader = Reader(settings, topic, group=None)
    try:
        starts, ends = reader.beginning_offsets(), reader.end_offsets()
    finally:
        reader.close(Deadline.after(settings.broker_timeout))
    return {
        partition: Extent(start, max(start, ends[partition])) for partition, start in sorted(starts.items())
    }


def read_records(
    settings: KafkaSettings, topic: str, wanted: Mapping[int, Extent]
) -> Iterator[RecordColumns]:
    """The committed records of partitions, each partition's in order.

    Args:
        settings: Where the brokers are.
        topic: What to read.
        wanted: Of each partition to read, what to read.

    Raises:
        StalledError: Nothing came for as long as the broker may take.
    """
    ends = {partition: extent.end for partition, extent in wanted.items() if extent.end > extent.start}
    if not ends:
        return
    starts = {partition: wanted[partition].start for partition in ends}
    reader = Reader(settings, topic, group=None, partitions=sorted(ends), start=starts)
    try:
        yield from _until(reader, ends, settings)
    finally:
        reader.close(Deadline.after(settings.broker_timeout))


def _until(reader: Reader, ends: Mapping[int, int], settings: KafkaSettings) -> Iterator[RecordColumns]:
    deadline, before = Deadline.after(settings.broker_timeout), dict[int, int]()
    while True:
        try:
            for columns in reader.poll(0.2):
                _drop_from(columns, ends[columns.partition])
                if len(columns):
                    yield columns
            positions = reader.positions()
        except RecoverableError as error:
            # Nothing is lost: the position stands where the last records ended.
            logger.warning("%s", error)
            positions = before
        if all(positions.get(partition, 0) >= end for partition, end in ends.items()):
            return
        if positions != before:
            deadline, before = Deadline.after(settings.broker_timeout), positions
        elif deadline.passed:
            raise StalledError(
                f"Nothing came from topic {reader.topic!r} for {settings.broker_timeout:g} s before its end.",
                hint="See that the brokers of all its partitions are up, then start again.",
            )


def _drop_from(columns: RecordColumns, end: int) -> None:
    """Removes the records at and after an offset."""
    if not columns.offsets or columns.offsets[-1] < end:
        return
    count = sum(1 for offset in columns.offsets if offset < end)
    for column in (columns.offsets, columns.timestamps, columns.keys, columns.values):
        del column[count:]
    columns.headers = {row: headers for row, headers in columns.headers.items() if row < count}


def read_topic(settings: KafkaSettings, topic: str) -> Iterator[RecordColumns]:
    """All committed records of a topic, as it is now."""
    yield from read_records(settings, topic, extents(settings, topic))


def positions_in(columns: RecordColumns, rows: Sequence[int]) -> list[str]:
    """`topic/partition/offset` of some records."""
    return [f"{columns.topic}/{columns.partition}/{columns.offsets[row]}" for row in rows]
