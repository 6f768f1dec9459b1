"""The charts of a report, as drawings of SVG that need no script.

Each is made in two widths; the page shows that which the reader has room for. Colours are the page's.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from markupsafe import Markup

from batch.advice.result import Advice, CadenceResult
from batch.proof.result import Histogram
from batch.report.figures import count, digits, duration, measure, part, percent
from batch.report.svg import Scale, drawing, element, round_ticks, time_ticks

#: The widths that a chart is made in, by the name of the page's class for it.
WIDTHS: Final = {"wide": 860.0, "narrow": 340.0}
# From this ratio of its largest to its smallest value on, an axis is logarithmic.
_LOGARITHMIC_FROM: Final = 20.0
# What a label of an axis needs, and the width of a letter, as long as nobody measures it.
_TICK_ROOM, _LETTER = 58.0, 7.4


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bar of a histogram: from where to where it stands on the axis, what it counts, and of what range."""

    low: float
    high: float
    events: int
    label: str
    zero: bool = False


def both(chart: Callable[[str, float], Markup]) -> Markup:
    """A chart in each of the widths.

    Args:
        chart: Draws it, given an ending for its ids and its width.
    """
    return Markup("").join(
        element("div", chart(name, width), klass=f"chart {name}") for name, width in WIDTHS.items()
    )


def spread(name: str, histogram: Histogram, title: str) -> Markup:
    """A histogram with its percentiles.

    Args:
        name: An id that no other chart of the page has.
        histogram: What to draw; it counts something.
        title: What it shows.
    """
    return both(lambda ending, width: _spread(f"{name}-{ending}", histogram, title, width))


def ages(name: str, cadences: Sequence[CadenceResult], title: str) -> Markup:
    """The age of the decisions in force, a row of bars a cadence, over one axis."""
    return both(lambda ending, width: _ages(f"{name}-{ending}", cadences, title, width))


def costs(name: str, advice: Advice) -> Markup:
    """What each cadence costs a day against the share of stale decisions that it leaves."""
    return both(lambda ending, width: _costs(f"{name}-{ending}", advice, width))


def _spread(name: str, histogram: Histogram, title: str, width: float) -> Markup:
    top, bottom, height = 46.0, 226.0, 282.0
    logarithmic = _is_logarithmic([histogram])
    buckets = _buckets(histogram, logarithmic=logarithmic)
    axis = _axis(buckets, 46.0, width - 16.0, logarithmic=logarithmic)
    total = sum(histogram.counts)
    most = max(bucket.events for bucket in buckets) / total
    up = Scale(0.0, most * 1.06, bottom, top)
    grid = [_level(level, up, 46.0, width - 16.0) for level in round_ticks(up, 4)]
    bars = [_bar(bucket, bucket.events / total, axis, up, histogram.unit, total) for bucket in buckets]
    percentiles = _percentiles(histogram, axis, top, bottom)
    scale = "logarithmic axis" if axis.logarithmic else "linear axis"
    caption = element(
        "text", f"time, {scale}" if histogram.unit == "seconds" else f"{histogram.unit}, {scale}",
        x=width - 16.0, y=height - 8, klass="unit end",
    )  # fmt: skip
    side = element("text", "share of events", x=0, y=14, klass="unit")
    description = (
        f"Half took {measure(histogram.p50, histogram.unit)} or less, 99 of 100"
        f" {measure(histogram.p99, histogram.unit)} or less, the longest"
        f" {measure(histogram.largest, histogram.unit)}; {count(total)} in all."
    )
    ticks = _ticks(axis, bottom, histogram.unit, buckets)
    return drawing(
        name, (width, height), title, description, *grid, *bars, *ticks, *percentiles, caption, side
    )


