"""Elements of a drawing and the scales that place them. Everything that is text is escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

# Ticks of an axis of time, in seconds: what people count in.
_TIMES: Final = (
    *(10.0**power for power in range(-9, 2)),
    *(60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0, 31_536_000.0),
)
_FINER_TIMES: Final = tuple(
    sorted({base * 10.0**power for power in range(-9, 2) for base in (1, 2, 5)} - {20.0, 50.0})
    + [15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0]
    + [86_400.0, 172_800.0, 604_800.0, 2_592_000.0, 31_536_000.0]
)


def element(tag: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """An element of SVG or HTML.

    Args:
        tag: Its name.
        children: Text, which is escaped, and elements.
        attributes: By name, in which `_` stands for `-`; `klass` is `class`, and None leaves one out.
    """
    told = Markup("").join(
        Markup(' {}="{}"').format(_attribute(name), _value(value))
        for name, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), told, Markup("").join(map(escape, children)))


def drawing(name: str, size: tuple[float, float], title: str, description: str, *children: Markup) -> Markup:
    """A drawing that says what it shows to those who cannot see it.

    Args:
        name: An id that no other drawing of the page has.
        size: Its width and height.
        title: What it shows.
        description: What is to be seen there.
        children: Its elements.
    """
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *children,
        viewBox=f"0 0 {size[0]:g} {size[1]:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
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

    def apart(self, values: Sequence[float], least: float) -> list[float]:
        """Those values that are on it, without those that come closer than so much to the one before."""
        kept: list[float] = []
        for value in values:
            inside = self.low <= value <= self.high
            if inside and (not kept or abs(self.at(value) - self.at(kept[-1])) >= least):
                kept.append(value)
        return kept


def round_ticks(scale: Scale, most: int) -> list[float]:
    """Round values on a scale: multiples of 1, 2 or 5 times a power of ten, or these on a logarithmic one."""
    if scale.logarithmic:
        powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
        bases = (1,) if len(powers) > 3 else (1, 2, 5)
        return [base * 10.0**power for power in powers for base in bases]
    rough = (scale.high - scale.low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(base * size for base in (1, 2, 5, 10) if base * size >= rough * 0.999)
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def time_ticks(scale: Scale, least: float) -> list[float]:
    """Times in seconds on a logarithmic scale that people count in, so far apart at least."""
    coarse = scale.apart(_TIMES, least)
    finer = scale.apart(_FINER_TIMES, least)
    return coarse if len(coarse) >= 4 else finer


def _attribute(name: str) -> str:
    return "class" if name == "klass" else name.replace("_", "-")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):g}"
