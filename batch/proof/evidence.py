"""All that a proof has to judge: events beside their answers, window by window, in bounded memory."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from batch.pipeline import ahead
from batch.proof.answered import AllBooks
from batch.proof.plan import SINCE, EventRange, Plan, Role
from batch.proof.recorded import Recorded
from batch.proof.spill import Spilled
from batch.proof.window import WINDOW_OFFSETS, Window, window_of
from batch.snapshots import RECORD_SCHEMA
from shared.wording import counted

#: The columns of a window's events, of those that a snapshot has.
EVENT_COLUMNS: Final = ("partition", "offset", "timestamp", "key", "value")
# So many partitions are told of in a note.
_PARTITIONS: Final = 8
_NO_EVENTS: Final = pa.schema([RECORD_SCHEMA.field(name) for name in EVENT_COLUMNS]).empty_table()


@dataclass(frozen=True, slots=True)
class _Later:
    """Where predictions of later windows stand.

    Attributes:
        numbers: The windows that have answers, rising.
        leasts: Where the first prediction of each, and of all after it, stands.
    """

    numbers: list[int]
    leasts: list[int | None]

    def after(self, number: int) -> int | None:
        """Where the first prediction of any window after one stands."""
        place = bisect_right(self.numbers, number)
        return self.leasts[place] if place < len(self.leasts) else None


class Evidence:
    """What was gathered.

    Args:
        plan: What the proof covers.
        events: The snapshots of the input topic, by partition.
        books: What the partitions of the topics of answers held.

    Attributes:
        plan: What the proof covers.
    """

    def __init__(self, plan: Plan, events: Mapping[int, Recorded], books: AllBooks) -> None:
        self.plan = plan
        self._ranges = {one.partition: one for one in plan.events}
        self._events, self._books = events, books
        self._spilled = Spilled(dict(books.values()))

    @property
    def topic(self) -> str:
        """The input topic."""
        return self.plan.topics[Role.EVENTS]

    @property
    def partitions(self) -> list[int]:
        """The partitions of the input topic; some may have no event that the proof covers."""
        return sorted(self._ranges)

    def range_of(self, partition: int) -> EventRange:
        """The offsets of a partition that the proof covers."""
        return self._ranges[partition]

    @property
    def records(self) -> int:
        """Events in the snapshots, for progress; a few of them may be before what the proof covers."""
        return sum(one.rows for one in self._events.values())

    def replayed(self, partition: int) -> int:
        """Dead letters of a partition's events that were replayed since, and stand for nothing any more."""
        return sum(books.replayed.get(partition, 0) for _, books in self._books.values())

    def beyond(self, partition: int) -> int:
        """Answers of a partition for offsets that no event had yet."""
        return sum(books.beyond.get(partition, 0) for _, books in self._books.values())

    @cached_property
    def foreign(self) -> dict[str, int]:
        """By topic, records that are neither predictions nor dead letters; a proof with any does not hold."""
        found: Counter[str] = Counter()
        for (role, _), (_, books) in self._books.items():
            found[self.plan.topics[role]] += books.foreign
        return {topic: count for topic, count in found.items() if count}

    @property
    def notes(self) -> list[str]:
        """What limits the proof, and which records could not be used, as sentences."""
        notes = list(self.plan.notes)
        for topic, count in self.foreign.items():
            told = [
                books.first_foreign
                for (role, _), (_, books) in sorted(self._books.items())
                if self.plan.topics[role] == topic and books.first_foreign is not None
            ]
            notes.append(
                f"Topic {topic!r} holds {count:,} records that Tandem has not written; the first: {told[0]}."
            )
        elsewhere: Counter[str] = Counter()
        for (role, _), (_, books) in self._books.items():
            elsewhere[self.plan.topics[role]] += books.elsewhere
        notes += [
            f"Topic {topic!r} also holds {count:,} answers for events of other topics, which are left out."
            for topic, count in elsewhere.items()
            if count
        ]
        return notes + self._unjudged()

    def _unjudged(self) -> list[str]:
        """Of snapshots, which answers no event of theirs can be laid beside.

        Of topics it is known that these events are pending, or before `--since`.
        """
        behind, before = Counter[int](), Counter[int]()
        since = SINCE in self.plan.settings
        for _, books in self._books.values():
            for partition, outside in books.outside.items():
                after = books.behind.get(partition, 0)
                if self._ranges[partition].unwritten is None:
                    behind[partition] += after
                    before[partition] += 0 if since else outside - after
        return [
            f"{counted(found.total(), 'answer')} {'is' if found.total() == 1 else 'are'} of events {where} of"
            f" the events' snapshot ({_by_partition(found)}), and not judged: {why}."
            for found, where, why in (
                (behind, "behind the end", "they came after it was made, or it was cut short"),
                (before, "before the start", "retention has deleted them, or it was cut short"),
            )
            if found.total()
        ]

    def outside(self, partition: int) -> int:
        """Answers of a partition's events that the proof does not cover: they are not judged."""
        never = sum(books.outside.get(partition, 0) for _, books in self._books.values())
        own = self._ranges[partition]
        # Only the start may have been moved since the answers were sorted.
        first = window_of(own.start)
        before = [number for number in self._spilled.windows(partition) if number <= first]
        count = sum(self._spilled.count(partition, number) for number in before if number < first)
        if first in before:
            offsets = self._spilled.answers(partition, first).column("offset").to_numpy()
            count += int(np.count_nonzero(offsets < own.start))
        return never + count

    def windows(self, partition: int) -> Iterator[Window]:
        """The windows of a partition in order, but for those without an event and without an answer.

        Raises:
            InputError: A snapshot is not whole, or the work folder is damaged.
        """
        own = self._ranges[partition]
        if own.end <= own.start:
            return
        numbers = [
            number
            for number in self._spilled.windows(partition)
            if window_of(own.start) <= number <= window_of(own.end - 1)
        ]
        later = _Later(numbers, self._leasts(partition, numbers))
        waiting = [*reversed(numbers)]
        for number, events in ahead(_windows(self._events[partition], own)):
            while waiting and waiting[-1] < number:
                yield self._window(own, waiting.pop(), _NO_EVENTS, later)
            if waiting and waiting[-1] == number:
                waiting.pop()
            yield self._window(own, number, events, later)
        while waiting:
            yield self._window(own, waiting.pop(), _NO_EVENTS, later)

    def _leasts(self, partition: int, numbers: list[int]) -> list[int | None]:
        """Where the first prediction of each window, and of all windows after it, stands."""
        found: list[int | None] = []
        least: int | None = None
        for number in reversed(numbers):
            here = self._spilled.least(partition, number)
            least = min((at for at in (here, least) if at is not None), default=None)
            found.append(least)
        return found[::-1]

    def _window(self, own: EventRange, number: int, events: pa.Table, later: _Later) -> Window:
        answers = self._spilled.answers(own.partition, number)
        offsets = answers.column("offset").to_numpy()
        inside = (offsets >= own.start) & (offsets < own.end)
        if not inside.all():
            answers = answers.filter(pa.array(inside))
        return Window(self.topic, own.partition, number, events, answers, later.after(number))


def _by_partition(counts: Counter[int]) -> str:
    told = [f"partition {partition}: {count:,}" for partition, count in sorted(counts.items()) if count]
    return ", ".join(
        told[:_PARTITIONS] + ([f"and {len(told) - _PARTITIONS} more"] if told[_PARTITIONS:] else [])
    )


def _windows(recorded: Recorded, own: EventRange) -> Iterator[tuple[int, pa.Table]]:
    """The events of a partition that the proof covers, by the number of their window."""
    number, waiting = -1, list[pa.RecordBatch]()
    for batch in recorded.read(EVENT_COLUMNS):
        offsets = batch.column("offset").to_numpy()
        at, stop = np.searchsorted(offsets, (own.start, own.end)).tolist()
        while at < stop:
            here = window_of(int(offsets[at]))
            if here != number:
                if waiting:
                    yield number, pa.Table.from_batches(waiting)
                number, waiting = here, []
            upto = min(stop, int(np.searchsorted(offsets, (here + 1) * WINDOW_OFFSETS)))
            waiting.append(batch.slice(at, upto - at))
            at = upto
        if stop < len(offsets):
            break
    if waiting:
        yield number, pa.Table.from_batches(waiting)
