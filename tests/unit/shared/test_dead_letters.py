"""A dead letter says why and where from, keeps the event's own headers, and reads back."""

import pytest

from shared.dead_letters import MAX_HEADER_BYTES, Origin, headers_for, origin_of, read_headers, reason_of
from shared.schema import Reason, Rejection

ORIGIN = Origin("events", 3, 42, 1_700_000_000_000)
REJECTION = Rejection(0, Reason.WRONG_TYPE, "ключ", "ключ is 'é', which is not a number")


def test_the_headers_say_what_happened() -> None:
    assert headers_for(REJECTION, ORIGIN, "churn@1", attempt=2) == [
        ("tandem.reason", b"wrong_type"),
        ("tandem.detail", "ключ is 'é', which is not a number".encode()),
        ("tandem.field", "ключ".encode()),
        ("tandem.topic", b"events"),
        ("tandem.partition", b"3"),
        ("tandem.offset", b"42"),
        ("tandem.timestamp", b"1700000000000"),
        ("tandem.model", b"churn@1"),
        ("tandem.attempt", b"2"),
    ]


def test_there_is_no_field_where_the_whole_event_is_at_fault() -> None:
    whole = Rejection(0, Reason.TOMBSTONE, None, "the event has no value")
    assert "tandem.field" not in dict(headers_for(whole, ORIGIN, "m@1"))


def test_the_event_s_own_headers_stay_but_none_that_pretends_to_be_tandem_s() -> None:
    original = [("trace", b"\xff\x00"), ("tandem.reason", b"forged"), ("empty", None), ("trace", b"2")]
    headers = headers_for(REJECTION, ORIGIN, "m@1", original)
    assert headers[:3] == [("trace", b"\xff\x00"), ("empty", None), ("trace", b"2")]
    assert [value for name, value in headers if name == "tandem.reason"] == [b"wrong_type"]


@pytest.mark.parametrize("text", ["x", "é", "€", "😀"])
def test_what_is_added_to_an_event_is_bounded(text: str) -> None:
    rejection = Rejection(0, Reason.UNKNOWN_FIELD, text * 10_000, text * 10_000)
    origin = Origin("t" * 249, 2**31 - 1, 2**63 - 1, 2**63 - 1)
    model = f"{'n' * 100}@{'v' * 100}"
    added = headers_for(rejection, origin, model, attempt=10**6)
    # A record also holds the length of each name and value, at most 5 bytes each.
    assert sum(len(name) + len(value or b"") + 10 for name, value in added) <= MAX_HEADER_BYTES


def test_what_was_written_reads_back() -> None:
    told = read_headers(headers_for(REJECTION, ORIGIN, "m@1", [("other", b"\xff")]))
    assert origin_of(told) == ORIGIN
    assert origin_of(told).position == "events/3/42"
    assert reason_of(told) is Reason.WRONG_TYPE
    assert "other" not in told


def test_a_record_that_is_no_dead_letter_is_told_from_one() -> None:
    told = dict(read_headers(headers_for(REJECTION, ORIGIN, "m@1")))
    with pytest.raises(ValueError, match="invalid literal"):
        origin_of(told | {"tandem.offset": "x"})
    del told["tandem.topic"]
    with pytest.raises(ValueError, match=r"the header tandem\.topic is missing"):
        origin_of(told)
    for reason in ("", "no_such_reason"):
        with pytest.raises(ValueError, match="not a valid Reason"):
            reason_of({"tandem.reason": reason})
    assert read_headers([("tandem.detail", b"\xff"), ("tandem.field", None)]) == {
        "tandem.detail": "\ufffd",
        "tandem.field": "",
    }
