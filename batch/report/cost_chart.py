"""The chart of an advice: what each cadence costs, against the share of stale decisions that it leaves."""

from collections.abc import Sequence

from markupsafe import Markup

from batch.advice.result import Advice, CadenceResult
from batch.report.axes import LETTER, LOGARITHMIC_FROM, Scale, across, round_ticks, shares
from batch.report.svg import drawing, element, in_both_widths, line, text
from shared.wording import digits, percent

# Between the lines of names that stand above each other.
_LINE = 17.0


def costs(name: str, advice: Advice) -> Markup:
    """A point a cadence, with the recommended one marked, and what the user accepts.

    Args:
        name: An id that no other drawing of the page has.
        advice: What to draw; it has a cadence.
    """
    return in_both_widths(name, lambda ending, width: _costs(ending, advice, width))


def _costs(name: str, advice: Advice, width: float) -> Markup:
    left, right, top, bottom, height = 52.0, width - 20.0, 34.0, 280.0, 332.0
    priced = all(cadence.price_per_day is not None for cadence in advice.cadences)
    paid = [_cost(cadence) for cadence in advice.cadences]
    unit = "price a day" if priced else "core seconds held or used a day"
    axis = _axis(paid, left, right)
    stale = [cadence.stale_share for cadence in advice.cadences]
    up = Scale(0.0, max(*stale, advice.tolerated, 1e-6) * 1.12, bottom, top)
    limit = up.at(advice.tolerated)
    description = "; ".join(
        f"{cadence.name}: {percent(cadence.stale_share)} stale at {digits(cost)}"
        for cadence, cost in zip(advice.cadences, paid, strict=True)
    )
    return drawing(
        name,
        (width, height),
        f"Share of stale uses by {unit}; {advice.recommended} is recommended",
        f"{description}.",
        element("rect", x=left, y=limit, width=right - left, height=bottom - limit, klass="accepted"),
        *shares(up, left, right, 5),
        line(left, limit, right, limit, "limit"),
        _limit(advice.tolerated, paid, axis, limit),
        *across(axis, bottom, axis.apart(round_ticks(axis, int((right - left) / 100))), digits),
        *_points(advice, paid, axis, up),
        text(f"{unit}, {axis.told}", right, height - 10, "unit end"),
        text("stale uses", 0, 16, "unit"),
    )


def _cost(cadence: CadenceResult) -> float:
    """What a day costs: its price where there is one, else the core seconds that would be billed."""
    return cadence.billed_seconds_per_day if cadence.price_per_day is None else cadence.price_per_day


def _axis(paid: Sequence[float], start: float, end: float) -> Scale:
    low, high = min(paid), max(paid)
    if low > 0 and high / low > LOGARITHMIC_FROM:
        room = (high / low) ** 0.08
        return Scale(low / room, high * room, start, end, logarithmic=True)
    return Scale(0.0, high * 1.08 or 1.0, start, end)


def _limit(tolerated: float, paid: Sequence[float], axis: Scale, y: float) -> Markup:
    """What is accepted, at that place above its line that is farthest from any point."""
    told = f"accepted: {percent(tolerated)}"
    room = len(told) * LETTER
    places = [axis.at(cost) for cost in paid]
    middle = max(
        range(int(axis.start + room / 2), int(axis.end - room / 2), 10),
        key=lambda x: min(abs(x - place) for place in places),
    )
    return text(told, middle, y - 6, "label limit middle")


def _points(advice: Advice, paid: Sequence[float], axis: Scale, up: Scale) -> list[Markup]:
    """A point a cadence, with its name beside it where no other name stands."""
    drawn = list[Markup]()
    taken = list[tuple[float, float, float]]()
    for cadence, cost in zip(advice.cadences, paid, strict=True):
        x, y = axis.at(cost), up.at(cadence.stale_share)
        best = cadence.name == advice.recommended
        told = f"★ {cadence.name}" if best else cadence.name
        room = len(told) * LETTER
        on_right = x + 14 + room < axis.end
        begin = x + 14 if on_right else x - 14 - room
        # Above the axis, not across it.
        level = y - 8 if y + 8 > up.start else y + 4
        while any(
            begin < end and start < begin + room and abs(level - at) < _LINE for start, end, at in taken
        ):
            level -= _LINE
        taken.append((begin, begin + room, level))
        if best:
            drawn.append(element("circle", cx=x, cy=y, r=11, klass="ring"))
        hover = f"{cadence.name}: {percent(cadence.stale_share)} of uses stale, {digits(cost)} a day"
        drawn.append(
            element(
                "circle", element("title", hover), cx=x, cy=y, r=6, klass="point best" if best else "point"
            )
        )
        klass = f"label{' name' if best else ''}{'' if on_right else ' end'}"
        drawn.append(text(told, begin if on_right else x - 14, level, klass))
    return drawn
