"""The summary of numbers: exact counts and bounds, and t-digests (Apache DataSketches) of a sample.

Of the library's sketches for quantiles the t-digest is the one without random coins: the same values in the
same order give the same bytes. The rows that are taken whole and those that stand for others have a digest
each, and a share is put together of both by the rows that they stand for.
"""

from base64 import b64decode, b64encode
from typing import Any, Final, Literal, Self

import numpy as np
from datasketches import tdigest_double

from shared.frame import Column
from shared.sketches.feature import FeatureSketch, State
from shared.sketches.sample import Picked, effective

#: Shares that people are shown the value of.
SHOWN: Final = {"p01": 0.01, "p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}

# Ranks are within half a percent at this size, which is about 4 kB.
_K: Final = 200
# The library subtracts values of each other, which must not overflow.
_LARGEST: Final = 8e307
_HALVINGS: Final = 44

NumberType = Literal["number", "integer"]


class NumberState(State):
    """A NumberSketch as JSON has it.

    Attributes:
        type: Whether all values are whole.
        count: Rows with a value.
        missing: Rows without.
        minimum: The least value; None when there is none.
        maximum: The greatest.
        quantiles: For people: by name of the share, the value that it does not exceed.
        digests: The library's bytes in base64: of the rows taken whole, and of those that stand for others.
    """

    type: NumberType
    count: int
    missing: int
    minimum: float | None = None
    maximum: float | None = None
    quantiles: dict[str, float]
    digests: tuple[str, str]

    def sketch(self) -> "NumberSketch":
        """The summary itself.

        Raises:
            ValueError: The bytes are no digest.
        """
        made = NumberSketch(self.type)
        made.count, made.missing = self.count, self.missing
        made.lowest = np.inf if self.minimum is None else self.minimum
        made.highest = -np.inf if self.maximum is None else self.maximum
        made.head, made.rest = (_read(b64decode(text, validate=True)) for text in self.digests)
        return made


class NumberSketch(FeatureSketch):
    """A summary of numbers; NaN stands for a missing one.

    Attributes:
        lowest: The least value; infinite when there is none.
        highest: The greatest.
        head: The digest of the rows taken whole.
        rest: The digest of those that stand for others.
    """

    def __init__(self, kind: NumberType) -> None:
        self.kind = kind
        self.lowest, self.highest = np.inf, -np.inf
        self.head, self.rest = tdigest_double(_K), tdigest_double(_K)

    @property
    def _behind_head(self) -> int:
        return self.count - int(self.head.get_total_weight())

    @property
    def weight(self) -> float:
        """How many numbers at random would say as much."""
        head, taken = int(self.head.get_total_weight()), int(self.rest.get_total_weight())
        return effective(head, self._behind_head, taken)

    def add(self, column: Column, picked: Picked) -> None:
        """Takes in further numbers."""
        if not len(column):
            return
        low, high, missing = column.min(), column.max(), 0
        if np.isnan(low):
            missing = int(np.count_nonzero(np.isnan(column)))
            low, high = np.fmin.reduce(column), np.fmax.reduce(column)
        self.missing += missing
        self.count += len(column) - missing
        if missing < len(column):
            self.lowest, self.highest = min(self.lowest, float(low)), max(self.highest, float(high))
        for digest, taken in ((self.head, column[: picked.head]), (self.rest, column[picked.rest])):
            present = taken[~np.isnan(taken)] if missing else taken
            if len(present):
                digest.update(np.clip(present, -_LARGEST, _LARGEST))

    def merge(self, other: Self) -> None:
        """Takes in what another has seen."""
        if self.kind != other.kind:
            raise ValueError(f"one holds {self.kind}s and the other {other.kind}s")
        self.count += other.count
        self.missing += other.missing
        self.lowest, self.highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        # By way of its bytes: one that was just made and one that was read from a file give the same.
        self.head.merge(_read(other.head.serialize()))
        self.rest.merge(_read(other.rest.serialize()))

    def share(self, value: float) -> float:
        """Which share of the numbers is not above a value; within about half a percent.

        Of several numbers that are equal to the value about half is counted.
        """
        if value < self.lowest or not self.count:
            return 0.0
        if value >= self.highest:
            return 1.0
        behind = 0 if self.rest.is_empty() else self._behind_head
        if self.head.is_empty():
            return float(self.rest.get_rank(value))
        head = int(self.head.get_total_weight())
        ranks = head * self.head.get_rank(value) + (behind * self.rest.get_rank(value) if behind else 0.0)
        return float(ranks / (head + behind))

    def around(self, share: float) -> tuple[float, float]:
        """Two values close to each other between which a share is reached.

        Found by halving, as the library's own inverse is off by several percent in places.

        Args:
            share: From 0 to 1; of numbers that there are.
        """
        low, high = self.lowest, self.highest
        for _ in range(_HALVINGS):
            middle = low / 2 + high / 2
            if self.share(middle) < share:
                low = middle
            else:
                high = middle
        return low, high

    def quantile(self, share: float) -> float:
        """The number that a share of them does not exceed, to six digits."""
        value = self.around(share)[1]
        return float(f"{value:.6g}") if self.kind == "number" else float(round(value))

    def to_json(self) -> dict[str, Any]:
        """All that it holds."""
        some = self.count > 0
        state = NumberState(
            type=self.kind,
            count=self.count,
            missing=self.missing,
            minimum=self.lowest if some else None,
            maximum=self.highest if some else None,
            quantiles={name: self.quantile(share) for name, share in SHOWN.items()} if some else {},
            digests=(_text(self.head), _text(self.rest)),
        )
        return state.model_dump(mode="json", exclude_none=True)


def _text(digest: Any) -> str:
    return b64encode(digest.serialize()).decode()


def _read(content: bytes) -> Any:
    try:
        return tdigest_double.deserialize(content)
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        raise ValueError(f"its bytes are no t-digest: {error}") from error
