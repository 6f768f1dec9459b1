"""What an event holds is shown, never obeyed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.visible import visible


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        (b'{"a": "\xc3\xa9"}', '{"a": "é"}'),
        (b"\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("one\r\n\ttwo\x00", r"one\r\n\ttwo\x00"),
        (b"\xff\xc3", r"\xff\xc3"),
        ("right\u202eleft\u2028\x9b", r"right\u202eleft\u2028\x9b"),
        ('C:\\x "q" [red]', 'C:\\x "q" [red]'),
        (None, ""),
    ],
)
def test_what_is_not_printable_stands_as_an_escape(given_: str | bytes | None, shown: str) -> None:
    assert visible(given_) == shown


def test_what_is_cut_off_is_said() -> None:
    assert visible(b"x" * 2_000, 3) == "xxx... and 1,997 more"
    assert visible("xyz", 3) == "xyz"


@given(st.one_of(st.text(), st.binary()))
def test_whatever_comes_in_only_printable_text_comes_out(text: str | bytes) -> None:
    assert visible(text).isprintable()
