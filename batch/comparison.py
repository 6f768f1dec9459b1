"""Whether two sides gave the same answers, to the bit: by columns, so that a million rows take a second."""

from dataclasses import dataclass, field
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.explained import explained_alike, explained_by_both
from batch.sides import Side
from batch.ulps import ulps_between

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: What can become of an id, in the order in which it is told; each id falls into exactly one class.
CLASSES: Final = {
    "identical": "same score to the bit, same decision, same contributions where both have them",
    "within_tolerance": "same decision, scores within --tolerance",
    "different": "another decision, other contributions, or scores further apart",
    "missing": "a prediction in batch only",
    "extra": "a prediction in the stream only",
    "duplicated": "more than once on one side",
    "rejected_alike": "rejected on both sides for the same reason",
    "rejected_differently": "rejected on both sides for different reasons",
    "rejected_on_one": "rejected on one side only",
}
#: The classes in which both sides agree.
AGREEING: Final = ("identical", "rejected_alike")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far apart two scores may be.

    Attributes:
        amount: The largest difference; 0 with `score` admits only another sign of zero.
        unit: `score`, or `ulp`: representable numbers from one to the other.
    """

    amount: float = 0.0
    unit: Literal["score", "ulp"] = "score"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `1e-9` or `4ulp`.

        Raises:
            ValueError: It is neither.
        """
        number, unit = text.strip().lower(), "score"
        if number.endswith(("ulp", "ulps")):
            number, unit = number.rstrip("s").removesuffix("ulp"), "ulp"
        amount = float(number)
        if not (np.isfinite(amount) and amount >= 0):
            raise ValueError("a tolerance is finite and not negative")
        return cls(amount, "ulp" if unit == "ulp" else "score")


@dataclass(frozen=True, slots=True)
class Example:
    """One id on which the sides do not agree; None stands for what a side does not have.

    Attributes:
        id: The id.
        found: The class that it falls into.
        stream: The stream's score.
        batch: The batch's score.
        stream_decision: The stream's decision.
        batch_decision: The batch's decision.
        ulps: How many representable numbers lie from one score to the other.
        explained_alike: Whether the contributions are the same; None unless both sides have them.
        stream_reason: Why the stream rejected it.
        batch_reason: Why the batch rejected it.
    """

    id: str
    found: str
    stream: float | None = None
    batch: float | None = None
    stream_decision: bool | None = None
    batch_decision: bool | None = None
    ulps: int | None = None
    explained_alike: bool | None = None
    stream_reason: str | None = None
    batch_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer.

    Attributes:
        stream: What the stream's side is called.
        batch: What the batch's side is called.
        counts: How many ids fall into each of CLASSES.
        predictions: How many predictions each side has: the stream's, the batch's.
        rejections: How many rejections each side has.
        largest_difference: The largest difference of two scores of one id.
        largest_ulps: The same in representable numbers.
        explained: How many pairs of predictions were compared with their contributions.
        explained_differently: How many of them do not have the same contributions.
        stream_models: The models of the stream's predictions, `name@version digest`.
        batch_models: Those of the batch's.
        examples: A few ids of each class that does not agree.
    """

    stream: str
    batch: str
    counts: dict[str, int]
    predictions: tuple[int, int]
    rejections: tuple[int, int]
    largest_difference: float
    largest_ulps: int
    explained: int
    explained_differently: int
    stream_models: list[str]
    batch_models: list[str]
    examples: list[Example] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All ids."""
        return sum(self.counts.values())

    @property
    def agrees(self) -> bool:
        """Whether there is anything, and all of it identical or rejected alike."""
        return 0 < self.total == sum(self.counts[name] for name in AGREEING)

    @property
    def same_models(self) -> bool:
        """Whether both sides were scored by the same models; true while one of them has no prediction."""
        either_empty = not (self.stream_models and self.batch_models)
        return either_empty or self.stream_models == self.batch_models


def compare_sides(
    stream: Side, batch: Side, tolerance: Tolerance | None = None, examples: int = 3
) -> Comparison:
    """Compares two sides id by id, without looking at one row at a time.

    Args:
        stream: The predictions and rejections of the stream.
        batch: Those of the batch path.
        tolerance: How far apart scores may be to count as within tolerance; None: not at all.
        examples: How many ids to show of each class that does not agree.
    """
    index = _Index.of(stream, batch)
    both = index.scored_once(0) & index.scored_once(1) & ~index.duplicated
    ours, theirs = index.first[0][both], index.first[1][both]
    left, right = stream.scores[ours], batch.scores[theirs]
    apart, ulps = np.abs(left - right), ulps_between(left, right)
    decided = stream.decisions[ours] == batch.decisions[theirs]
    explained, alike = _explained(stream, batch, ours, theirs)
    identical = decided & alike & (left.view(np.int64) == right.view(np.int64))
    allowed = tolerance or Tolerance()
    near = (ulps if allowed.unit == "ulp" else apart) <= allowed.amount
    found = index.classes(stream, batch)
    found[both] = np.where(
        identical,
        _code("identical"),
        np.where(decided & alike & near, _code("within_tolerance"), _code("different")),
    )
    counts = np.bincount(found, minlength=len(CLASSES)).tolist()
    counted = dict(zip(CLASSES, counts, strict=True))
    # A rejection without an id of this kind has no counterpart that could be known.
    counted["rejected_on_one"] += stream.rejected_ids.null_count + batch.rejected_ids.null_count
    return Comparison(
        stream.name,
        batch.name,
        counted,
        (len(stream.ids), len(batch.ids)),
        (len(stream.rejected_ids), len(batch.rejected_ids)),
        float(apart.max(initial=0.0)),
        int(ulps.max(initial=0)),
        int(np.count_nonzero(explained)),
        int(np.count_nonzero(~alike)),
        sorted(f"{model} {digest}" for model, digest in stream.models),
        sorted(f"{model} {digest}" for model, digest in batch.models),
        index.examples(stream, batch, found, examples),
    )