def _ages(name: str, cadences: Sequence[CadenceResult], title: str, width: float) -> Markup:
    narrow = width < WIDTHS["wide"]
    left, row, head = (8.0, 84.0, 30.0) if narrow else (150.0, 70.0, 12.0)
    logarithmic = _is_logarithmic([cadence.age for cadence in cadences])
    rows = [_buckets(cadence.age, logarithmic=logarithmic) for cadence in cadences]
    every = [bucket for buckets in rows for bucket in buckets]
    axis = _axis(every, left, width - 16.0, logarithmic=logarithmic)
    bottom = row * len(cadences) + 6
    ticks = _ticks(axis, bottom, "seconds", every)
    parts: list[Markup] = [
        element("line", x1=axis.at(tick), x2=axis.at(tick), y1=4, y2=bottom, klass="grid")
        for tick in _tick_values(axis, "seconds", every)
    ]
    for place, (cadence, buckets) in enumerate(zip(cadences, rows, strict=True)):
        floor = row * (place + 1)
        total = sum(cadence.age.counts) or 1
        up = Scale(
            0.0, max((bucket.events for bucket in buckets), default=1) / total, floor, floor - row + head
        )
        parts += [_bar(bucket, bucket.events / total, axis, up, "seconds", total) for bucket in buckets]
        parts.append(element("line", x1=left, x2=width - 16, y1=floor, y2=floor, klass="axis"))
        parts += _age_labels(cadence, floor, row, narrow=narrow)
    caption = element("text", "age, logarithmic axis" if axis.logarithmic else "age, linear axis",
                      x=width - 16.0, y=bottom + 46, klass="unit end")  # fmt: skip
    description = "; ".join(
        f"{cadence.name}: half of the decisions in use were {duration(cadence.age.p50)} old or younger, 99 of 100"
        f" {duration(cadence.age.p99)} or younger"
        for cadence in cadences
    )
    return drawing(name, (width, bottom + 54), title, f"{description}.", *parts, *ticks, caption)


def _age_labels(cadence: CadenceResult, floor: float, row: float, *, narrow: bool) -> list[Markup]:
    figures = f"p50 {duration(cadence.age.p50)}", f"p99 {duration(cadence.age.p99)}"
    if narrow:
        text = element("tspan", cadence.name, klass="name")
        return [element("text", text, f"  {' · '.join(figures)}", x=8, y=floor - row + 22, klass="label")]
    return [
        element("text", cadence.name, x=0, y=floor - 38, klass="label name"),
        *(
            element("text", figure, x=0, y=floor - 20 + 16 * place, klass="label quiet")
            for place, figure in enumerate(figures)
        ),
    ]


def _costs(name: str, advice: Advice, width: float) -> Markup:
    left, top, bottom, height = 52.0, 34.0, 300.0, 352.0
    priced = all(cadence.price_per_day is not None for cadence in advice.cadences)
    costs = [cost_of(cadence, priced=priced) for cadence in advice.cadences]
    across = _axis_of(costs, left, width - 20.0)
    shares = [cadence.stale_share for cadence in advice.cadences]
    up = Scale(0.0, max(*shares, advice.tolerated, 1e-6) * 1.12, bottom, top)
    grid = [_level(level, up, left, width - 20.0) for level in round_ticks(up, 5)]
    limit = up.at(advice.tolerated)
    accepted = [
        element("rect", x=left, y=limit, width=width - 20.0 - left, height=bottom - limit, klass="accepted"),
        element("line", x1=left, x2=width - 20.0, y1=limit, y2=limit, klass="limit"),
        _limit_label(advice, costs, across, limit),
    ]  # fmt: skip
    shown = [
        value for value in round_ticks(across, 6 if width > 400 else 3) if across.low <= value <= across.high
    ]
    ticks = [
        tick
        for value in across.apart(shown, _TICK_ROOM)
        for tick in (
            element("line", x1=across.at(value), x2=across.at(value), y1=bottom, y2=bottom + 5, klass="axis"),
            _tick_label(digits(value), across.at(value), bottom + 20, across.end),
        )
    ]
    scale = "logarithmic axis" if across.logarithmic else "linear axis"
    unit = "price a day" if priced else "CPU seconds held or used a day"
    axes = [
        element("line", x1=left, x2=width - 20, y1=bottom, y2=bottom, klass="axis"),
        element("text", f"{unit}, {scale}", x=width - 20, y=height - 10, klass="unit end"),
        element("text", "stale uses", x=0, y=16, klass="unit"),
    ]
    points = _points(advice, costs, across, up)
    description = "; ".join(
        f"{cadence.name}: {percent(cadence.stale_share)} stale at {digits(cost)}"
        for cadence, cost in zip(advice.cadences, costs, strict=True)
    )
    title = f"Share of stale uses by {unit}; {advice.recommended} is recommended"
    return drawing(name, (width, height), title, f"{description}.", *accepted, *grid, *ticks, *axes, *points)


