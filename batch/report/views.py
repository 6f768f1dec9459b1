"""The tables of a page: what of a result stands in which row, in which order, and what is folded away."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal

from batch.proof.classes import AGREEING, CLASSES, NOT_CONSERVED, Found
from batch.proof.result import Example, Explaining, FeatureParity, PartitionLedger, Proof
from batch.replaying.result import Flips, Replay

#: How a row or cell is to be taken: all is well, something is wrong, or neither.
Tone = Literal["good", "bad", "quiet"]
#: The sign that goes with each, for those who do not see its colour.
SIGNS: Final[dict[Tone, str]] = {"good": "✓", "bad": "✗", "quiet": "·"}
# A longer table is folded.
_MOST_ROWS: Final = 16
# Of more inputs only the first, in which decisions flip most, are shown with their segments.
_MOST_INPUTS: Final = 5
# Classes that are told only where they occur: they come with an option.
_ONLY_WHERE_FOUND: Final = (Found.NOT_SAMPLED, Found.NO_ROW)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class of events.

    Attributes:
        name: Its name.
        meaning: What it means.
        events: How many events fall into it.
        tone: How that is to be taken.
    """

    name: str
    meaning: str
    events: int
    tone: Tone

    @property
    def sign(self) -> str:
        """The sign of its tone."""
        return SIGNS[self.tone]


def classes(proof: Proof) -> list[ClassRow]:
    """The classes: what agrees first, then the rest in the order in which it is looked for."""
    told = [found for found in CLASSES if proof.counts[found] or found not in _ONLY_WHERE_FOUND]
    told.sort(key=lambda found: found not in AGREEING)
    return [
        ClassRow(_name(found), CLASSES[found], proof.counts[found], _tone(found, proof)) for found in told
    ]


def _tone(found: Found, proof: Proof) -> Tone:
    if not proof.counts[found] or found is Found.NOT_SAMPLED:
        return "quiet"
    return "good" if found in AGREEING else "bad"


