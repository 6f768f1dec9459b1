"""Flipped decisions by segment: how events are divided, and what is counted of each division."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import erfc, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.replaying.exact import ExactSums, Terms
from batch.replaying.pairs import Pairs
from batch.replaying.result import Flips
from shared.frame import Column
from shared.schema import Input
from shared.sketches.values import BOOLEANS

Ints = npt.NDArray[np.int64]

#: How many of the first events say into which ranges numbers are divided, and which texts are frequent.
SAMPLE: Final = 50_000
#: The ranges of a number, each with about as many of these events.
RANGES: Final = 5
#: Texts that are a segment of their own.
TEXTS: Final = 20
MISSING: Final = "(missing)"
OTHERS: Final = "(others)"
#: How often one of all segments may be marked though all events flip alike.
_BY_CHANCE: Final = 0.01
#: The normal distribution stands for the binomial one from so many expected cases on.
_EXPECTED: Final = 5.0
#: Whole numbers below it are written with all their digits.
_SPELT_OUT: Final = 1e16


class Division:
    """Divides events by the values of one input.

    Args:
        feature: The input.
        sample: Some of its values, which fix the segments.

    Attributes:
        labels: What to call each segment.
    """

    def __init__(self, feature: Input, sample: Column) -> None:
        self._type = feature.type
        self._values: Column | pa.StringArray | None = None
        self._edges: npt.NDArray[np.float64] | None = None
        if feature.type == "category":
            labels = list(feature.values or ())
        elif feature.type == "boolean":
            labels = list(BOOLEANS)
        elif feature.type == "string":
            labels = _frequent(sample)
            self._values = pa.array(labels, pa.string())
        else:
            labels = self._of_numbers(sample[~np.isnan(sample)], whole=feature.type == "integer")
        self.labels = [*labels, OTHERS, MISSING]

    def segments(self, column: Column) -> Ints:
        """The segment of each value, as its place among the labels."""
        others, missing = len(self.labels) - 2, len(self.labels) - 1
        if self._type == "string":
            found = pc.index_in(pa.array(column, pa.string()), self._values)
            places: Ints = pc.fill_null(found, others).to_numpy().astype(np.int64)
            return places
        if self._type == "category":
            return np.where(column < 0, missing, column).astype(np.int64)
        absent = np.isnan(column)
        if self._type == "boolean":
            return np.where(absent, missing, np.where(absent, 0.0, column)).astype(np.int64)
        return np.where(absent, missing, self._of_number(column))

    def _of_numbers(self, present: npt.NDArray[np.float64], *, whole: bool) -> list[str]:
        """Fixes the segments of numbers: few values are one each, others are divided into ranges."""
        values = np.unique(present)
        if len(values) <= RANGES:
            self._values = values
            return list(map(_shown, values.tolist()))
        ranked = np.sort(present)
        # The value that a share of them does not exceed: one that occurs, and the same in any order.
        ends = ranked[[-(-len(ranked) * part // RANGES) - 1 for part in range(1, RANGES)]]
        self._edges = np.unique(ends[ends < ranked[-1]])
        return _ranges(self._edges.tolist(), whole=whole)

    def _of_number(self, column: Column) -> Ints:
        if self._edges is not None:
            return np.searchsorted(self._edges, column)
        values = np.asarray(self._values)
        places = np.searchsorted(values, column)
        near = values[np.minimum(places, len(values) - 1)] if len(values) else np.full(len(column), np.nan)
        return np.where(near == column, places, len(values))


def _frequent(texts: Column) -> list[str]:
    """The most frequent texts; of equally frequent ones the first by code point."""
    counts = Counter(texts.tolist())
    return sorted(counts, key=lambda text: (-counts[text], text))[:TEXTS]


def _ranges(edges: Sequence[float], *, whole: bool) -> list[str]:
    """What to call the ranges that end with these values, and the one after them."""
    names = [f"up to {_shown(edges[0])}"]
    for low, high in pairwise(edges):
        if not whole:
            names.append(f"over {_shown(low)} to {_shown(high)}")
        else:
            first = low + 1
            names.append(_shown(high) if first == high else f"{_shown(first)} to {_shown(high)}")
    last = edges[-1]
    return [*names, f"{_shown(last + 1)} or more" if whole else f"over {_shown(last)}"]


def _shown(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < _SPELT_OUT else repr(number)


class Tally:
    """What becomes of the decisions of each segment of a division.

    Args:
        count: How many segments there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._events, self._raised, self._lowered = (np.zeros(count, np.int64) for _ in range(3))
        self._changes = ExactSums(count)

    def add(self, pairs: Pairs, segments: Ints, terms: Terms) -> None:
        """Counts further events.

        Args:
            pairs: The events.
            segments: The segment of each.
            terms: The change of each score.
        """
        self._events += np.bincount(segments, minlength=self._count)
        self._raised += np.bincount(segments[pairs.raised], minlength=self._count)
        self._lowered += np.bincount(segments[pairs.lowered], minlength=self._count)
        self._changes.add(terms, segments)

    def flips(self, feature: str, labels: Sequence[str]) -> list[Flips]:
        """The segments in which there are events, in the order of their labels."""
        counts = zip(self._events.tolist(), self._raised.tolist(), self._lowered.tolist(), strict=True)
        return [
            Flips(
                feature=feature,
                segment=label,
                events=events,
                raised=raised,
                lowered=lowered,
                mean_change=self._changes.mean(place, events),
            )
            for place, (label, (events, raised, lowered)) in enumerate(zip(labels, counts, strict=True))
            if events
        ]


