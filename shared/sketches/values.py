"""The summaries of values that are equal or not: exact counts of categories, and how texts are spread."""

from collections.abc import Sequence
from typing import Any, Final, Literal, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeInt, PositiveInt

from shared.frame import MISSING_CODE, Column
from shared.sketches.feature import FeatureSketch, State
from shared.sketches.sample import Picked, worth

#: The values of a boolean, in the order of the numbers that stand for them.
BOOLEANS: Final = ("false", "true")
#: Over how many bins texts are spread.
TEXT_BINS: Final = 64

Bins = npt.NDArray[np.int64]

# Up to so many values one look for each is quicker than counting them all in one go.
_FEW: Final = 12


class ValuesState(State):
    """A ValueCounts as JSON has it.

    Attributes:
        type: `values`.
        count: Rows with a value.
        missing: Rows without.
        values: How many rows have each value.
    """

    type: Literal["values"] = "values"
    count: NonNegativeInt
    missing: NonNegativeInt
    values: dict[str, NonNegativeInt]

    def sketch(self) -> "ValueCounts":
        """The summary itself.

        Raises:
            ValueError: The counts do not add up.
        """
        if sum(self.values.values()) != self.count:
            raise ValueError(f"the values are {sum(self.values.values()):,} and the count {self.count:,}")
        made = ValueCounts(tuple(self.values))
        made.missing, made.counts = self.missing, dict(self.values)
        made.count = self.count
        return made


class ValueCounts(FeatureSketch):
    """Counts a column's codes: those of categories, or the 0 and 1 of booleans.

    Args:
        labels: What the codes from 0 on stand for.

    Attributes:
        counts: How many rows have each value.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.counts = dict.fromkeys(labels, 0)

    @property
    def weight(self) -> float:
        """All rows are counted."""
        return float(self.count)

    def add(self, column: Column, picked: Picked, level: int) -> None:  # noqa: ARG002 - all are counted
        """Counts further values."""
        if len(self.counts) > _FEW:
            # Missing is the code before -1, which no valid row has.
            counted = np.bincount(column - MISSING_CODE, minlength=len(self.counts) - MISSING_CODE)
            found = counted[-MISSING_CODE:].tolist()
        else:
            found = [int(np.count_nonzero(column == code)) for code in range(len(self.counts))]
        for label, times in zip(self.counts, found, strict=True):
            self.counts[label] += times
        self.count += sum(found)
        self.missing += len(column) - sum(found)

    def merge(self, other: Self) -> None:
        """Adds up what both have counted."""
        if list(self.counts) != list(other.counts):
            raise ValueError("they do not have the same values")
        for label, times in other.counts.items():
            self.counts[label] += times
        self.count += other.count
        self.missing += other.missing

    def to_json(self) -> dict[str, Any]:
        """All that it holds."""
        return ValuesState(count=self.count, missing=self.missing, values=self.counts).model_dump()


class BinsState(State):
    """The bins of a TextSpread as JSON has them."""

    level: NonNegativeInt
    rows: PositiveInt
    bins: list[NonNegativeInt]


class TextState(State):
    """A TextSpread as JSON has it.

    Attributes:
        type: `text`.
        count: Rows with a text.
        missing: 0; a text is never missing.
        spread: By level, how many of the rows taken fall into each bin.
    """

    type: Literal["text"] = "text"
    count: NonNegativeInt
    missing: Literal[0] = 0
    spread: list[BinsState]

    def sketch(self) -> "TextSpread":
        """The summary itself.

        Raises:
            ValueError: It has another number of bins.
        """
        made = TextSpread()
        made.count = self.count
        for state in self.spread:
            if len(state.bins) != TEXT_BINS or not any(state.bins):
                raise ValueError(f"texts are spread over {TEXT_BINS} bins")
            made.before[state.level] = (state.rows, np.array(state.bins))
        return made


class TextSpread(FeatureSketch):
    """How texts are spread over bins by their checksum.

    That shows whether other texts come, or the same ones in other shares, and keeps none of them: a text may
    be a name or an address, which must not stand in a manifest.

    Attributes:
        before: By level, of the rows before those that are sampled now, how many they are, and how many of
            those taken fall into each bin.
    """

    def __init__(self) -> None:
        self.before: dict[int, tuple[int, Bins]] = {}
        self._taken: Bins = np.empty(0, np.int64)
        self._level = self._rows = 0

    @property
    def weight(self) -> float:
        """How many texts at random would say as much."""
        return worth([(rows, int(bins.sum())) for rows, bins in self._levels().values()])

    def add(self, column: Column, picked: Picked, level: int) -> None:
        """Takes in further texts."""
        taken = self._taken if picked.kept is None else self._taken[picked.kept]
        self._taken, self._level = np.concatenate([taken, _bins_of(column[picked.new])]), level
        self.count += len(column)
        self._rows += len(column)

    def _levels(self) -> dict[int, tuple[int, Bins]]:
        if not self._rows:
            return self.before
        bins = np.bincount(self._taken, minlength=TEXT_BINS)
        return _added(self.before, {self._level: (self._rows, bins)})

    def merge(self, other: Self) -> None:
        """Adds up both."""
        self.before = _added(self._levels(), other._levels())
        self._taken, self._level, self._rows = np.empty(0, np.int64), 0, 0
        self.count += other.count

    def counts(self) -> npt.NDArray[np.float64]:
        """About how many rows fall into each bin."""
        counted = np.zeros(TEXT_BINS)
        for rows, bins in self._levels().values():
            counted += bins * (rows / bins.sum())
        return counted

    def to_json(self) -> dict[str, Any]:
        """All that it holds."""
        spread = [
            BinsState(level=level, rows=rows, bins=bins.tolist())
            for level, (rows, bins) in self._levels().items()
        ]
        return TextState(count=self.count, spread=spread).model_dump()


def _added(
    first: dict[int, tuple[int, Bins]], then: dict[int, tuple[int, Bins]]
) -> dict[int, tuple[int, Bins]]:
    added = dict(first)
    for level, (rows, bins) in then.items():
        own_rows, own_bins = added.get(level, (0, np.zeros(TEXT_BINS, np.int64)))
        added[level] = (own_rows + rows, own_bins + bins)
    return dict(sorted(added.items()))


def _bins_of(texts: Column) -> Bins:
    return np.array([crc32(text.encode("utf-8", "surrogatepass")) % TEXT_BINS for text in texts], np.int64)