@dataclass(frozen=True, slots=True)
class BookRow:
    """The books of a partition, or of all.

    Attributes:
        ledger: The partition's.
        wrong: What does not add up in it, in words.
    """

    ledger: PartitionLedger
    wrong: str


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger.

    Attributes:
        shown: Partitions that are always shown: all of a few, else those that do not close.
        folded: All partitions, when they are too many to be shown.
        closed: How many close.
        total: How many there are.
        events: Events in all of them.
        predictions: Predictions in all of them.
        letters: Dead letters in all of them.
        replayed: Dead letters that were replayed since.
        strays: Answers of no event.
    """

    shown: list[BookRow]
    folded: list[BookRow]
    closed: int
    total: int
    events: int
    predictions: int
    letters: int
    replayed: int
    strays: int


def books(proof: Proof) -> Books:
    """The books of the partitions, those that do not close first when they are many."""
    rows = [BookRow(ledger, _wrong(ledger)) for ledger in sorted(proof.ledger, key=lambda one: one.partition)]
    many = len(rows) > _MOST_ROWS
    broken = [row for row in rows if not row.ledger.closes]
    return Books(
        shown=broken[:_MOST_ROWS] if many else rows,
        folded=rows if many else [],
        closed=len(rows) - len(broken),
        total=len(rows),
        events=sum(ledger.events for ledger in proof.ledger),
        predictions=sum(ledger.predictions for ledger in proof.ledger),
        letters=sum(ledger.letters for ledger in proof.ledger),
        replayed=sum(ledger.replayed for ledger in proof.ledger),
        strays=sum(ledger.of_no_event for ledger in proof.ledger),
    )


def unbalanced(proof: Proof) -> str:
    """Why a proof is not conserved, in sentences; nothing when it is."""
    told = []
    if broken := sum(not ledger.closes for ledger in proof.ledger):
        told.append(
            f"The books of {broken:,} of {len(proof.ledger):,} partitions do not close: an event was lost,"
            " answered more than once, elsewhere, or not in turn, or something else was answered."
        )
    if proof.foreign:
        told.append(f"{_number(proof.foreign, 'record')} on the topics of answers is none.")
    if proof.rows_without_event:
        told.append(f"{_number(proof.rows_without_event, 'row')} of the batch side has the id of no event.")
    return " ".join(told)


def _number(number: int, thing: str) -> str:
    return f"One {thing}" if number == 1 else f"Each of {number:,} {thing}s"


def _wrong(ledger: PartitionLedger) -> str:
    told = [f"{ledger.counts[found]:,} {_name(found)}" for found in NOT_CONSERVED if ledger.counts.get(found)]
    if ledger.of_no_event:
        told.append(f"{ledger.of_no_event:,} of no event")
    if not told and not ledger.closes:
        told = [f"{ledger.events:,} events, {ledger.predictions + ledger.letters:,} answers"]
    return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the parity matrix.

    Attributes:
        events: How many events fall into it.
        tone: Whether both paths gave the same answer there.
        level: From 0, for none, to 4 how many they are, by powers.
    """

    events: int
    tone: Tone
    level: int

    @property
    def sign(self) -> str:
        """The sign of its tone; nothing where there is no event."""
        return SIGNS[self.tone] if self.events and self.tone != "quiet" else ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Answers against answers.

    Attributes:
        columns: The batch path's answers.
        rows: By the stream's answer its cells.
        totals: Of each column.
    """

    columns: list[str]
    rows: list[tuple[str, list[Cell]]]
    totals: list[int]


def matrix(proof: Proof) -> Matrix:
    """The parity matrix; answers that nobody gave are left out, but for those that every proof has."""
    columns = list(dict.fromkeys(name for row in proof.matrix.values() for name in row))
    columns = [
        name
        for name in columns
        if name != "not scored" or any(row.get(name) for row in proof.matrix.values())
    ]
    most = max((events for row in proof.matrix.values() for events in row.values()), default=0)
    rows = [
        (answer, [_cell(answer, name, row.get(name, 0), most) for name in columns])
        for answer, row in proof.matrix.items()
        if answer in columns or any(row.values())
    ]
    totals = [sum(row.get(name, 0) for row in proof.matrix.values()) for name in columns]
    return Matrix(columns, rows, totals)


def _cell(stream: str, batch: str, events: int, most: int) -> Cell:
    tone: Tone = "good" if stream == batch else "bad"
    if batch == "not scored" and stream not in ("several", "none"):
        tone = "quiet"
    level = 1 + round(3 * math.log(events) / math.log(max(most, 2))) if events else 0
    return Cell(events, tone, level)


@dataclass(frozen=True, slots=True)
class ExampleGroup:
    """Examples of a class.

    Attributes:
        name: The class.
        meaning: What it means.
        events: How many events fall into it.
        examples: Some of them.
    """

    name: str
    meaning: str
    events: int
    examples: list[Example]


def examples(proof: Proof) -> list[ExampleGroup]:
    """The examples by class, in the order in which classes are looked for."""
    return [
        ExampleGroup(_name(found), CLASSES[found], proof.counts[found], shown)
        for found in CLASSES
        if (shown := [example for example in proof.examples if example.found is found])
    ]


def explained(proof: Proof) -> list[tuple[str, list[Explaining]]]:
    """What the events of a class have in common, by class."""
    order = list(CLASSES)
    by_class = sorted(proof.explaining, key=lambda one: order.index(one.found))
    return [(_name(found), list(ones)) for found, ones in groupby(by_class, key=lambda one: one.found)]


@dataclass(frozen=True, slots=True)
class Features:
    """How inputs compare.

    Attributes:
        differing: Those that differ anywhere, the worst first.
        alike: Those that never do.
    """

    differing: list[FeatureParity] = field(default_factory=list)
    alike: list[FeatureParity] = field(default_factory=list)


def features(proof: Proof) -> Features:
    """The inputs, those that differ first."""
    differing = [one for one in proof.features if _unlike(one)]
    differing.sort(key=_unlike, reverse=True)
    return Features(differing, [one for one in proof.features if not _unlike(one)])


def _unlike(feature: FeatureParity) -> int:
    return feature.mismatched + feature.missing + feature.extra


@dataclass(frozen=True, slots=True)
class SegmentGroup:
    """The segments of an input.

    Attributes:
        feature: The input.
        shown: Those that are always shown.
        folded: The rest.
    """

    feature: str
    shown: Sequence[Flips]
    folded: Sequence[Flips]


@dataclass(frozen=True, slots=True)
class Segments:
    """All segments of a replay.

    Attributes:
        shown: Inputs that are always shown.
        folded: The rest.
        most: The largest share of decisions that flip one way in any segment.
    """

    shown: Sequence[SegmentGroup]
    folded: Sequence[SegmentGroup]
    most: float


def segments(replay: Replay) -> Segments:
    """The segments by input, in the order in which the replay tells them."""
    by_feature: dict[str, list[Flips]] = {}
    for one in replay.segments:
        by_feature.setdefault(one.feature, []).append(one)
    groups = [
        SegmentGroup(name, found[:_MOST_ROWS], found[_MOST_ROWS:]) for name, found in by_feature.items()
    ]
    shares = (max(one.raised, one.lowered) / one.events for one in replay.segments if one.events)
    return Segments(groups[:_MOST_INPUTS], groups[_MOST_INPUTS:], max(shares, default=0.0))


def _name(found: Found) -> str:
    return found.replace("_", " ")
