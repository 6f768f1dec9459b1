"""Which rows feed the summaries that are too dear to be fed all: one of each 2**level, by its place alone.

As many rows are taken as MOST allows: all of a few, one in 64 of half a million. As rows come, the level
rises, and of two neighbours that were taken before one is dropped. Which one a hash of their place says: the
choice needs no random numbers, and however the rows are cut into batches and whoever works on them, the same
rows are left.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

#: The most rows that are taken.
MOST: Final = 8192

Places = npt.NDArray[np.int64]

# Fibonacci hashing: the top bit of a product with 2**64 over the golden ratio.
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_TOP: Final = np.uint64(63)


@dataclass(frozen=True, slots=True)
class Picked:
    """What becomes of a sample as further rows come.

    Attributes:
        kept: Which of those taken before stay; None: all.
        new: The index of each new row that is taken.
    """

    kept: npt.NDArray[np.bool_] | None
    new: Places


class Sample:
    """The choice among rows that come in batches.

    Attributes:
        rows: How many rows there were.
        level: One of each 2**level is taken.
    """

    def __init__(self) -> None:
        self.rows = self.level = 0
        self._places: Places = np.empty(0, np.int64)

    def extend(self, count: int) -> Picked:
        """Goes on to further rows.

        Args:
            count: How many.
        """
        start, end = self.rows, self.rows + count
        level = self.level
        while _blocks(end, level) > MOST:
            level += 1
        kept = None
        if level > self.level:
            kept = _chosen(self._places >> level, level) == self._places
            self._places = self._places[kept]
        places = _chosen(np.arange(start >> level, _blocks(end, level), dtype=np.int64), level)
        places = places[(places >= start) & (places < end)]
        self._places = np.concatenate([self._places, places])
        self.rows, self.level = end, level
        return Picked(kept, places - start)


def _blocks(rows: int, level: int) -> int:
    """How many blocks of 2**level rows it takes."""
    return -(-rows >> level)


def _chosen(blocks: Places, level: int) -> Places:
    """The place of the row that is taken of each block of 2**level rows.

    Of a block's halves one is chosen, of that one's halves again, and so on: what is chosen at one level was
    chosen at all levels below.
    """
    places = blocks
    for _ in range(level):
        places = 2 * places + ((places.astype(np.uint64) * _GOLDEN) >> _TOP).astype(np.int64)
    return places


def worth(strata: list[tuple[int, int]]) -> float:
    """How many rows taken at random of all would say as much as those that were taken.

    Args:
        strata: How many rows there are of each part of them, and how many of these were taken.
    """
    some = [(rows, taken) for rows, taken in strata if taken]
    # The variance of a share that is put together of several parts', each by its rows.
    variance = sum(rows**2 / taken for rows, taken in some)
    return sum(rows for rows, _ in some) ** 2 / variance if some else 0.0
