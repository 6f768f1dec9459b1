"""Reading the dead-letter topic: letters as values, and what there is no letter of Tandem's."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from shared.dead_letters import Told, told_by
from shared.errors import ConfigurationError
from shared.kafka.columns import Header, RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import Extent, extents, read_to_end
from shared.position import position_of
from shared.visible import visible

logger = logging.getLogger(__name__)

#: A topic, a partition and an offset.
Place: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    Attributes:
        topic: The dead-letter topic.
        partition: Its partition, which is the event's too.
        offset: The letter's offset there.
        timestamp: When it was written, in milliseconds since the epoch.
        key: The event's key, or None where the letter goes without its bytes.
        value: The event's bytes likewise.
        headers: The event's own, then Tandem's.
        told: What Tandem's say.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    told: Told

    @property
    def place(self) -> str:
        """Where the letter stands, `topic/partition/offset`."""
        return position_of(self.topic, self.partition, self.offset)


def place_from(text: str) -> Place:
    """What `topic/partition/offset` says.

    Raises:
        ValueError: The text is something else.
    """
    topic, *numbers = text.rsplit("/", 2)
    if topic and len(numbers) == 2 and all(n.isascii() and n.isdigit() and len(n) < 20 for n in numbers):
        return topic, int(numbers[0]), int(numbers[1])
    raise ValueError("a position such as customers/3/1042, topic/partition/offset")


def letter_at(columns: RecordColumns, row: int) -> Letter:
    """A record as a letter.

    Raises:
        ValueError: It is none that Tandem wrote, for the reason given.
    """
    headers = columns.headers.get(row, [])
    told = told_by(headers)
    if told.origin.partition != columns.partition:
        raise ValueError(f"its event is of partition {told.origin.partition}")
    return Letter(
        columns.topic,
        columns.partition,
        columns.offsets[row],
        columns.timestamps[row],
        columns.keys[row],
        columns.values[row],
        headers,
        told,
    )


class Letters:
    """The dead-letter topic as it is when this is made, read in pieces.

    Args:
        settings: Where the brokers are.
        topic: The dead-letter topic.
        partitions: Which of its partitions; empty for all.

    Attributes:
        strangers: How many records were met that are no letters of Tandem's.

    Raises:
        ConfigurationError: There is no such topic or partition.
        TandemError: The broker does not answer.
    """

    def __init__(self, settings: KafkaSettings, topic: str, partitions: Sequence[int] = ()) -> None:
        self._settings = settings
        self._topic = topic
        held = extents(settings, topic)
        if unknown := sorted(set(partitions) - set(held)):
            raise ConfigurationError(
                f"topic {topic!r} has {len(held)} partitions; there is no {unknown[0]}",
                hint=f"Partitions are counted from 0 to {len(held) - 1}: correct --partition.",
            )
        self._wanted = {p: extent for p, extent in held.items() if not partitions or p in partitions}
        self._done: dict[int, int] = {}
        self.strangers = 0

    @property
    def share(self) -> float:
        """How much of the topic has been read, from 0 to 1."""
        total = sum(extent.end - extent.start for extent in self._wanted.values())
        done = sum(upto - self._wanted[partition].start for partition, upto in self._done.items())
        return done / total if total else 1.0

    def read(self) -> Iterator[list[Letter]]:
        """The letters, those of a partition in order; one list each time some came.

        Raises:
            TandemError: The broker does not answer, or deletes letters before they are read.
        """
        for columns in read_to_end(self._settings, self._topic, self._wanted):
            self._done[columns.partition] = columns.next_offset
            yield [letter for row in range(len(columns)) if (letter := self._letter(columns, row))]

    def _letter(self, columns: RecordColumns, row: int) -> Letter | None:
        try:
            return letter_at(columns, row)
        except ValueError as error:
            self.strangers += 1
            if self.strangers == 1:
                logger.warning(
                    "%s/%d/%d is no dead letter of Tandem's: %s; it is left alone, and so are others like it",
                    columns.topic, columns.partition, columns.offsets[row], visible(str(error)),
                )  # fmt: skip
            return None


def letter_from(settings: KafkaSettings, topic: str, partition: int, offset: int) -> Letter | None:
    """The letter at one place; None when nothing is there any more.

    Raises:
        ValueError: The record there is no letter of Tandem's.
        TandemError: The broker does not answer, or there is no such partition.
    """
    columns = record_at(settings, topic, partition, offset)
    return None if columns is None else letter_at(columns, 0)


def record_at(settings: KafkaSettings, topic: str, partition: int, offset: int) -> RecordColumns | None:
    """The one record at a place, as columns; None when there is none, or it was deleted.

    Raises:
        ConfigurationError: There is no such topic or partition.
        TandemError: The broker does not answer.
    """
    places = extents(settings, topic)
    held = places.get(partition)
    if held is None:
        raise ConfigurationError(
            f"topic {topic!r} has {len(places)} partitions; there is no {partition}",
            hint=f"Partitions are counted from 0 to {len(places) - 1}: correct the position.",
        )
    if not held.start <= offset < held.end:
        return None
    found = None
    for columns in read_to_end(settings, topic, {partition: Extent(offset, offset + 1)}):
        found = columns
    return found
