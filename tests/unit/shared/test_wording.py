"""Numbers are told in digits that say something, and never as what they are not."""

import pytest

from shared.wording import counted, digits, duration, part, percent, price, signed


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.5, "50%"),
        (1 / 3, "33.3%"),
        (0.989947, "98.99%"),
        (0.010053, "1.01%"),
        (0.0018, "0.18%"),
        (0.0999, "9.99%"),
        (0.000001, "0.0001%"),
    ],
)
def test_a_share_keeps_the_digits_that_say_something(share: float, told: str) -> None:
    assert percent(share) == told


@pytest.mark.parametrize("of", [10, 1_000, 1_000_000, 10_000_000, 1_000_000_000])
def test_one_event_of_many_is_neither_none_nor_are_the_others_all(of: int) -> None:
    assert part(1, of) != "0%"
    assert part(of - 1, of) != "100%"


def test_a_part_of_nothing_is_no_number() -> None:
    assert part(0, 0) == "\u2013"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "0 s"),
        (4.2e-5, "42 µs"),
        (0.0124, "12.4 ms"),
        (0.9999, "1 s"),
        (3.2, "3.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (320.0, "5 min 20 s"),
        (7_500.0, "2 h 5 min"),
        (3_599.6, "1 h"),
        (86_400.0, "1 d"),
        (1_000_000.0, "11 d 14 h"),
        (-0.25, "\u2212250 ms"),
    ],
)
def test_a_time_has_the_units_that_fit_it(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0.0, "0"),
        (0.00412, "0.00412"),
        (3.14159, "3.14"),
        (99.99, "100"),
        (12_400.0, "12,400"),
        (2.0, "2"),
        (-3.2e-17, "-3.2e-17"),
    ],
)
def test_a_measure_has_three_digits(number: float, told: str) -> None:
    assert digits(number) == told


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        *((0.0, "0"), (1e-12, "less than 0.000001"), (0.000002, "0.000002"), (0.00412, "0.00412")),
        *((1.2, "1.2"), (120.0, "120"), (1234567.0, "1,234,567"), (1e12, "1,000,000,000,000")),
    ],
)
def test_a_price_is_never_in_exponent_notation(amount: float, told: str) -> None:
    assert price(amount) == told


def test_a_change_has_its_sign() -> None:
    assert (signed(0.25), signed(-0.25), signed(0.0)) == ("+0.25", "\u22120.25", "0")


@pytest.mark.parametrize(("count", "text"), [(0, "0 rows"), (1, "1 row"), (1_000, "1,000 rows")])
def test_one_of_a_thing_is_singular(count: int, text: str) -> None:
    assert counted(count, "row") == text