def _explained(stream: Side, batch: Side, ours: Ints, theirs: Ints) -> tuple[Mask, Mask]:
    """Of pairs of predictions: which are explained on both sides, and which not differently."""
    if stream.explanations is None or batch.explanations is None:
        return np.zeros(len(ours), np.bool_), np.ones(len(ours), np.bool_)
    left, right = stream.explanations.take(pa.array(ours)), batch.explanations.take(pa.array(theirs))
    return explained_by_both(left, right), explained_alike(left, right)


def _ulps(left: float | None, right: float | None) -> int | None:
    if left is None or right is None:
        return None
    return int(ulps_between(np.array([left]), np.array([right]))[0])


def _code(name: str) -> int:
    return list(CLASSES).index(name)


@dataclass(frozen=True, slots=True)
class _Index:
    """All ids of both sides, and where they stand.

    `scored`, `rejected`, `first` and `first_rejected` have an array for the stream and one for the batch,
    with an entry for each id: how often it stands there, and the first row that has it.
    """

    ids: pa.LargeStringArray
    scored: tuple[Ints, Ints]
    rejected: tuple[Ints, Ints]
    first: tuple[Ints, Ints]
    first_rejected: tuple[Ints, Ints]

    @classmethod
    def of(cls, stream: Side, batch: Side) -> "_Index":
        """The index of two sides."""
        columns = [stream.ids, batch.ids, stream.rejected_ids, batch.rejected_ids]
        encoded = pa.concat_arrays([column.cast(pa.large_string()) for column in columns]).dictionary_encode()
        ids, indices = encoded.dictionary, pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        codes = np.split(indices, np.cumsum([len(column) for column in columns[:-1]]))
        times = [np.bincount(column[column >= 0], minlength=len(ids)) for column in codes]
        first = [_first(column, len(ids)) for column in codes]
        return cls(
            ids, (times[0], times[1]), (times[2], times[3]), (first[0], first[1]), (first[2], first[3])
        )

    def scored_once(self, side: int) -> Mask:
        """Where a side has exactly one prediction."""
        once: Mask = self.scored[side] == 1
        return once

    @property
    def duplicated(self) -> Mask:
        """Where a side has more than one prediction or rejection."""
        stream, batch = (self.scored[side] + self.rejected[side] > 1 for side in (0, 1))
        return np.asarray(stream | batch)

    def classes(self, stream: Side, batch: Side) -> Ints:
        """The class of each id, all but those that are scored once on both sides."""
        scored, rejected = [times > 0 for times in self.scored], [times > 0 for times in self.rejected]
        found = np.full(len(self.ids), _code("rejected_on_one"), np.int64)
        found[~scored[0] & ~rejected[0] & scored[1]] = _code("missing")
        found[~scored[1] & ~rejected[1] & scored[0]] = _code("extra")
        both = rejected[0] & rejected[1]
        reasons = [
            side.reasons.take(pa.array(self.first_rejected[place][both]))
            for place, side in enumerate((stream, batch))
        ]
        alike = pc.equal(*reasons).to_numpy(zero_copy_only=False).astype(np.bool_)
        found[both] = np.where(alike, _code("rejected_alike"), _code("rejected_differently"))
        found[self.duplicated] = _code("duplicated")
        return found

    def examples(self, stream: Side, batch: Side, found: Ints, most: int) -> list[Example]:
        """The first ids of each class that does not agree."""
        chosen = []
        for code, name in enumerate(CLASSES):
            if name not in AGREEING:
                places = np.flatnonzero(found == code)[:most].tolist()
                chosen += [self._example(stream, batch, name, place) for place in places]
        return chosen

    def _example(self, stream: Side, batch: Side, name: str, place: int) -> Example:
        scores: list[float | None] = []
        decisions: list[bool | None] = []
        reasons: list[str | None] = []
        for number, side in enumerate((stream, batch)):
            row, rejected = int(self.first[number][place]), int(self.first_rejected[number][place])
            scores.append(float(side.scores[row]) if row >= 0 else None)
            decisions.append(bool(side.decisions[row]) if row >= 0 else None)
            reasons.append(side.reasons[rejected].as_py() if rejected >= 0 else None)
        return Example(
            str(self.ids[place]),
            name,
            stream=scores[0],
            batch=scores[1],
            stream_decision=decisions[0],
            batch_decision=decisions[1],
            ulps=_ulps(*scores),
            explained_alike=self._explained_alike(stream, batch, place),
            stream_reason=reasons[0],
            batch_reason=reasons[1],
        )

    def _explained_alike(self, stream: Side, batch: Side, place: int) -> bool | None:
        rows = [first[place : place + 1] for first in self.first]
        if min(row[0] for row in rows) < 0:
            return None
        explained, alike = _explained(stream, batch, *rows)
        return bool(alike[0]) if explained[0] else None


def _first(codes: Ints, count: int) -> Ints:
    """The first row of each id, -1 where it has none."""
    first = np.full(count, -1, np.int64)
    rows = np.flatnonzero(codes >= 0)[::-1]
    first[codes[rows]] = rows
    return first
