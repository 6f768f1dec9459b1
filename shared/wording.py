"""Words and numbers for people: one style on the terminal, in a report's sentences and in its tables."""

import math
from typing import Final

#: Stands where there is nothing to tell.
NOTHING: Final = "\u2013"
_MINUS: Final = "\u2212"
# By its name, how many of it a minute and so on are, in seconds.
_LONG: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_SHORT: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
# What is smaller than this has more zeros than anybody counts.
_LEAST_WRITTEN_OUT: Final = 1e-6


def counted(count: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def percent(share: float) -> str:
    """A share from 0 to 1 in percent, with up to three digits that say something.

    Nothing but all is 100%, and nothing but none is 0%: a share that is nearly one of them keeps the digits
    that tell them apart.
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    small = min(abs(share), abs(1 - share)) * 100
    places = 1 if small >= 10 else min(10, (2 if small >= 1 else 1) - math.floor(math.log10(small)))
    return f"{_without_zeros(f'{share * 100:.{places}f}')}%"


def part(some: float, whole: float) -> str:
    """A part of a whole in percent."""
    return percent(some / whole) if whole else NOTHING


def digits(number: float) -> str:
    """A measure with three digits, thousands separated: 0.00412, 3.14, 12,400, 1.2e-07."""
    if number == 0:
        return "0"
    if abs(number) >= 100:
        return f"{number:,.0f}"
    if abs(number) < _LEAST_WRITTEN_OUT:
        return f"{number:.3g}"
    places = max(0, 2 - math.floor(math.log10(abs(number))))
    return _without_zeros(f"{number:.{places}f}")


def price(amount: float) -> str:
    """An amount of money, which is never in exponent notation."""
    if 0 < amount < _LEAST_WRITTEN_OUT:
        return f"less than {_LEAST_WRITTEN_OUT:f}"
    return digits(amount)


def signed(number: float) -> str:
    """A change, with its sign."""
    text = digits(abs(number))
    return text if text == "0" else f"{'+' if number > 0 else _MINUS}{text}"


def duration(seconds: float) -> str:
    """A time in the units that fit it: 12.4 ms, 3.2 s, 5 min 20 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 0:
        return f"{_MINUS}{duration(-seconds)}"
    if seconds < 59.95:
        return _short(seconds)
    whole = round(seconds)
    for place, (size, name) in enumerate(_LONG):
        if whole >= size:
            smaller, smaller_name = (*_LONG, (1, "s"))[place + 1]
            rest = round((whole % size) / smaller)
            many = whole // size
            if rest * smaller >= size:
                many, rest = many + 1, 0
            return f"{many:,} {name} {rest} {smaller_name}" if rest and many < 100 else f"{many:,} {name}"
    return _short(seconds)


def _short(seconds: float) -> str:
    if seconds == 0:
        return "0 s"
    for size, name in _SHORT:
        # 999.6 ms are a second.
        if seconds >= size * 0.9995:
            return f"{digits(float(f'{seconds / size:.3g}'))} {name}"
    return f"{digits(seconds / 1e-9)} ns"


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
