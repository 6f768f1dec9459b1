"""Sums that no order changes."""

import sys
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.replaying.exact import ExactSums, Terms

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def mean_of(pieces: list[list[float]], group: int = 1) -> float:
    """The mean of all numbers, which are added piece by piece to one of three groups."""
    sums = ExactSums(3)
    for piece in pieces:
        sums.add(Terms(np.array(piece, np.float64)), np.full(len(piece), group))
    return sums.mean(group, sum(map(len, pieces)))


@settings(deadline=None)
@given(numbers=st.lists(FINITE, min_size=1, max_size=30), data=st.data())
def test_a_mean_is_the_exact_one_rounded_once_in_any_order_and_pieces(
    numbers: list[float], data: st.DataObject
) -> None:
    exact = float(sum(map(Fraction, numbers)) / len(numbers))
    mixed = data.draw(st.permutations(numbers))
    cut = data.draw(st.integers(0, len(numbers)))
    assert mean_of([numbers]) == exact
    assert mean_of([mixed[:cut], mixed[cut:]]) == exact


def test_a_sum_in_float64_would_depend_on_the_order() -> None:
    """So that the test above would fail without the care that is taken."""
    numbers = [1.0, 1e-16, 1e-16]
    assert sum(numbers) != sum(reversed(numbers))
    assert mean_of([numbers]) == mean_of([numbers[::-1]])


def test_groups_are_apart_and_an_empty_one_has_no_mean() -> None:
    sums = ExactSums(3)
    sums.add(Terms(np.array([0.5, -0.25, 8.0])), np.array([0, 0, 2]))
    assert [sums.mean(group, count) for group, count in ((0, 2), (1, 0), (2, 1))] == [0.125, 0.0, 8.0]


def test_what_has_overflowed_counts_as_the_largest_number() -> None:
    assert mean_of([[np.inf, 0.0]]) == sys.float_info.max / 2
