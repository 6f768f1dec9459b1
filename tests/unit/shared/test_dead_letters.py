"""A dead letter says why and where from, keeps the event's own headers, and reads back."""

import pytest

from shared.dead_letters import (
    MAX_HEADER_BYTES,
    LeftOut,
    Origin,
    Told,
    headers_for,
    origin_of,
    own_headers,
    read_headers,
    reason_of,
    stub_of,
    told_by,
)
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
    for number in ("x", "-1", "+1", "1_0", " 1", "\u0663", "01", "9" * 20, ""):
        with pytest.raises(ValueError, match=r"the header tandem\.offset is not a number"):
            origin_of(told | {"tandem.offset": number})
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


def test_all_that_the_headers_tell_is_read_at_once() -> None:
    headers = headers_for(
        REJECTION, ORIGIN, "m@1", [("other", b"\xff"), ("tandem.sha256", b"a lie")], attempt=3
    )
    assert told_by(headers) == Told(
        ORIGIN, Reason.WRONG_TYPE, REJECTION.detail, REJECTION.field, "m@1", 3, left_out=None
    )
    assert own_headers(headers) == [("other", b"\xff")]


def test_a_letter_without_its_bytes_tells_what_they_were() -> None:
    _, headers = stub_of(b"k", b"abc", headers_for(REJECTION, ORIGIN, "m@1"))
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert told_by(headers).left_out == LeftOut(3, sha256)


def test_an_event_without_a_time_reads_back() -> None:
    origin = Origin("events", 0, 0, -1)
    assert told_by(headers_for(REJECTION, origin, "m@1")).origin == origin


@pytest.mark.parametrize("name", ["detail", "model", "attempt", "topic", "partition", "timestamp", "reason"])
def test_a_record_without_one_of_the_headers_is_no_letter(name: str) -> None:
    headers = headers_for(REJECTION, ORIGIN, "m@1")
    with pytest.raises(ValueError, match=r"is missing|not a valid Reason"):
        told_by([header for header in headers if header[0] != f"tandem.{name}"])


def test_the_attempts_begin_at_1() -> None:
    with pytest.raises(ValueError, match="not an attempt"):
        told_by(headers_for(REJECTION, ORIGIN, "m@1", attempt=0))