def cost_of(cadence: CadenceResult, *, priced: bool) -> float:
    """What a cadence costs a day: its price, or the CPU seconds that are held or used for it."""
    if priced and cadence.price_per_day is not None:
        return cadence.price_per_day
    return cadence.billed_seconds_per_day


def _limit_label(advice: Advice, costs: Sequence[float], across: Scale, y: float) -> Markup:
    """What is accepted, at that end of its line that is farther from any point."""
    text = f"accepted: {percent(advice.tolerated)}"
    places = [across.at(cost) for cost in costs]
    if min(places) - across.start > across.end - max(places):
        return element("text", text, x=across.start + 6, y=y - 6, klass="label limit")
    return element("text", text, x=across.end - 4, y=y - 6, klass="label limit end")


def _points(advice: Advice, costs: Sequence[float], across: Scale, up: Scale) -> list[Markup]:
    """A point a cadence, with its name beside it where no other name stands."""
    drawn, taken = [], list[tuple[float, float, float]]()
    for cadence, cost in zip(advice.cadences, costs, strict=True):
        x, y = across.at(cost), up.at(cadence.stale_share)
        best = cadence.name == advice.recommended
        text = f"★ {cadence.name}" if best else cadence.name
        room = len(text) * _LETTER
        right = x + 14 + room < across.end
        begin = x + 14 if right else x - 14 - room
        line = y - 8 if y + 8 > up.start else y + 4
        while any(
            begin < other[1] and other[0] < begin + room and abs(line - other[2]) < 17 for other in taken
        ):
            line -= 17
        taken.append((begin, begin + room, line))
        if best:
            drawn.append(element("circle", cx=x, cy=y, r=11, klass="ring"))
        hover = f"{cadence.name}: {percent(cadence.stale_share)} of uses stale, {digits(cost)} a day"
        drawn += [
            element("circle", element("title", hover), cx=x, cy=y, r=6, klass="point best" if best else "point"),
            element("text", text, x=x + 14 if right else x - 14, y=line,
                    klass=f"label{' name' if best else ''}{'' if right else ' end'}"),
        ]  # fmt: skip
    return drawn


def _buckets(histogram: Histogram, *, logarithmic: bool) -> list[_Bucket]:
    """The bars of a histogram, from the first that counts something to the last that does.

    On a logarithmic axis there is no place for zero: what is not above it has one bar before the others.
    """
    bounds = histogram.bounds or [histogram.largest or 1.0]
    told = [measure(bound, histogram.unit) for bound in bounds]
    labels = [f"up to {told[0]}", *(f"{low} to {high}" for low, high in pairwise(told)), f"above {told[-1]}"]
    counts = histogram.counts if histogram.bounds else [*histogram.counts, 0]
    if logarithmic:
        below = sum(bound <= 0 for bound in bounds)
        zero = sum(counts[:below])
        bounds, labels, counts = bounds[below:], labels[below:], counts[below:]
        step = bounds[1] / bounds[0] if len(bounds) > 1 else 2.0
        edges = [
            bounds[0] / step,
            *bounds,
            min(max(bounds[-1] * step, histogram.largest), bounds[-1] * step**2),
        ]
        made = [_Bucket(edges[0] / step, edges[0], zero, f"up to {measure(0, histogram.unit)}", zero=True)]
    else:
        made = []
        edges = [min(0.0, bounds[0]), *bounds, max(histogram.largest, bounds[-1] * 1.05)]
    made += [
        _Bucket(low, high, events, label)
        for (low, high), events, label in zip(pairwise(edges), counts, labels, strict=True)
    ]
    used = [place for place, bucket in enumerate(made) if bucket.events]
    return made[used[0] : used[-1] + 1] if used else []


