"""Charts place what they show where it belongs."""

from itertools import pairwise

from batch.advice.result import Advice
from batch.proof.result import Histogram
from batch.report.charts import ages, spread
from batch.report.cost_chart import costs
from tests.support import reports
from tests.support.markup import Page, parsed

HISTOGRAM = Histogram(
    unit="seconds",
    bounds=[0.001, 0.01, 0.1, 1.0],
    counts=[0, 100, 50, 25, 0],
    p50=0.008,
    p99=0.9,
    largest=1.0,
)


def elements(page: Page, tag: str, klass: str) -> list[dict[str, str]]:
    return [
        attributes
        for name, attributes in page.elements
        if name == tag and klass in attributes.get("class", "").split()
    ]


def first_half(found: list[dict[str, str]]) -> list[dict[str, str]]:
    """Those of the wide drawing."""
    return found[: len(found) // 2]


def test_bars_are_as_high_as_what_they_count_and_stand_where_it_is() -> None:
    bars = first_half(elements(parsed(spread("x", HISTOGRAM, "title")), "rect", "bar"))
    heights = [float(bar["height"]) for bar in bars]
    assert [round(height / heights[-1], 2) for height in heights] == [4, 2, 1]
    widths = {round(float(bar["width"]), 1) for bar in bars}
    assert len(widths) == 1, "powers of ten are equally wide on a logarithmic axis"


def test_a_chart_says_in_words_what_it_shows() -> None:
    text = parsed(spread("x", HISTOGRAM, "title")).text
    assert "Half took 8 ms or less, 99 of 100 900 ms or less, the longest 1 s; 175 in all." in text
    assert "10 ms to 100 ms: 50, 28.6%" in text
    assert "time, logarithmic axis" in text


def test_ages_share_one_axis() -> None:
    cadences = reports.advice().cadences
    bars = first_half(elements(parsed(ages("x", cadences, "title")), "rect", "bar"))
    by_floor: dict[float, list[float]] = {}
    for bar in bars:
        by_floor.setdefault(round(float(bar["y"]) + float(bar["height"])), []).append(float(bar["x"]))
    first_of_each = [min(places) for _, places in sorted(by_floor.items())]
    assert len(first_of_each) == len(cadences)
    assert first_of_each == sorted(first_of_each)


def test_a_cadence_at_which_no_decision_was_ever_in_force_has_no_ages() -> None:
    stream, *batches = reports.advice().cadences
    unaged = [one.model_copy(update={"age": None}) for one in batches]
    text = parsed(ages("x", [stream, *unaged], "title")).text
    assert stream.name in text
    assert not any(one.name in text for one in batches)


def test_the_recommended_cadence_is_marked_and_in_what_is_accepted() -> None:
    page = parsed(costs("x", reports.advice()))
    (best,) = first_half(elements(page, "circle", "best"))
    (accepted,) = first_half(elements(page, "rect", "accepted"))
    top = float(accepted["y"])
    assert top <= float(best["cy"]) <= top + float(accepted["height"])
    outside = [point for point in first_half(elements(page, "circle", "point")) if float(point["cy"]) < top]
    assert len(outside) == 2
    assert "★ every minute" in page.text


def test_dearer_is_further_right_and_staler_is_higher() -> None:
    advice = reports.advice()
    points = first_half(elements(parsed(costs("x", advice)), "circle", "point"))
    for place, key in (("cx", "price_per_day"), ("cy", "stale_share")):
        by_place = sorted(range(len(points)), key=lambda number: float(points[number][place]))
        values = [getattr(advice.cadences[number], key) for number in by_place]
        assert values == sorted(values, reverse=place == "cy")


def test_without_a_price_the_axis_is_what_is_held_or_used() -> None:
    advice = reports.advice()
    free = [cadence.model_copy(update={"price_per_day": None}) for cadence in advice.cadences]
    text = parsed(costs("x", advice.model_copy(update={"cadences": free, "price": None}))).text
    assert "core seconds held or used a day" in text
    assert "real time: 0% stale at 86,400" in text


def test_names_of_equal_points_do_not_stand_upon_each_other() -> None:
    advice = reports.advice()
    same = [
        advice.cadences[1].model_copy(update={"name": f"every {number} minutes"}) for number in range(1, 6)
    ]
    alike: Advice = advice.model_copy(update={"cadences": same, "recommended": "every 3 minutes"})
    labels = [
        label
        for label in first_half(elements(parsed(costs("x", alike)), "text", "label"))
        if "limit" not in label["class"].split()
    ]
    assert len(labels) == 5
    levels = sorted(float(label["y"]) for label in labels)
    assert all(later - one >= 17 for one, later in pairwise(levels))
