"""A challenger's outcome beside the champion's."""

from collections import Counter

import numpy as np

from consumer.models.comparison import compare
from shared.predict import Outcome
from shared.schema import Reason, Rejection


def outcome(scores: dict[int, float], rejected: dict[int, Reason] | None = None) -> Outcome:
    """Scores and rejections by row; the threshold is 0.5."""
    values = np.array(list(scores.values()), np.float64)
    refused = tuple(Rejection(row, reason, None, "") for row, reason in (rejected or {}).items())
    rows = np.array(list(scores), np.int64)
    return Outcome(len(scores) + len(refused), rows, list(scores), None, values, values > 0.5, refused)


def test_decisions_and_differences_are_those_of_events_that_both_scored() -> None:
    champion = outcome({0: 0.25, 1: 0.75, 3: 0.5, 4: 0.75}, {2: Reason.TOO_LARGE, 5: Reason.NOT_JSON})
    challenger = outcome({0: 0.75, 2: 0.1, 3: 0.5, 4: 0.25}, {1: Reason.WRONG_TYPE, 5: Reason.NOT_JSON})
    found = compare(champion, challenger)
    assert (found.agreed, found.raised, found.lowered, found.compared) == (1, 1, 1, 3)
    assert found.differences.tolist() == [0.5, 0.0, 0.5]
    assert found.rejected == Counter({Reason.WRONG_TYPE: 1})
    assert (found.accepted, found.neither) == (1, 1)


def test_the_same_outcome_twice_agrees_everywhere() -> None:
    found = compare(outcome({0: 0.1, 1: 0.9}), outcome({0: 0.1, 1: 0.9}))
    assert (found.agreed, found.raised, found.lowered) == (2, 0, 0)
    assert found.differences.tolist() == [0.0, 0.0]


def test_nothing_in_common_compares_nothing() -> None:
    found = compare(outcome({0: 0.1}, {1: Reason.NOT_JSON}), outcome({1: 0.9}, {0: Reason.NOT_JSON}))
    assert (found.compared, found.accepted, found.neither, found.rejected.total()) == (0, 1, 0, 1)
