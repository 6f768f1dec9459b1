"""Lengths of time are read as people write them."""

import pytest

from shared.durations import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h30m", 5_400), ("7d", 604_800), ("0.5h", 1_800)]
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "-1d", "1y", "1e3s", "٣d"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="15m"):
        seconds_of(text)


def test_more_than_a_hundred_years_is_refused() -> None:
    assert seconds_of("36525d") == 36_525 * 86_400
    for text in ("36526d", "9" * 400 + "d"):
        with pytest.raises(ValueError, match="100 years or less"):
            seconds_of(text)
