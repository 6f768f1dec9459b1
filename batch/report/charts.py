"""Histograms, as drawings that need no script: one with its percentiles, or several over one axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from markupsafe import Markup

from batch.advice.result import CadenceResult
from batch.proof.result import Histogram
from batch.report.axes import (
    LETTER,
    LOGARITHMIC_FROM,
    TICK_ROOM,
    Scale,
    across,
    round_ticks,
    shares,
    time_ticks,
)
from batch.report.figures import count, measure
from batch.report.svg import WIDTHS, drawing, element, in_both_widths, line, text
from shared.wording import duration, part

_SECONDS: Final = "seconds"
# What stands beside a drawing on the right: half a label.
_RIGHT: Final = 16.0
# From the start of a logarithmic axis to its end, at least.
_LEAST_RATIO: Final = 400.0


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bar: from where to where it stands on the axis, what it counts, and of what range."""

    low: float
    high: float
    events: int
    label: str


def spread(name: str, histogram: Histogram, title: str) -> Markup:
    """A histogram with its percentiles.

    Args:
        name: An id that no other drawing of the page has.
        histogram: What to draw; it counts something.
        title: What it shows.
    """
    return in_both_widths(name, lambda ending, width: _spread(ending, histogram, title, width))


def ages(name: str, cadences: Sequence[CadenceResult], title: str) -> Markup:
    """The age of the decisions in force, a row of bars a cadence, over one axis.

    Args:
        name: An id that no other drawing of the page has.
        cadences: What to draw: those at which a decision was ever in force, of which there is one.
        title: What it shows.
    """
    aged = [(cadence.name, cadence.age) for cadence in cadences if cadence.age is not None]
    return in_both_widths(name, lambda ending, width: _ages(ending, aged, title, width))


def _spread(name: str, histogram: Histogram, title: str, width: float) -> Markup:
    left, right, top, bottom, height = 46.0, width - _RIGHT, 46.0, 226.0, 282.0
    logarithmic = _is_logarithmic([histogram])
    buckets = _buckets(histogram, logarithmic=logarithmic)
    axis = _axis(buckets, left, right, logarithmic=logarithmic)
    total = sum(histogram.counts)
    up = Scale(0.0, max(bucket.events for bucket in buckets) / total * 1.06, bottom, top)
    told = partial(measure, unit=histogram.unit)
    unit = "time" if histogram.unit == _SECONDS else histogram.unit
    description = (
        f"Half took {told(histogram.p50)} or less, 99 of 100 {told(histogram.p99)} or less, the longest"
        f" {told(histogram.largest)}; {count(total)} in all."
    )
    return drawing(
        name,
        (width, height),
        title,
        description,
        *shares(up, left, right, 4),
        *(_bar(bucket, total, axis, up) for bucket in buckets),
        *across(axis, bottom, _ticks(axis, histogram.unit), told),
        *_percentiles(histogram, axis, top, bottom),
        text(f"{unit}, {axis.told}", right, height - 8, "unit end"),
        text("share of events", 0, 14, "unit"),
    )


def _ages(name: str, aged: Sequence[tuple[str, Histogram]], title: str, width: float) -> Markup:
    narrow = width < WIDTHS["wide"]
    left, row, head = (8.0, 84.0, 30.0) if narrow else (150.0, 70.0, 12.0)
    right, bottom = width - _RIGHT, row * len(aged) + 6
    logarithmic = _is_logarithmic([age for _, age in aged])
    rows = [_buckets(age, logarithmic=logarithmic) for _, age in aged]
    every = [bucket for buckets in rows for bucket in buckets]
    axis = _axis(every, left, right, logarithmic=logarithmic)
    ticks = _ticks(axis, _SECONDS)
    parts = [line(axis.at(tick), 4, axis.at(tick), bottom, "grid") for tick in ticks]
    for place, ((cadence, age), buckets) in enumerate(zip(aged, rows, strict=True)):
        floor = row * (place + 1)
        total = sum(age.counts)
        most = max((bucket.events for bucket in buckets), default=1)
        up = Scale(0.0, most / max(total, 1), floor, floor - row + head)
        parts += [_bar(bucket, total, axis, up) for bucket in buckets]
        parts.append(line(left, floor, right, floor, "axis"))
        parts += _age_labels(cadence, age, floor - row + 22 if narrow else floor - 38, narrow=narrow)
    description = "; ".join(
        f"{cadence}: half of the decisions in use were {duration(age.p50)} old or younger,"
        f" 99 of 100 {duration(age.p99)} or younger"
        for cadence, age in aged
    )
    return drawing(
        name,
        (width, bottom + 54),
        title,
        f"{description}.",
        *parts,
        *across(axis, bottom, ticks, duration),
        text(f"age, {axis.told}", right, bottom + 46, "unit end"),
    )


