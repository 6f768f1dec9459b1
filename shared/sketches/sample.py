"""Which rows feed the summaries that are too dear to be fed all: chosen by their place alone.

The first rows are taken whole, so that a small input is; of each STEP that follow one is taken, at a place
that a hash of the step's number picks. The choice needs no random numbers: however the rows are cut into
batches and whoever works on them, the same rows are taken.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

#: How many rows are taken whole.
HEAD: Final = 4096
#: Of how many rows one is taken after that.
STEP: Final = 64

# Fibonacci hashing: the upper bits of a product with 2**64 over the golden ratio.
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_TOP_BITS: Final = np.uint64(64 - (STEP - 1).bit_length())


@dataclass(frozen=True, slots=True)
class Picked:
    """The rows of a batch that are taken.

    Attributes:
        head: How many of its first rows are among those taken whole.
        rest: The index of each one that stands for its step.
    """

    head: int
    rest: npt.NDArray[np.int64]


def pick(start: int, count: int) -> Picked:
    """Chooses among rows that stand behind others.

    Args:
        start: How many rows stand before them.
        count: How many they are.
    """
    end = start + count
    head = max(0, min(HEAD, end) - start)
    steps = np.arange(max(start, HEAD) // STEP, -(-end // STEP), dtype=np.int64)
    within = ((steps.astype(np.uint64) * _GOLDEN) >> _TOP_BITS).astype(np.int64)
    places = steps * STEP + within
    return Picked(head, places[(places >= max(start, HEAD)) & (places < end)] - start)


def effective(head: int, rest: int, taken: int) -> float:
    """How many rows taken at random would say as much as those taken do.

    Args:
        head: How many rows are taken whole.
        rest: How many come after them.
        taken: How many of the rest are taken.
    """
    if not rest:
        return float(head)
    # The variance of a share that is put together from two strata, each by its weight.
    return (head + rest) ** 2 / (head + rest**2 / taken) if taken else float(head)
