"""The summaries of values that are equal or not: exact counts of categories, and how texts are spread."""

from collections.abc import Sequence
from typing import Any, Final, Literal, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from shared.frame import MISSING_CODE, Column
from shared.sketches.feature import FeatureSketch, State
from shared.sketches.sample import Picked, effective

#: The values of a boolean, in the order of the numbers that stand for them.
BOOLEANS: Final = ("false", "true")
#: Over how many bins texts are spread.
TEXT_BINS: Final = 64

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
    count: int
    missing: int
    values: dict[str, int]

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

    def add(self, column: Column, picked: Picked) -> None:  # noqa: ARG002 - all are counted
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


class TextState(State):
    """A TextSpread as JSON has it.

    Attributes:
        type: `text`.
        count: Rows with a text.
        missing: 0; a text is never missing.
        head: Of the rows taken whole, how many fall into each bin.
        rest: The same of those that stand for others.
    """

    type: Literal["text"] = "text"
    count: int
    missing: Literal[0] = 0
    head: list[int]
    rest: list[int]

    def sketch(self) -> "TextSpread":
        """The summary itself.

        Raises:
            ValueError: It has another number of bins.
        """
        if {len(self.head), len(self.rest)} != {TEXT_BINS}:
            raise ValueError(f"texts are spread over {TEXT_BINS} bins")
        made = TextSpread()
        made.count, made.head, made.rest = self.count, np.array(self.head), np.array(self.rest)
        return made


class TextSpread(FeatureSketch):
    """How texts are spread over bins by their checksum.

    That shows whether other texts come, or the same ones in other shares, and keeps none of them: a text may
    be a name or an address, which must not stand in a manifest.
    """

    def __init__(self) -> None:
        self.head: npt.NDArray[np.int64] = np.zeros(TEXT_BINS, np.int64)
        self.rest: npt.NDArray[np.int64] = np.zeros(TEXT_BINS, np.int64)

    @property
    def weight(self) -> float:
        """How many texts at random would say as much."""
        head = int(self.head.sum())
        return effective(head, self.count - head, int(self.rest.sum()))

    def add(self, column: Column, picked: Picked) -> None:
        """Takes in further texts."""
        self.count += len(column)
        self.head += _binned(column[: picked.head])
        self.rest += _binned(column[picked.rest])

    def merge(self, other: Self) -> None:
        """Adds up both."""
        self.count += other.count
        self.head += other.head
        self.rest += other.rest

    def counts(self) -> npt.NDArray[np.float64]:
        """About how many rows fall into each bin."""
        head, taken = int(self.head.sum()), int(self.rest.sum())
        if not taken:
            return self.head.astype(np.float64) * (self.count / head if head else 0.0)
        return self.head + self.rest.astype(np.float64) * ((self.count - head) / taken)

    def to_json(self) -> dict[str, Any]:
        """All that it holds."""
        return TextState(count=self.count, head=self.head.tolist(), rest=self.rest.tolist()).model_dump()


def _binned(texts: Column) -> npt.NDArray[np.int64]:
    bins = [crc32(text.encode("utf-8", "surrogatepass")) % TEXT_BINS for text in texts]
    return np.bincount(np.array(bins, np.int64), minlength=TEXT_BINS)
