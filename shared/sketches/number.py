"""The summary of numbers: exact counts and bounds, and t-digests (Apache DataSketches) of a sample.

Of the library's sketches for quantiles the t-digest is the one without random coins: the same values in the
same order give the same bytes. Its values cannot have a weight, so that rows of which all, each second or
each fourth one was taken have a digest each; a share is put together of all of them.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
from datasketches import tdigest_double
from pydantic import NonNegativeInt, PositiveInt

from shared.frame import Column
from shared.sketches.feature import FeatureSketch, State
from shared.sketches.sample import Picked, worth

#: Shares that people are shown the value of.
SHOWN: Final = {"p01": 0.01, "p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}

# Ranks are within half a percent at this size, which is about 4 kB.
_K: Final = 200
# The library subtracts values of each other, which must not overflow.
_LARGEST: Final = 8e307
_HALVINGS: Final = 44

NumberType = Literal["number", "integer"]


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest of rows of which one of each 2**level was taken.

    Attributes:
        rows: How many rows with a number it stands for.
        content: The library's bytes.
    """

    rows: int
    content: bytes

    def followed_by(self, other: "Digest") -> "Digest":
        """The digest of both's rows."""
        merged = _read(self.content)
        merged.merge(_read(other.content))
        return Digest(self.rows + other.rows, merged.serialize())


class DigestState(State):
    """A Digest as JSON has it, its bytes in base64."""

    level: NonNegativeInt
    rows: PositiveInt
    digest: str


class NumberState(State):
    """A NumberSketch as JSON has it.

    Attributes:
        type: Whether all values are whole.
        count: Rows with a value.
        missing: Rows without.
        minimum: The least value; None when there is none.
        maximum: The greatest.
        quantiles: For people: by name of the share, the value that it does not exceed.
        digests: By level, ascending.
    """

    type: NumberType
    count: NonNegativeInt
    missing: NonNegativeInt
    minimum: float | None = None
    maximum: float | None = None
    quantiles: dict[str, float]
    digests: list[DigestState]

    def sketch(self) -> "NumberSketch":
        """The summary itself.

        Raises:
            ValueError: The bytes are no digest.
        """
        made = NumberSketch(self.type)
        made.count, made.missing = self.count, self.missing
        made.lowest = np.inf if self.minimum is None else self.minimum
        made.highest = -np.inf if self.maximum is None else self.maximum
        for state in self.digests:
            content = b64decode(state.digest, validate=True)
            if _read(content).is_empty():
                raise ValueError("a t-digest of it holds no numbers")
            made.before[state.level] = Digest(state.rows, content)
        return made


class NumberSketch(FeatureSketch):
    """A summary of numbers; NaN stands for a missing one.

    Attributes:
        lowest: The least value; infinite when there is none.
        highest: The greatest.
        before: By level, the digests of the rows before those that are sampled now.
    """

    def __init__(self, kind: NumberType) -> None:
        self.kind = kind
        self.lowest, self.highest = np.inf, -np.inf
        self.before: dict[int, Digest] = {}
        self._taken: npt.NDArray[np.float64] = np.empty(0)
        self._level = self._rows = 0

    @property
    def weight(self) -> float:
        """How many numbers at random would say as much."""
        found = self.digests().values()
        return worth([(digest.rows, _read(digest.content).get_total_weight()) for digest in found])

    def add(self, column: Column, picked: Picked, level: int) -> None:
        """Takes in further numbers."""
        taken = self._taken if picked.kept is None else self._taken[picked.kept]
        self._taken, self._level = np.concatenate([taken, column[picked.new]]), level
        if not len(column):
            return
        low, high, missing = column.min(), column.max(), 0
        if np.isnan(low):
            missing = int(np.count_nonzero(np.isnan(column)))
            low, high = np.fmin.reduce(column), np.fmax.reduce(column)
        self.missing += missing
        self.count += len(column) - missing
        self._rows += len(column) - missing
        if missing < len(column):
            self.lowest, self.highest = min(self.lowest, float(low)), max(self.highest, float(high))

    def digests(self) -> Mapping[int, Digest]:
        """By level, the digests of all rows."""
        present = self._taken[~np.isnan(self._taken)]
        if not len(present):
            return self.before
        digest = tdigest_double(_K)
        digest.update(np.clip(present, -_LARGEST, _LARGEST))
        return _merged(self.before, {self._level: Digest(self._rows, digest.serialize())})

    def merge(self, other: Self) -> None:
        """Takes in what another has seen."""
        if self.kind != other.kind:
            raise ValueError(f"one holds {self.kind}s and the other {other.kind}s")
        self.before = _merged(self.digests(), other.digests())
        self._taken, self._level, self._rows = np.empty(0), 0, 0
        self.count += other.count
        self.missing += other.missing
        self.lowest, self.highest = min(self.lowest, other.lowest), max(self.highest, other.highest)

    def spread(self) -> "Spread":
        """How the numbers are spread."""
        return Spread(self, self.digests())

    def to_json(self) -> dict[str, Any]:
        """All that it holds."""
        some, digests = self.count > 0, self.digests()
        spread = Spread(self, digests)
        state = NumberState(
            type=self.kind,
            count=self.count,
            missing=self.missing,
            minimum=self.lowest if some else None,
            maximum=self.highest if some else None,
            quantiles={name: spread.quantile(share) for name, share in SHOWN.items()} if some else {},
            digests=[
                DigestState(level=level, rows=found.rows, digest=b64encode(found.content).decode())
                for level, found in digests.items()
            ],
        )
        return state.model_dump(mode="json", exclude_none=True)


class Spread:
    """How numbers are spread, for questions.

    Args:
        sketch: The numbers.
        digests: Its own.

    Attributes:
        whole: Whether all are whole.
        lowest: The least; infinite when there is none.
        highest: The greatest.
    """

    def __init__(self, sketch: NumberSketch, digests: Mapping[int, Digest]) -> None:
        self.whole = sketch.kind == "integer"
        self.lowest, self.highest = sketch.lowest, sketch.highest
        rows = sum(digest.rows for digest in digests.values())
        self._digests = [(digest.rows / rows, _read(digest.content)) for digest in digests.values()]

    def share(self, value: float) -> float:
        """Which share of the numbers is not above a value; within about half a percent.

        Of several numbers that are equal to the value about half is counted.
        """
        if value < self.lowest or not self._digests:
            return 0.0
        if value >= self.highest:
            return 1.0
        return float(sum(part * digest.get_rank(value) for part, digest in self._digests))

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
        return float(round(value)) if self.whole else float(f"{value:.6g}")


def _merged(first: Mapping[int, Digest], then: Mapping[int, Digest]) -> dict[int, Digest]:
    merged = dict(first)
    for level, digest in then.items():
        merged[level] = merged[level].followed_by(digest) if level in merged else digest
    return dict(sorted(merged.items()))


def _read(content: bytes) -> Any:
    try:
        return tdigest_double.deserialize(content)
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        raise ValueError(f"its bytes are no t-digest: {error}") from error
