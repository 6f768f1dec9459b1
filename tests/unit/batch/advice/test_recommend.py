"""The cheapest cadence that is tolerated is recommended, in one sentence with the figures that decide."""

from dataclasses import replace
from typing import Any

import pytest

from batch.advice.recommend import REAL_TIME, Facts, choose, reasons, recommendation
from batch.advice.result import CadenceResult
from batch.proof.result import Histogram

AGE = Histogram(unit="seconds", bounds=[10.0], counts=[900, 100], p50=5.0, p99=7_200.0, largest=9_000.0)


def cadence(name: str, period: float, stale: int = 0, **changes: Any) -> CadenceResult:
    figures: dict[str, Any] = {
        "uses": 1_000,
        "age": AGE,
        "without": 0,
        "changed_customers": 5,
        "standing": None,
        "missed": 0,
        "runs": 9,
        "cpu_seconds_per_million": 10.0,
        "cpu_seconds_per_day": 86_400 / period if period else 2.1,
        "reserved_seconds_per_day": 0.0 if period else 86_400.0,
        "price_per_day": None,
    }
    return CadenceResult(name=name, period=period, stale=stale, **{**figures, **changes})


STREAM = cadence(REAL_TIME, 0)
MINUTE, HOUR, NIGHT = (
    cadence("every minute", 60, 1),
    cadence("hourly", 3_600, 3),
    cadence("nightly", 86_400, 41),
)
FACTS = Facts([STREAM, MINUTE, HOUR, NIGHT], 0.01, 600_000, 2_000, 100, 288.0, 8, measured=False)


def test_the_cheapest_cadence_that_is_tolerated_is_recommended() -> None:
    assert choose(FACTS) is HOUR
    assert recommendation(FACTS) == (
        "Score every hour: 0.3% of uses had another decision than real time's, or none (nightly 4.1%), for"
        " 24 CPU seconds a day against 86,400 that real time reserves."
    )


def test_uses_without_a_decision_count_as_stale_ones_do() -> None:
    late = cadence("hourly", 3_600, 3, without=8)
    assert choose(replace(FACTS, cadences=[STREAM, MINUTE, late])) is MINUTE


def test_the_bound_itself_is_tolerated() -> None:
    assert choose(replace(FACTS, tolerated=0.041)) is NIGHT
    assert choose(replace(FACTS, tolerated=0.0409)) is HOUR


def test_of_two_that_cost_the_same_the_fresher_one_is_taken() -> None:
    other = cadence("every 1 h", 3_600, 2)
    assert choose(replace(FACTS, cadences=[STREAM, HOUR, other])) is other


def test_real_time_is_recommended_where_no_batch_is_tolerated() -> None:
    facts = replace(FACTS, tolerated=0.0)
    assert choose(facts) is STREAM
    assert recommendation(facts) == (
        "Score in real time, for 86,400 core seconds a day: the best that a batch does, every minute, leaves"
        " 0.1% of uses with another decision or none, and 0% is tolerated."
    )


def test_real_time_is_recommended_where_it_costs_least() -> None:
    shared = cadence(REAL_TIME, 0, reserved_seconds_per_day=0.0)
    facts = replace(FACTS, cadences=[shared, HOUR])
    assert choose(facts) is shared
    assert "no batch that is tolerated costs less than its 2.1 core seconds a day (hourly 24)" in (
        recommendation(facts)
    )


def test_real_time_is_compared_with_the_cheapest_batch_that_is_tolerated() -> None:
    shared = cadence(REAL_TIME, 0, reserved_seconds_per_day=0.0)
    facts = replace(FACTS, cadences=[shared, HOUR, NIGHT])
    assert NIGHT.billed_seconds_per_day < shared.billed_seconds_per_day
    assert recommendation(facts).endswith("(hourly 24).")


def test_a_recording_too_short_for_any_batch_is_said_to_be_that() -> None:
    facts = replace(FACTS, cadences=[STREAM], seconds=12.0)
    assert recommendation(facts).startswith("Score in real time, for now: a recording of 12 s is too short")


def test_prices_are_told_where_there_are_some() -> None:
    priced = [
        one.model_copy(update={"price_per_day": 1.2 if one is STREAM else 0.004}) for one in (STREAM, HOUR)
    ]
    assert recommendation(replace(FACTS, cadences=priced)).endswith(", a price of 0.004 against 1.2.")


@pytest.mark.parametrize(
    ("amount", "told"), [(1e-9, "less than 0.000001"), (0.00004, "0.00004"), (4_321.0, "4,321")]
)
def test_no_price_is_in_exponent_notation(amount: float, told: str) -> None:
    priced = [one.model_copy(update={"price_per_day": amount}) for one in (STREAM, HOUR)]
    assert recommendation(replace(FACTS, cadences=priced)).endswith(f", a price of {told} against {told}.")


def test_customers_who_came_only_once_are_said_to_have() -> None:
    told = " ".join(reasons(replace(FACTS, events=100)))
    assert "Each customer came only once" in told
    assert "Each customer came only once" not in " ".join(reasons(FACTS))


def test_decisions_that_never_changed_are_said_not_to_have() -> None:
    still = [one.model_copy(update={"changed_customers": 0}) for one in FACTS.cadences]
    assert "No customer's decision changed" in " ".join(reasons(replace(FACTS, cadences=still)))
    assert (
        "The decision of 5 customers changed at least once (5%), at 0.8% of all uses: of these no batch can"
        " know before."
    ) in reasons(FACTS)


def test_what_would_do_if_nobody_were_new_is_told_where_it_is_something_else() -> None:
    new = cadence("nightly", 86_400, 3, without=500)
    told = reasons(replace(FACTS, cadences=[STREAM, new]))[-1]
    assert "scoring every night would do: another decision was in force at 0.3% of uses" in told
    assert "Were nobody new" not in reasons(FACTS)[-1]
