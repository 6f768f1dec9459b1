"""How far two distributions are apart: bins, the population stability index, Jensen-Shannon.

With a and b the shares of the rows of A and B in a bin, over all bins (log is the natural logarithm):

- PSI = sum of (b - a) * log(b / a): the sum of both Kullback-Leibler divergences (Jeffreys 1946; Kullback and
  Leibler 1951), under this name in credit scoring (Siddiqi, Credit Risk Scorecards, 2006). So that no share
  is zero, half a row is added to each bin of both sides.
- Jensen-Shannon = the mean of the divergences of a and of b from their mean, in bits (Lin 1991): 0 for equal
  shares, 1 where no bin has rows of both. It needs no smoothing.
- noise = what the PSI of two samples of the same distribution stays below in 95 of 100 cases: the 95th
  percentile of chi-squared with one less degree of freedom than bins, times 1/rows of A + 1/rows of B
  (Yurdakul 2018, Statistical Properties of Population Stability Index).

The bins of numbers are A's deciles, with a bin for what is below and one for what is above all of A; a value
that alone holds more than a twentieth of A has a bin of its own. Those of categories and booleans are their
values. Rows without a value are a bin, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.sketches.feature import FeatureSketch
from shared.sketches.number import NumberSketch, Spread
from shared.sketches.values import TextSpread, ValueCounts

Floats = npt.NDArray[np.float64]

_DECILES: Final = [tenth / 10 for tenth in range(1, 10)]
# More of A in one value than half a decile: that value is a bin.
_ALONE: Final = 0.05
# Of the span of the values, how much is too little to tell two of them apart.
_APART: Final = 1e-12
_HALF_A_ROW: Final = 0.5
# Where 95 of 100 values of the standard normal distribution are below.
_NORMAL_95: Final = 1.6448536269514722
#: For small differences, what Jensen-Shannon in bits is of the PSI.
JS_OF_PSI: Final = 1 / (8 * math.log(2))


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of both sides.

    Attributes:
        name: What falls into it.
        a: The share of A's rows.
        b: The share of B's rows.
    """

    name: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far the values of two sides are apart.

    Attributes:
        psi: The population stability index.
        js: The Jensen-Shannon divergence, in bits.
        noise: The PSI that samples of this size may have of the same distribution; infinite without rows.
        bins: Those that have rows, with their shares.
    """

    psi: float
    js: float
    noise: float
    bins: list[Bin]


def divergence(a: FeatureSketch, b: FeatureSketch) -> Divergence | None:
    """Compares what two sides know of a feature; None where it is of another type on each."""
    binned = _binned(a, b)
    if binned is None:
        return None
    names, of_a, of_b = binned
    names, of_a, of_b = [*names, "missing"], np.append(of_a, a.missing), np.append(of_b, b.missing)
    used = (of_a > 0) | (of_b > 0)
    of_a, of_b = of_a[used], of_b[used]
    names = [name for name, kept in zip(names, used.tolist(), strict=True) if kept]
    if not (a.rows and b.rows):
        return Divergence(0.0, 0.0, math.inf, [])
    shares_a, shares_b = of_a / of_a.sum(), of_b / of_b.sum()
    return Divergence(
        psi(of_a, of_b),
        jensen_shannon(shares_a, shares_b),
        noise(len(names), a.weight + a.missing, b.weight + b.missing),
        [Bin(*row) for row in zip(names, shares_a.tolist(), shares_b.tolist(), strict=True)],
    )


def psi(of_a: Floats, of_b: Floats) -> float:
    """The population stability index of two counts of the same bins, half a row added to each."""
    smooth_a, smooth_b = of_a + _HALF_A_ROW, of_b + _HALF_A_ROW
    shares_a, shares_b = smooth_a / smooth_a.sum(), smooth_b / smooth_b.sum()
    return float(((shares_b - shares_a) * np.log(shares_b / shares_a)).sum())


def jensen_shannon(shares_a: Floats, shares_b: Floats) -> float:
    """The Jensen-Shannon divergence of two distributions over the same bins, in bits: from 0 to 1."""
    middle = (shares_a + shares_b) / 2
    total = 0.0
    for shares in (shares_a, shares_b):
        some = shares > 0
        total += float((shares[some] * np.log2(shares[some] / middle[some])).sum()) / 2
    return max(0.0, total)


def noise(bins: int, rows_a: float, rows_b: float) -> float:
    """What the PSI of two samples of one distribution stays below in 95 of 100 cases.

    Args:
        bins: How many bins there are.
        rows_a: How many rows at random one sample is worth.
        rows_b: The same of the other.
    """
    if bins < 2:
        return 0.0
    free = bins - 1
    # Wilson and Hilferty's approximation, within 3 % of chi-squared even at one degree of freedom.
    chi_squared = free * (1 - 2 / (9 * free) + _NORMAL_95 * math.sqrt(2 / (9 * free))) ** 3
    return chi_squared * (1 / rows_a + 1 / rows_b)


def _binned(a: FeatureSketch, b: FeatureSketch) -> tuple[list[str], Floats, Floats] | None:
    """The names of the bins, and how many rows with a value each side has in them."""
    match a, b:
        case NumberSketch(), NumberSketch():
            return _number_bins(a, b)
        case ValueCounts(), ValueCounts():
            labels = list(a.counts | b.counts)
            of_a, of_b = (
                np.array([counts.get(label, 0) for label in labels], np.float64)
                for counts in (a.counts, b.counts)
            )
            return labels, of_a, of_b
        case TextSpread(), TextSpread():
            of_a, of_b = a.counts(), b.counts()
            return [f"texts of bin {place}" for place in range(len(of_a))], of_a, of_b
        case _:
            return None


def _number_bins(a: NumberSketch, b: NumberSketch) -> tuple[list[str], Floats, Floats]:
    if not a.count:
        return ["any number"], np.array([0.0]), np.array([float(b.count)])
    spread = a.spread()
    edges = number_edges(spread)
    of_a, of_b = (
        np.diff(np.maximum.accumulate([0.0, *map(found.share, edges), 1.0])) * count
        for found, count in ((spread, a.count), (b.spread(), b.count))
    )
    return _names(edges, whole=spread.whole), of_a, of_b


def number_edges(a: Spread) -> list[float]:
    """Where the bins of numbers end: below all of A, at its deciles, and above all of it.

    Args:
        a: How the numbers of a side that has some are spread.
    """
    apart = a.highest * _APART - a.lowest * _APART
    edges = set()
    for low, high in map(a.around, _DECILES):
        if a.whole:
            # Between whole numbers, where it is clear what is on either side.
            value = math.floor(high + apart)
            around = (value - 0.5, value + 0.5)
        else:
            around = (low - apart, high + apart)
        edges.add(around[1])
        if a.share(around[1]) - a.share(around[0]) > _ALONE:
            edges.add(around[0])
    if a.whole:
        lowest, highest = a.lowest - 0.5, a.highest + 0.5
    else:
        lowest, highest = math.nextafter(a.lowest, -math.inf), math.nextafter(a.highest, math.inf)
    return [lowest, *sorted(edge for edge in edges if a.lowest < edge < a.highest), highest]


def _names(edges: Sequence[float], *, whole: bool) -> list[str]:
    lows = [f"{math.ceil(edge):d}" if whole else f"{edge:.6g}" for edge in edges]
    highs = [f"{math.floor(edge):d}" if whole else f"{edge:.6g}" for edge in edges]
    pairs = [(low, high) for (low, _), (_, high) in pairwise(zip(lows, highs, strict=True))]
    between = [low if low == high else f"{low} to {high}" for low, high in pairs]
    return [f"below {lows[0]}", *between, f"above {highs[-1]}"]
