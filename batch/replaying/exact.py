"""Sums that do not depend on the order of what is added: each is exact until it is asked for.

A float64 is a whole number of 53 bits times a power of two. The whole numbers are added up for each power by
itself, in two halves so that no sum is ever rounded: the idea of Kulisch's accumulator, with an entry only
for the powers that occur.
"""

import sys
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_MANTISSA: Final = 53
_LOW: Final = 26
# A batch of so many numbers still sums in float64 without rounding: 2**26 times 2**27 is 2**53.
_MOST_AT_ONCE: Final = 2**26
_MAX: Final = sys.float_info.max


class Terms:
    """Numbers taken apart, to be added to several sums.

    Args:
        values: The numbers; what has overflowed counts as the largest number.
    """

    def __init__(self, values: npt.NDArray[np.float64]) -> None:
        if len(values) > _MOST_AT_ONCE:
            raise ValueError(f"{len(values):,} numbers at once")
        mantissas, powers = np.frexp(np.clip(values, -_MAX, _MAX))
        whole = np.ldexp(mantissas, _MANTISSA).astype(np.int64)
        self.first = int(powers.min(initial=0))
        self.powers = int(powers.max(initial=0)) - self.first + 1
        self._places = powers.astype(np.int64) - self.first
        self._halves = (whole >> _LOW).astype(np.float64), (whole & (2**_LOW - 1)).astype(np.float64)

    def by_group(self, groups: Ints, count: int) -> tuple[Ints, Ints]:
        """The sums of both halves, by power of two and group.

        Args:
            groups: The group of each number.
            count: How many groups there are.
        """
        places = self._places * count + groups
        high, low = (
            np.bincount(places, half, self.powers * count).astype(np.int64).reshape(self.powers, count)
            for half in self._halves
        )
        return high, low


class ExactSums:
    """A sum for each of some groups.

    Args:
        groups: How many there are.
    """

    def __init__(self, groups: int) -> None:
        self._groups = groups
        # By power of two, both halves of each group's sum.
        self._sums: dict[int, tuple[Ints, Ints]] = {}

    def add(self, terms: Terms, groups: Ints) -> None:
        """Adds numbers.

        Args:
            terms: The numbers.
            groups: The group of each.
        """
        for place, (high, low) in enumerate(zip(*terms.by_group(groups, self._groups), strict=True)):
            power = terms.first + place
            if power in self._sums:
                self._sums[power][0][:] += high
                self._sums[power][1][:] += low
            else:
                self._sums[power] = (high.copy(), low.copy())

    def mean(self, group: int, count: int) -> float:
        """A group's sum divided by a count, rounded once; 0 for none.

        Args:
            group: The group.
            count: By what to divide.
        """
        if not count:
            return 0.0
        total = sum(
            (int(high[group]) * 2**_LOW + int(low[group])) * Fraction(2) ** (power - _MANTISSA)
            for power, (high, low) in self._sums.items()
        )
        return float(Fraction(total) / count)
