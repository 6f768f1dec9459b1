"""Predictions and dead letters as answers, by the event that each speaks of; and what retention has taken."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.folder import LocalFolder
from batch.pipeline import ahead
from batch.proof.plan import AnswerRange, EventRange, Plan, Role
from batch.proof.recorded import Recorded
from batch.proof.spill import Books, Spill, books_in, write_books
from batch.proof.stamps import Read, Reading
from shared.position import position_of
from shared.replay_log import Replayed, entries_of
from shared.visible import visible

#: The topics of answers, in the order in which they are read.
TELLING: Final = (Role.PREDICTIONS, Role.DEAD_LETTERS)
# A prediction is short; a dead letter may hold an event of a megabyte.
_PREDICTIONS_AT_ONCE: Final = 8_192
_LETTERS_AT_ONCE: Final = 256
#: Takes how many rows are new, of what, and how much of a step is done.
Tell: TypeAlias = Callable[[int, str, float], None]
#: By role and partition, the books.
AllBooks: TypeAlias = Mapping[tuple[Role, int], tuple[Path, Books]]


def books_of(
    plan: Plan, recorded: Mapping[Role, list[Recorded]], folder: Path, step: Callable[[int], Tell]
) -> dict[tuple[Role, int], tuple[Path, Books]]:
    """The books of each partition of the topics of answers, which is read now where that is not done yet.

    Args:
        plan: What the proof covers.
        recorded: The snapshots.
        folder: Where the answers are kept.
        step: Takes the size of a step; gives what is told of its progress.

    Returns:
        By role and partition, the folder of its answers, and its books.

    Raises:
        InputError: A snapshot is not whole, or the disk is full.
    """
    found: dict[tuple[Role, int], tuple[Path, Books]] = {}
    replayed: Replayed | None = None
    for role in TELLING:
        for one in recorded[role]:
            path, tell = folder / f"{role}-{one.partition}", step(one.offsets)
            books = books_in(path)
            if books is None:
                if replayed is None:
                    replayed = _replayed(recorded.get(Role.REPLAYS, []))
                books = _Reading(plan, role, one, replayed).into(LocalFolder(path), tell)
            found[role, one.partition] = path, books
    return found


def _replayed(recorded: list[Recorded]) -> Replayed:
    """The log of replays."""
    replayed = Replayed()
    for one in recorded:
        for batch in one.read(["value"]):
            replayed.enter(entries_of(batch.column("value").to_pylist(), one.topic, one.partition))
    return replayed


@dataclass(slots=True)
class _LeftOut:
    """By partition, answers of events that the plan does not cover: as Books has them."""

    outside: Counter[int] = field(default_factory=Counter)
    behind: Counter[int] = field(default_factory=Counter)
    beyond: Counter[int] = field(default_factory=Counter)


class _Reading:
    """Reads one partition of a topic of answers.

    Args:
        plan: What the proof covers.
        role: What the topic is.
        recorded: Its partition.
        replayed: What has been replayed.
    """

    def __init__(self, plan: Plan, role: Role, recorded: Recorded, replayed: Replayed) -> None:
        self._recorded = recorded
        partitions = {one.partition for one in plan.events}
        reading = Reading(plan.topics[Role.EVENTS], partitions, recorded.partition, replayed)
        letters = role is Role.DEAD_LETTERS
        self._read: Callable[[pa.RecordBatch], Read] = reading.letters if letters else reading.predictions
        self._columns = ["offset", "timestamp", "key", "value", *(["headers"] if letters else [])]
        self._rows_at_once = _LETTERS_AT_ONCE if letters else _PREDICTIONS_AT_ONCE
        self._starts, self._ends, self._unwritten = _bounds(plan.events)

    def into(self, folder: LocalFolder, tell: Tell) -> Books:
        """Writes its answers into a folder, and last of all its books.

        Raises:
            InputError: The snapshot is not whole, or the disk is full.
        """
        folder.create()
        spill, replayed = Spill(folder), Counter[int]()
        left_out = _LeftOut()
        records = elsewhere = foreign = 0
        first: int | None = None
        first_foreign: str | None = None
        for batch in ahead(self._recorded.read(self._columns, self._rows_at_once)):
            read = self._read(batch)
            spill.add(self._covered(read.answers, left_out))
            replayed += read.replayed
            records, elsewhere = records + batch.num_rows, elsewhere + read.elsewhere
            foreign += read.foreign
            if first_foreign is None and read.first_foreign is not None:
                at, why = read.first_foreign
                first_foreign = visible(
                    f"{position_of(self._recorded.topic, self._recorded.partition, at)} is {why}"
                )
            first = read.first if first is None else first
            tell(batch.num_rows, f"{self._recorded.topic}, its answers", records / self._recorded.rows)
        books = Books(
            records=records,
            windows=spill.finish(),
            outside=dict(sorted(left_out.outside.items())),
            behind=dict(sorted(left_out.behind.items())),
            beyond=dict(sorted(left_out.beyond.items())),
            replayed=dict(sorted(replayed.items())),
            elsewhere=elsewhere,
            foreign=foreign,
            first_foreign=first_foreign,
            first=first,
        )
        write_books(folder, books)
        # Arrow keeps what it has freed for itself, as much as the largest partition took.
        pa.default_memory_pool().release_unused()
        return books

    def _covered(self, answers: pa.Table, left_out: _LeftOut) -> pa.Table:
        """The answers of events that the plan covers; the others are counted."""
        partitions, offsets = answers.column("partition").to_numpy(), answers.column("offset").to_numpy()
        inside = (offsets >= self._starts[partitions]) & (offsets < self._ends[partitions])
        if inside.all():
            return answers
        left_out.outside.update(partitions[~inside].tolist())
        left_out.behind.update(partitions[offsets >= self._ends[partitions]].tolist())
        left_out.beyond.update(partitions[offsets >= self._unwritten[partitions]].tolist())
        return answers.filter(pa.array(inside))


def _bounds(events: list[EventRange]) -> list[npt.NDArray[np.int64]]:
    """By partition, the first offset, the one after the last, and the first that was not written yet."""
    count = max((one.partition for one in events), default=-1) + 1
    starts, ends, unwritten = (np.zeros(count, np.int64) for _ in range(3))
    for one in events:
        starts[one.partition], ends[one.partition] = one.start, one.end
        unwritten[one.partition] = np.iinfo(np.int64).max if one.unwritten is None else one.unwritten
    return [starts, ends, unwritten]


def narrowed(plan: Plan, events: Mapping[int, Recorded], books: AllBooks) -> Plan:
    """The plan without the events whose answers may have been deleted.

    Where a topic of answers no longer begins at its first record, the events of the partition of the same
    number are proved from the first one on that a record speaks of which is left and which no replay has
    written; or from the first that is younger than anything that retention has taken.

    Raises:
        InputError: A snapshot is not whole.
    """
    starts: dict[int, int] = {}
    notes: list[str] = []
    covered = {one.partition: one for one in plan.events}
    for role in TELLING:
        for one in plan.answers[role]:
            own = covered.get(one.partition)
            if not one.cut or own is None:
                continue
            first = books[role, one.partition][1].first
            start = _first_left(role, one, own, events[one.partition], first)
            if start > own.start:
                starts[one.partition] = max(start, starts.get(one.partition, 0))
                notes.append(
                    f"Of topic {plan.topics[role]!r}, partition {one.partition}, records before offset"
                    f" {one.start} were deleted: events of that partition are proved only from offset"
                    f" {start} on."
                )
            left = own.end if first is None else min(first, own.end)
            if role is Role.DEAD_LETTERS and start < left:
                notes.append(
                    f"Where events of partition {one.partition} are missing from offset {start} up to {left},"
                    " retention may have deleted their dead letters: prove younger events with --since."
                )
    return plan.narrowed(starts, notes)


def _first_left(
    role: Role, answers: AnswerRange, own: EventRange, events: Recorded, first: int | None
) -> int:
    """The first offset from which all answers are still there; the end when nothing shows one.

    Predictions are left of the first event that they speak of and of all after it. Dead letters are few: the
    first that is left may be of an event long after the last one that lost its letter.
    """
    found = [own.end, *([] if first is None else [first])]
    if answers.kept_since is not None and (role is Role.DEAD_LETTERS or first is None):
        young = events.first_since(answers.kept_since)
        # Where no event is older than what retention takes, somebody else has deleted the records.
        if young is not None and (own.start or young != events.first_since(0)):
            found.append(young)
    return min(found)
