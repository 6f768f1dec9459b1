"""Which of many things a sample holds: that depends on the seed, a name and a number alone.

So the same rows of a file are in for any batches and workers, and in a run that is resumed; and the same
events of a partition after any restart. Number `n` (from 0) is in when output `n` of the generator splitmix64
is below share * 2**64; its seed is the first eight bytes, big-endian, of the SHA-256 of the text of the seed,
a zero byte, and the name.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Sample:
    """A share of all.

    Attributes:
        share: How large it is, above 0 and up to 1.
        seed: Another one draws others.
    """

    share: float
    seed: int = 0

    def holds(self, name: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which are in.

        Args:
            name: What they are known by: a file of rows, or a topic's partition of events.
            rows: Their numbers: rows, or offsets.
        """
        if self.share >= 1:
            return np.ones(len(rows), np.bool_)
        start = hashlib.sha256(f"{self.seed}\0{name}".encode()).digest()[:8]
        drawn = splitmix64(int.from_bytes(start, "big"), rows)
        found: npt.NDArray[np.bool_] = drawn < np.uint64(int(self.share * 2**64))
        return found


def splitmix64(seed: int, outputs: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Some outputs of the generator of this name.

    Args:
        seed: An integer of 64 bits.
        outputs: Which of them; 0 is the first.
    """
    mixed = np.uint64(seed) + (outputs.astype(np.uint64) + np.uint64(1)) * _STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    result: npt.NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result
