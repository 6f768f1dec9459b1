"""The customers whose score changes most."""

import numpy as np
import pytest

from batch.replaying.affected import MostAffected
from batch.replaying.result import Affected
from shared.frame import Frame
from tests.support.pairs import pairs_of

NO_INPUTS = Frame(0, {})
Event = tuple[str, float, float]


def found(pieces: list[list[Event]], most: int = 3) -> list[Affected]:
    """The most affected of events, each of which is a customer and two scores."""
    affected, first = MostAffected(most), 0
    for piece in pieces:
        customers, before, after = zip(*piece, strict=True)
        affected.add(pairs_of(NO_INPUTS, before, after, first=first, customers=customers))
        first += len(piece)
    return affected.found()


def test_only_flipped_events_count_and_each_customer_once() -> None:
    events = [("a", 0.4, 0.6), ("b", 0.9, 0.51), ("a", 0.1, 0.9), ("c", 0.6, 0.5), ("a", 0.0, 0.49)]
    assert found([events]) == [
        Affected(customer="a", position="file/2", before=0.1, after=0.9, decision=True),
        Affected(customer="c", position="file/3", before=0.6, after=0.5, decision=False),
    ]


def test_of_equal_changes_the_first_positions_stay() -> None:
    events = [(name, 0.25, 0.75) for name in "hgfedcba"]
    assert [one.customer for one in found([events])] == ["h", "g", "f"]
    assert [one.customer for one in found([[event] for event in events])] == ["h", "g", "f"]


def test_none_are_kept_when_none_are_wanted() -> None:
    assert found([[("a", 0.1, 0.9)]], most=0) == []


@pytest.mark.parametrize("size", [1, 3, 64, 1_000])
def test_batches_give_what_sorting_all_events_gives(size: int) -> None:
    drawn = np.random.default_rng(5)
    customers = [f"customer {number}" for number in drawn.integers(0, 40, 1_000)]
    # Few values, so that many changes are equal.
    before, after = (drawn.integers(0, 9, (2, 1_000)) / 8).tolist()
    events = list(zip(customers, before, after, strict=True))
    best: dict[str, tuple[float, int]] = {}
    for place, (customer, before, after) in enumerate(events):
        if (before > 0.5) != (after > 0.5):
            best[customer] = min(best.get(customer, (0.0, 0)), (-abs(after - before), place))
    expected = sorted((order, customer) for customer, order in best.items())[:7]
    pieces = [events[start : start + size] for start in range(0, len(events), size)]
    shown = [
        ((-abs(one.after - one.before), int(one.position[5:])), one.customer) for one in found(pieces, 7)
    ]
    assert shown == expected
