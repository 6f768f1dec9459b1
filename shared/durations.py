"""Lengths of time as people write them: 90s, 15m, 1h30m, 7d."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
#: In seconds: 100 years.
_LONGEST: Final = 36_525 * 86_400.0
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def seconds_of(text: str) -> float:
    """The seconds that a text such as `15m` or `1h30m` stands for.

    Raises:
        ValueError: It is no such text, or more than 100 years.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError("a length of time such as 90s, 15m, 1h30m or 7d")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST:
        raise ValueError("a length of time of 100 years or less")
    return seconds


#: A setting in seconds, given as a length of time; a number alone has no unit.
Duration = Annotated[float, BeforeValidator(lambda given: seconds_of(str(given)))]
