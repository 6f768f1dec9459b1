"""A comparison sees every kind of difference, down to one bit."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.comparison import CLASSES, Tolerance, compare_sides
from batch.sides import Side
from batch.ulps import ulps_between

Row = tuple[str, float]


def side(
    name: str, rows: list[Row], rejected: list[tuple[str | None, str]] | None = None, model: str = "m@1"
) -> Side:
    """A side whose decisions are score > 0.5."""
    scores = np.array([score for _, score in rows], np.float64)
    ids, reasons = ([pair[place] for pair in rejected or []] for place in (0, 1))
    return Side(
        name,
        pa.array([identity for identity, _ in rows], pa.string()),
        scores,
        scores > 0.5,
        frozenset({(model, "abc")} if rows else ()),
        pa.array(ids, pa.string()),
        pa.array(reasons, pa.string()),
    )


def counts(stream: Side, batch: Side, tolerance: Tolerance | None = None) -> dict[str, int]:
    """The classes that are not empty."""
    comparison = compare_sides(stream, batch, tolerance)
    assert list(comparison.counts) == list(CLASSES)
    return {name: count for name, count in comparison.counts.items() if count}


ROWS = [("t/0/0", 0.2), ("t/0/1", 0.8), ("t/1/0", 0.5)]


def test_the_same_rows_in_any_order_are_identical() -> None:
    comparison = compare_sides(side("a", ROWS), side("b", ROWS[::-1]))
    assert comparison.agrees
    assert comparison.counts["identical"] == 3
    assert comparison.examples == []


def test_one_flipped_bit_is_found() -> None:
    flipped = [*ROWS[:1], ("t/0/1", math.nextafter(0.8, 1)), *ROWS[2:]]
    comparison = compare_sides(side("a", ROWS), side("b", flipped))
    assert not comparison.agrees
    assert (comparison.counts["identical"], comparison.counts["different"]) == (2, 1)
    assert comparison.largest_ulps == 1
    (example,) = comparison.examples
    assert (example.id, example.stream, example.batch, example.ulps) == (
        "t/0/1",
        0.8,
        math.nextafter(0.8, 1),
        1,
    )


def test_a_decision_that_differs_is_a_difference_even_with_the_same_score() -> None:
    other = side("b", ROWS)
    other.decisions[0] = True
    assert counts(side("a", ROWS), other, Tolerance(1.0)) == {"identical": 2, "different": 1}


@pytest.mark.parametrize(
    ("tolerance", "found"),
    [
        (Tolerance.parse("0"), "different"),
        (Tolerance.parse("1ulp"), "different"),
        (Tolerance.parse("2 ulps"), "within_tolerance"),
        (Tolerance.parse("1e-9"), "within_tolerance"),
        (Tolerance.parse("1e-17"), "different"),
    ],
)
def test_a_tolerance_counts_in_numbers_or_ulps(tolerance: Tolerance, found: str) -> None:
    near = math.nextafter(math.nextafter(0.2, 1), 1)
    comparison = compare_sides(side("a", [("x", 0.2)]), side("b", [("x", near)]), tolerance)
    assert comparison.counts[found] == 1
    assert not comparison.agrees


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "ulp", "-2ulp"])
def test_what_is_no_tolerance_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - float's own words
        Tolerance.parse(text)


def test_missing_extra_and_duplicated_are_told_apart() -> None:
    stream = side("a", [*ROWS, ("extra", 0.1), ("twice", 0.1), ("twice", 0.1)])
    batch = side("b", [*ROWS, ("missing", 0.1), ("twice", 0.1)])
    assert counts(stream, batch) == {"identical": 3, "missing": 1, "extra": 1, "duplicated": 1}
    assert counts(batch, stream) == {"identical": 3, "missing": 1, "extra": 1, "duplicated": 1}


def test_an_id_that_is_scored_and_rejected_on_one_side_is_duplicated() -> None:
    stream = side("a", ROWS, [("t/0/0", "not_json")])
    assert counts(stream, side("b", ROWS)) == {"identical": 2, "duplicated": 1}


def test_rejections_are_joined_by_id_and_reason() -> None:
    stream = side("a", ROWS, [("p", "not_json"), ("q", "not_json"), ("r", "not_json")])
    batch = side("b", [*ROWS, ("r", 0.1)], [("q", "truncated"), ("p", "not_json"), ("s", "not_json")])
    assert counts(stream, batch) == {
        "identical": 3,
        "rejected_alike": 1,
        "rejected_differently": 1,
        "rejected_on_one": 2,
    }
    examples = {example.id: example for example in compare_sides(stream, batch).examples}
    assert (examples["q"].stream_reason, examples["q"].batch_reason) == ("not_json", "truncated")
    assert (examples["r"].stream_reason, examples["r"].batch) == ("not_json", 0.1)


def test_rejections_without_an_id_have_no_counterpart() -> None:
    stream, batch = side("a", ROWS, [(None, "not_json")]), side("b", ROWS, [(None, "not_json")])
    assert counts(stream, batch) == {"identical": 3, "rejected_on_one": 2}


def test_nothing_agrees_with_nothing() -> None:
    comparison = compare_sides(side("a", []), side("b", []))
    assert comparison.total == 0
    assert not comparison.agrees


def test_rejections_alone_can_agree() -> None:
    assert compare_sides(side("a", [], [("p", "x")]), side("b", [], [("p", "x")])).agrees


def test_different_models_are_named() -> None:
    comparison = compare_sides(side("a", ROWS), side("b", ROWS, model="m@2"))
    assert not comparison.same_models
    assert (comparison.stream_models, comparison.batch_models) == (["m@1 abc"], ["m@2 abc"])


def test_both_zeros_are_within_any_tolerance_but_not_identical() -> None:
    assert counts(side("a", [("x", 0.0)]), side("b", [("x", -0.0)])) == {"within_tolerance": 1}


@given(st.floats(max_value=1e300, allow_nan=False, allow_infinity=False), st.integers(0, 50))
def test_ulps_count_representable_numbers(number: float, steps: int) -> None:
    other = number
    for _ in range(steps):
        other = math.nextafter(other, math.inf)
    assert ulps_between(np.array([number]), np.array([other]))[0] == steps
    assert ulps_between(np.array([other]), np.array([number]))[0] == steps


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.1, 0.2, 0.6, "r1", "r2"])),
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.1, 0.2, 0.6, "r1", "r2"])),
)
def test_every_id_falls_into_one_class(left: dict[str, float | str], right: dict[str, float | str]) -> None:
    """The columns say what a look at one id after the other says."""

    def expected(identity: str) -> str:
        one, two = left.get(identity), right.get(identity)
        if isinstance(one, str) and isinstance(two, str):
            return "rejected_alike" if one == two else "rejected_differently"
        if isinstance(one, str) or isinstance(two, str):
            return "rejected_on_one"
        if one is None or two is None:
            return "missing" if one is None else "extra"
        return "identical" if one == two else "different"

    def made(name: str, content: dict[str, float | str]) -> Side:
        scored = [(key, value) for key, value in content.items() if not isinstance(value, str)]
        rejected: list[tuple[str | None, str]] = [
            (key, value) for key, value in content.items() if isinstance(value, str)
        ]
        return side(name, scored, rejected)

    found = [expected(identity) for identity in {*left, *right}]
    wanted = {name: found.count(name) for name in CLASSES if name in found}
    assert counts(made("a", left), made("b", right)) == wanted