class Segments:
    """Counts flipped decisions of all events, and of each segment.

    The first events are held back until there are enough of them to fix the segments by.

    Args:
        features: The inputs by which to divide the events.
    """

    def __init__(self, features: Sequence[Input]) -> None:
        self._features = features
        self._all = Tally(1)
        self._waiting: list[Pairs] = []
        self._divided: list[tuple[Input, Division, Tally]] | None = None

    def add(self, pairs: Pairs) -> None:
        """Counts the events of a piece of history."""
        if self._divided is not None:
            self._count(pairs, self._divided)
            return
        self._waiting.append(pairs)
        if sum(map(len, self._waiting)) >= SAMPLE:
            self._divide()

    def found(self) -> tuple[Flips, list[Flips]]:
        """Flips of all events; and by segment, the feature with the most flipped segment first."""
        if self._divided is None:
            self._divide()
        total = self._all.flips("", [""])
        if not total:
            return Flips(feature="", segment="", events=0, raised=0, lowered=0, mean_change=0.0), []
        divided = [tally.flips(feature.name, of.labels) for feature, of, tally in self._divided or ()]
        marked = _marked(total[0], divided)
        by_feature = [sorted(segments, key=lambda flips: -flips.share) for segments in marked]
        by_feature.sort(key=lambda segments: -segments[0].share)
        return total[0], [flips for segments in by_feature for flips in segments]

    def _divide(self) -> None:
        """Fixes the segments by the first events, and counts those that were held back."""
        self._divided = []
        for feature in self._features:
            columns = [pairs.columns[feature.name] for pairs in self._waiting]
            sample = np.concatenate(columns)[:SAMPLE] if columns else np.empty(0)
            division = Division(feature, sample)
            self._divided.append((feature, division, Tally(len(division.labels))))
        for pairs in self._waiting:
            self._count(pairs, self._divided)
        self._waiting.clear()

    def _count(self, pairs: Pairs, divided: Sequence[tuple[Input, Division, Tally]]) -> None:
        terms = Terms(pairs.after - pairs.before)
        self._all.add(pairs, np.zeros(len(pairs), np.int64), terms)
        for feature, division, tally in divided:
            tally.add(pairs, division.segments(pairs.columns[feature.name]), terms)


def _marked(total: Flips, divided: Sequence[Sequence[Flips]]) -> list[list[Flips]]:
    """The same segments, with a mark on those that flip more or less than the other events beyond chance.

    Bonferroni's correction: the limit for one is that for all, divided by how many are looked at.
    """
    limit = _BY_CHANCE / max(1, sum(map(len, divided)))
    return [
        [flips.model_copy(update={"beyond_chance": _chance(flips, total) < limit}) for flips in segments]
        for segments in divided
    ]


def _chance(flips: Flips, total: Flips) -> float:
    """How probable a share at least this far from that of the other events is, if all flip alike.

    The two-sided test of two proportions with the pooled share, by the normal distribution; 1 where too few
    cases are expected for that. Events count as independent of each other.
    """
    rest, share = total.events - flips.events, total.share
    expected = min(flips.events, rest) * min(share, 1 - share)
    if expected < _EXPECTED:
        return 1.0
    apart = flips.share - (total.flipped - flips.flipped) / rest
    deviation = sqrt(share * (1 - share) * (1 / flips.events + 1 / rest))
    return erfc(abs(apart) / deviation / sqrt(2))
