"""What differs between two texts is marked, and nothing else; and no text is HTML."""

import pytest

from batch.report.marks import marked


@pytest.mark.parametrize(
    ("text", "other", "shown"),
    [
        ("3fe3333333333334", "3fe3333333333335", "3fe333333333333<mark>4</mark>"),
        ("3fe6cb295e9e1b09", "3fe3295e9e1b089a", "3fe<mark>6cb295</mark>e<mark>9e1b09</mark>"),
        ("same", "same", "same"),
        ("0.6000000000000001", "0.6", "0.6<mark>000000000000001</mark>"),
        ("0.6", "0.6000000000000001", "0.6"),
        ("months", "month", "month<mark>s</mark>"),
        ("Basel", "month-to-month", "<mark>Basel</mark>"),
        ("true", "false", "<mark>true</mark>"),
        ("", "anything", ""),
        ("aa", "aaa", "aa"),
        ("aaa", "aa", "aa<mark>a</mark>"),
    ],
)
def test_what_differs_is_marked(text: str, other: str, shown: str) -> None:
    assert marked(text, other) == shown


def test_marked_text_is_escaped() -> None:
    assert marked("<b>1", "<b>2") == "&lt;b&gt;<mark>1</mark>"
    assert marked("<i>", "") == "<mark>&lt;i&gt;</mark>"
