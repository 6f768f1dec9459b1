"""Records as columns: what the reader gives and what the writer takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Header = tuple[str, bytes | None]


class Mark(NamedTuple):
    """What a group commits for a partition.

    Attributes:
        offset: The next offset to read.
        metadata: A text that the group keeps beside it, of at most 4 KiB.
    """

    offset: int
    metadata: str = ""


@dataclass(slots=True)
class RecordColumns:
    """Consecutive records of one partition, one list a field; the lists are of equal length.

    Attributes:
        topic: The topic that the records come from.
        partition: Its partition.
        offsets: Offsets, rising; there may be gaps (compaction, transaction markers).
        timestamps: Milliseconds since the epoch, as sent or as stamped by the broker.
        keys: Keys; None where a record has none.
        values: Values; None where a record has none.
        headers: Row index to headers, for those rows that have any.
        next_offset: What to commit once these records are done.
    """

    topic: str
    partition: int
    offsets: list[int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    headers: dict[int, list[Header]] = field(default_factory=dict)
    next_offset: int = 0

    def __len__(self) -> int:
        return len(self.offsets)

    def extend(self, other: "RecordColumns") -> None:
        """Appends later records of the same partition."""
        if other.headers:
            shift = len(self.offsets)
            self.headers.update({row + shift: headers for row, headers in other.headers.items()})
        self.offsets += other.offsets
        self.timestamps += other.timestamps
        self.keys += other.keys
        self.values += other.values
        self.next_offset = other.next_offset

    def head(self, count: int) -> "RecordColumns":
        """The first `count` records, to be committed on their own; all of them when there are no more."""
        if count >= len(self):
            return self
        return RecordColumns(
            self.topic,
            self.partition,
            self.offsets[:count],
            self.timestamps[:count],
            self.keys[:count],
            self.values[:count],
            {row: headers for row, headers in self.headers.items() if row < count},
            self.offsets[count - 1] + 1,
        )

    def tail(self, count: int) -> "RecordColumns":
        """What `head(count)` leaves."""
        return RecordColumns(
            self.topic,
            self.partition,
            self.offsets[count:],
            self.timestamps[count:],
            self.keys[count:],
            self.values[count:],
            {row - count: headers for row, headers in self.headers.items() if row >= count},
            self.next_offset,
        )

    def drop_before(self, offset: int) -> None:
        """Removes the records whose offset is below `offset`."""
        count = sum(1 for known in self.offsets if known < offset)
        for column in (self.offsets, self.timestamps, self.keys, self.values):
            del column[:count]
        self.headers = {row - count: headers for row, headers in self.headers.items() if row >= count}


@dataclass(slots=True)
class NewRecords:
    """Records to write to one partition, one sequence a field.

    Attributes:
        topic: Where to write.
        partition: Its partition.
        keys: Keys; None where a record has none.
        values: Values; None where a record has none.
        timestamp: Milliseconds since the epoch: one for all records, or one each.
        headers: One sequence of headers a record, or None when no record has any.
    """

    topic: str
    partition: int
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    timestamp: int | Sequence[int]
    headers: Sequence[Sequence[Header]] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, start: int, stop: int) -> "NewRecords":
        """The records from `start` up to, not including, `stop`."""
        return NewRecords(
            self.topic,
            self.partition,
            self.keys[start:stop],
            self.values[start:stop],
            self.timestamp if isinstance(self.timestamp, int) else self.timestamp[start:stop],
            None if self.headers is None else self.headers[start:stop],
        )
