"""Scales, and the axes that show them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from batch.report.svg import line, text
from shared.wording import percent

#: The room that the label of a tick needs, and that of a letter: nobody measures it here.
TICK_ROOM: Final = 58.0
LETTER: Final = 7.4
#: From this ratio of its largest to its smallest value on, an axis is logarithmic.
LOGARITHMIC_FROM: Final = 20.0
# Ticks of an axis of time, in seconds: what people count in.
_TIMES: Final = (
    *(10.0**power for power in range(-9, 2)),
    *(60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0, 31_536_000.0),
)
_FINER_TIMES: Final = (
    *(base * 10.0**power for power in range(-9, 1) for base in (1, 2, 5)),
    *(10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0),
    *(86_400.0, 172_800.0, 604_800.0, 2_592_000.0, 31_536_000.0),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """Places values on an axis.

    Attributes:
        low: The value at its start; positive on a logarithmic one.
        high: The value at its end; above `low`.
        start: Where it starts in the drawing.
        end: Where it ends.
        logarithmic: Whether equal steps are equal ratios.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value stands; what is beyond the ends stands at them."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            way = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            way = (value - self.low) / (self.high - self.low)
        return self.start + way * (self.end - self.start)

    def apart(self, values: Sequence[float], least: float = TICK_ROOM) -> list[float]:
        """Those of rising values that are on it, without any that comes too close to the one before."""
        kept: list[float] = []
        for value in values:
            inside = self.low <= value <= self.high
            if inside and (not kept or abs(self.at(value) - self.at(kept[-1])) >= least):
                kept.append(value)
        return kept

    @property
    def told(self) -> str:
        """What it is, in words."""
        return "logarithmic axis" if self.logarithmic else "linear axis"


def round_ticks(scale: Scale, most: int) -> list[float]:
    """Round values: about so many multiples of 1, 2 or 5 times a power of ten, or these themselves."""
    if scale.logarithmic:
        powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
        bases = (1,) if len(powers) > 3 else (1, 2, 5)
        return scale.apart([base * 10.0**power for power in powers for base in bases])
    rough = (scale.high - scale.low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(base * size for base in (1, 2, 5, 10) if base * size >= rough * 0.999)
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    # Not 0.30000000000000004.
    return [round(number * step, 12) for number in range(first, last + 1)]


def time_ticks(scale: Scale) -> list[float]:
    """Times in seconds that people count in, for a logarithmic scale."""
    coarse = scale.apart(_TIMES)
    return coarse if len(coarse) >= 4 else scale.apart(_FINER_TIMES)


def across(scale: Scale, y: float, ticks: Sequence[float], told: Callable[[float], str]) -> list[Markup]:
    """The ticks of a horizontal axis, with labels that stay within the drawing.

    Args:
        scale: The axis.
        y: Where it is.
        ticks: The values.
        told: The label of one.
    """
    drawn = []
    for value in ticks:
        x, label = scale.at(value), told(value)
        drawn.append(line(x, y, x, y + 5, "axis"))
        if scale.end - x < len(label) * LETTER / 2:
            drawn.append(text(label, scale.end, y + 22, "tick end"))
        else:
            drawn.append(text(label, x, y + 22, "tick middle"))
    return drawn


def shares(up: Scale, left: float, right: float, ticks: int) -> list[Markup]:
    """The lines of a vertical axis of shares, in percent, from left to right over the drawing."""
    drawn = []
    for share in round_ticks(up, ticks):
        y = up.at(share)
        drawn.append(line(left, y, right, y, "grid" if share else "axis"))
        drawn.append(text(percent(share), left - 8, y + 4, "tick end"))
    return drawn
