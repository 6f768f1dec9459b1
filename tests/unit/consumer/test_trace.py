"""What of an event's headers its prediction carries on."""

import pytest

from consumer.trace import MOST_BYTES, handed_on
from shared.kafka.columns import Header

PARENT: Header = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def test_trace_context_is_handed_on_in_its_order_and_nothing_else() -> None:
    state, baggage = ("tracestate", b"a=1,b=\xff"), ("baggage", None)
    given: list[Header] = [
        ("id", b"1"),
        baggage,
        PARENT,
        ("Traceparent", b"2"),
        state,
        ("tandem.reason", b"x"),
    ]
    assert handed_on({3: given, 5: [("id", b"2")]}) == {3: [baggage, PARENT, state]}


@pytest.mark.parametrize("name", MOST_BYTES)
def test_what_is_longer_than_its_limit_is_left_out_and_the_rest_goes_on(name: str) -> None:
    most = MOST_BYTES[name]
    fits, long = (name, b"x" * most), (name, b"x" * (most + 1))
    other = next(other for other in MOST_BYTES if other != name)
    assert handed_on({0: [fits, (other, b"o")]}) == {0: [fits, (other, b"o")]}
    assert handed_on({0: [long, (other, b"o")], 1: [long]}) == {0: [(other, b"o")]}


def test_a_repeated_header_goes_on_as_often_while_all_together_are_within_the_limit() -> None:
    half = ("tracestate", b"x" * 256)
    assert handed_on({0: [half, half], 1: [half, half, half]}) == {0: [half, half]}


def test_events_without_headers_hand_on_nothing() -> None:
    assert handed_on({}) == {}
