"""Numbers of a report: counts, and values of a histogram with its unit."""

from typing import Final

from shared.wording import digits, duration

_SECONDS: Final = {"seconds": 1.0, "s": 1.0, "milliseconds": 1e-3, "ms": 1e-3}


def count(number: float) -> str:
    """A number of things: 1,000,000."""
    return f"{number:,.0f}"


def measure(value: float, unit: str) -> str:
    """A value of a histogram with its unit; a time in that which fits it."""
    if unit in _SECONDS:
        return duration(value * _SECONDS[unit])
    return f"{digits(value)} {unit}".strip()
