"""How far apart two float64 numbers are, in units in the last place."""

from typing import Final

import numpy as np
import numpy.typing as npt

_SIGN: Final = np.uint64(1 << 63)


def ulps_between(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """How many representable float64 numbers lie from one to the other, for each pair."""
    a, b = _ordered(left), _ordered(right)
    return np.maximum(a, b) - np.minimum(a, b)


def _ordered(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Integers in the order of the numbers, neighbours one apart; both zeros are one."""
    bits = (numbers + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits + np.uint64(1), bits | _SIGN)