def _age_labels(cadence: str, age: Histogram, y: float, *, narrow: bool) -> list[Markup]:
    figures = [f"p50 {duration(age.p50)}", f"p99 {duration(age.p99)}"]
    if narrow:
        told = element("tspan", cadence, klass="name") + f" {' · '.join(figures)}"
        return [text(told, 8, y, "label")]
    beside = [text(figure, 0, y + 18 + 16 * place, "label quiet") for place, figure in enumerate(figures)]
    return [text(cadence, 0, y, "label name"), *beside]


def _is_logarithmic(histograms: Sequence[Histogram]) -> bool:
    bounds = [bound for histogram in histograms for bound in histogram.bounds]
    return bool(bounds) and min(bounds) > 0 and max(bounds) / min(bounds) > LOGARITHMIC_FROM


def _buckets(histogram: Histogram, *, logarithmic: bool) -> list[_Bucket]:
    """The bars of a histogram, from the first that counts something to the last that does."""
    bounds = histogram.bounds
    if not bounds:
        return (
            [_Bucket(0.0, histogram.largest or 1.0, sum(histogram.counts), "all")]
            if sum(histogram.counts)
            else []
        )
    told = [measure(bound, histogram.unit) for bound in bounds]
    labels = [f"up to {told[0]}", *(f"{low} to {high}" for low, high in pairwise(told)), f"above {told[-1]}"]
    if logarithmic:
        # Neither zero nor infinity is on the axis: the ends are as wide as their neighbours.
        step = bounds[1] / bounds[0] if len(bounds) > 1 else 2.0
        edges = [bounds[0] / step, *bounds, max(bounds[-1] * step, histogram.largest)]
    else:
        edges = [min(0.0, bounds[0]), *bounds, max(bounds[-1] * 1.05, histogram.largest)]
    buckets = [
        _Bucket(low, high, events, label)
        for (low, high), events, label in zip(pairwise(edges), histogram.counts, labels, strict=True)
    ]
    used = [place for place, bucket in enumerate(buckets) if bucket.events]
    return buckets[used[0] : used[-1] + 1] if used else []


def _axis(buckets: Sequence[_Bucket], start: float, end: float, *, logarithmic: bool) -> Scale:
    low = min((bucket.low for bucket in buckets), default=1.0)
    high = max((bucket.high for bucket in buckets), default=2.0)
    if logarithmic:
        # A few bars are not blown up to fill it.
        room = max(1.0, _LEAST_RATIO / (high / low)) ** 0.5
        return Scale(low / room, high * room, start, end, logarithmic)
    return Scale(low, high if high > low else low + 1.0, start, end)


def _ticks(axis: Scale, unit: str) -> list[float]:
    if unit == _SECONDS and axis.logarithmic:
        return time_ticks(axis)
    return axis.apart(round_ticks(axis, max(2, int((axis.end - axis.start) / TICK_ROOM / 1.6))))


def _bar(bucket: _Bucket, total: int, axis: Scale, up: Scale) -> Markup:
    left, right = axis.at(bucket.low), axis.at(bucket.high)
    # What counts anything is seen.
    height = max(up.start - up.at(bucket.events / total), 1.5) if bucket.events else 0.0
    return element(
        "rect",
        element("title", f"{bucket.label}: {count(bucket.events)}, {part(bucket.events, total)}"),
        x=left + 0.75,
        y=up.start - height,
        width=max(right - left - 1.5, 1.0),
        height=height,
        klass="bar",
    )


def _percentiles(histogram: Histogram, axis: Scale, top: float, bottom: float) -> list[Markup]:
    """A line at each, whose name stands above another's where there is no room beside it."""
    drawn = []
    taken = -math.inf
    for name, value in (("p50", histogram.p50), ("p99", histogram.p99)):
        x = axis.at(value)
        told = f"{name} {measure(value, histogram.unit)}"
        room = len(told) * LETTER
        begin = min(max(x - room / 2, axis.start), axis.end - room)
        y = top - 10 if begin > taken + 8 else top - 28
        taken = begin + room
        drawn += [
            line(x, y + 4, x, bottom, "halo"),
            line(x, y + 4, x, bottom, "mark"),
            text(told, begin + room / 2, y, "label name middle"),
        ]
    return drawn