def _is_logarithmic(histograms: Sequence[Histogram]) -> bool:
    positive = [bound for histogram in histograms for bound in histogram.bounds if bound > 0]
    return len(positive) > 1 and max(positive) / min(positive) > _LOGARITHMIC_FROM


def _axis(buckets: Sequence[_Bucket], start: float, end: float, *, logarithmic: bool) -> Scale:
    low = min((bucket.low for bucket in buckets), default=1.0)
    high = max((bucket.high for bucket in buckets), default=2.0)
    return Scale(low, high if high > low else low + 1, start, end, logarithmic)


def _axis_of(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = min(values), max(values)
    if low > 0 and high / low > _LOGARITHMIC_FROM:
        room = (high / low) ** 0.08
        return Scale(low / room, high * room, start, end, logarithmic=True)
    return Scale(0.0, high * 1.08 or 1.0, start, end)


def _bar(bucket: _Bucket, share: float, axis: Scale, up: Scale, unit: str, total: int) -> Markup:
    left, right = axis.at(bucket.low), axis.at(bucket.high)
    # What counts anything is seen.
    height = max(up.start - up.at(share), 1.5 if bucket.events else 0.0)
    title = element("title", f"{bucket.label}: {count(bucket.events)}, {part(bucket.events, total)}")
    return element(
        "rect", title, x=left + 0.75, y=up.start - height, width=max(right - left - 1.5, 1.0), height=height,
        klass="bar",
    )  # fmt: skip


def _level(level: float, up: Scale, left: float, right: float) -> Markup:
    y = up.at(level)
    line = element("line", x1=left, x2=right, y1=y, y2=y, klass="axis" if level == 0 else "grid")
    return line + element("text", percent(round(level, 9)), x=left - 8, y=y + 4, klass="tick end")


def _tick_values(axis: Scale, unit: str, buckets: Sequence[_Bucket]) -> list[float]:
    if unit == "seconds" and axis.logarithmic:
        values = time_ticks(axis, _TICK_ROOM)
    else:
        most = max(2, int((axis.end - axis.start) / _TICK_ROOM / 1.6))
        values = axis.apart(round_ticks(axis, most), _TICK_ROOM)
    # Within the bar of zero there are no other values.
    zeros = max((axis.at(bucket.high) + _TICK_ROOM / 2 for bucket in buckets if bucket.zero), default=0.0)
    return [value for value in values if axis.at(value) >= zeros]


def _ticks(axis: Scale, bottom: float, unit: str, buckets: Sequence[_Bucket]) -> list[Markup]:
    places = {axis.at(value): measure(value, unit) for value in _tick_values(axis, unit, buckets)}
    zero = next((bucket for bucket in buckets if bucket.zero), None)
    if zero is not None:
        places[(axis.at(zero.low) + axis.at(zero.high)) / 2] = "0"
    return [
        line + text
        for x, told in places.items()
        for line, text in [
            (
                element("line", x1=x, x2=x, y1=bottom, y2=bottom + 5, klass="axis"),
                _tick_label(told, x, bottom + 20, axis.end),
            )
        ]
    ]


def _tick_label(text: str, x: float, y: float, end: float) -> Markup:
    """A label below its tick, which stays within the drawing."""
    if end - x < len(text) * _LETTER / 2:
        return element("text", text, x=end, y=y, klass="tick end")
    return element("text", text, x=x, y=y, klass="tick middle")


def _percentiles(histogram: Histogram, axis: Scale, top: float, bottom: float) -> list[Markup]:
    drawn = []
    last_end = -math.inf
    for name, value in (("p50", histogram.p50), ("p99", histogram.p99)):
        x = axis.at(value)
        text = f"{name} {measure(value, histogram.unit)}"
        room = len(text) * _LETTER
        begin = min(max(x - room / 2, axis.start), axis.end - room)
        y = top - 10 if begin > last_end + 8 else top - 28
        last_end = begin + room
        drawn.append(element("line", x1=x, x2=x, y1=y + 4, y2=bottom, klass="mark"))
        drawn.append(element("text", text, x=begin + room / 2, y=y, klass="label name middle"))
    return drawn
