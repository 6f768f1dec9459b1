"""The order of a key's events."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from batch.proof.order import NOWHERE, KeyOrder

Row = tuple[bytes | None, int]


def found(rows: Sequence[Row], size: int) -> list[int]:
    """The rows out of order, judged so many at a time."""
    order, out = KeyOrder(), []
    for start in range(0, len(rows), size):
        keys, places = zip(*rows[start : start + size], strict=True)
        later = [place for _, place in rows[start + size :] if place != NOWHERE]
        flagged = order.check(
            pa.chunked_array([pa.array(keys, pa.binary())]),
            np.array(places, np.int64),
            min(later, default=None),
        )
        out += (start + np.flatnonzero(flagged)).tolist()
    return out


def expected(rows: Sequence[Row]) -> list[int]:
    """By the definition: before the prediction of any earlier event of the key."""
    return [
        row
        for row, (key, place) in enumerate(rows)
        if key is not None
        and place != NOWHERE
        and any(earlier == key and place < before for earlier, before in rows[:row])
    ]


ROWS = st.lists(
    st.tuples(st.sampled_from([None, b"", b"a", b"b"]), st.integers(0, 40) | st.just(NOWHERE)),
    max_size=30,
)


@given(rows=ROWS, size=st.integers(1, 31))
def test_an_event_is_out_of_order_when_it_stands_before_an_earlier_one_of_its_key(
    rows: list[Row], size: int
) -> None:
    assert found(rows, size) == expected(rows)


def test_in_order_no_key_is_looked_at_or_kept() -> None:
    order = KeyOrder()
    no_keys = pa.chunked_array([pa.array([None] * 3, pa.binary())])
    assert not order.check(no_keys, np.array([0, NOWHERE, 2]), 3).any()
    assert order._kept.largest == NOWHERE


def test_keys_are_forgotten_when_no_event_can_stand_before_theirs() -> None:
    order = KeyOrder()
    late = pa.chunked_array([pa.array([b"late", b"x"], pa.binary())])
    order.check(late, np.array([50, 0]), 1)
    assert order._kept.largest == 50
    for start in range(1, 61, 10):
        keys = pa.chunked_array(
            [pa.array([b"%d" % place for place in range(start, start + 10)], pa.binary())]
        )
        order.check(keys, np.arange(start, start + 10), start + 10)
        assert order._kept.largest == (50 if start + 10 < 50 else NOWHERE)
    assert order._kept._places is None
