"""Made-up events are the same everywhere, look like the public table, and have a known probability."""

import hashlib
import itertools
import json
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from producer.generate import (
    CHURN_WEIGHTS,
    Customer,
    Event,
    churn_customers,
    lesson_events,
    over_time,
    returning_customers,
)
from shared.predict import Predictor

CHURN = Path(__file__).resolve().parents[3] / "models" / "churn"
FIRST = datetime(2026, 3, 2, tzinfo=UTC)


def customers(seed: int, count: int) -> list[Customer]:
    return list(itertools.islice(churn_customers(seed), count))


def test_the_lesson_s_customers_are_exactly_the_lesson_s() -> None:
    assert list(lesson_events()) == [
        {"customer_id": 101, "feature": 0.2},
        {"customer_id": 102, "feature": 0.8},
        {"customer_id": 103, "feature": 0.5},
        {"customer_id": 104, "feature": 0.9},
        {"customer_id": 105, "feature": 0.7},
    ]


def test_a_seed_gives_the_same_customers_on_every_machine_and_python() -> None:
    lines = "".join(json.dumps(customer.event) for customer in customers(0, 1000))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    assert digest == "c151ba0242db61899c6091920696406cc584dff0d60427baf3c1f17a57bce9d0"


def test_another_seed_gives_other_customers_and_event_ids() -> None:
    one, two = (customers(seed, 50) for seed in (1, 2))
    assert not {c.event["customerID"] for c in one} & {c.event["customerID"] for c in two}
    assert not {c.event["event_id"] for c in one} & {c.event["event_id"] for c in two}


def test_no_id_comes_twice() -> None:
    made = customers(5, 20_000)
    assert len({customer.event["customerID"] for customer in made}) == len(made)
    assert len({customer.event["event_id"] for customer in made}) == len(made)


def test_every_customer_is_one_that_the_shipped_model_takes() -> None:
    predictor = Predictor.load(CHURN)
    made = customers(6, 5_000)
    outcome = predictor.score_json([json.dumps(customer.event).encode() for customer in made])
    assert not outcome.rejections
    declared = {declared.name for declared in predictor.model.schema.inputs}
    assert set(made[0].event) == declared | {"event_id"}


def test_all_categories_of_the_public_table_occur() -> None:
    made = customers(7, 2_000)
    for declared in Predictor.load(CHURN).model.schema.features:
        if declared.values:
            assert {c.event[declared.name] for c in made} == set(declared.values), declared.name


def test_columns_that_depend_on_each_other_agree() -> None:
    for customer in customers(8, 3_000):
        event = customer.event
        assert (event["PhoneService"] == "No") == (event["MultipleLines"] == "No phone service")
        for name in ("OnlineSecurity", "TechSupport", "StreamingMovies"):
            assert (event["InternetService"] == "No") == (event[name] == "No internet service")
        monthly, total, tenure = (float(event[n]) for n in ("MonthlyCharges", "TotalCharges", "tenure"))
        assert 18.25 <= monthly <= 118.75
        assert monthly == round(monthly, 2)
        assert total == round(total, 2)
        assert 0 <= tenure <= 72
        assert 0.94 * tenure * monthly <= total + 0.01 <= 1.06 * tenure * monthly + 0.02


def test_shares_are_near_those_of_the_public_table() -> None:
    made = customers(9, 10_000)
    contracts = Counter(str(customer.event["Contract"]) for customer in made)
    assert contracts["Month-to-month"] / len(made) == pytest.approx(0.55, abs=0.03)
    churning = sum(1 / (1 + math.exp(-customer.churn_logit)) for customer in made) / len(made)
    assert churning == pytest.approx(0.26, abs=0.03)


def test_the_odds_of_churning_are_the_stated_sum_and_no_field() -> None:
    event = customers(10, 1)[0].event
    weights = dict(CHURN_WEIGHTS)
    tenure = weights["tenure"]
    assert isinstance(tenure, float)
    longer = Customer({**event, "tenure": int(event["tenure"]) + 10})
    base = Customer(event)
    assert longer.churn_logit - base.churn_logit == pytest.approx(10 * tenure)
    assert not [name for name in event if "churn" in name.lower()]


def returning(seed: int, people: int, count: int) -> list[Customer]:
    return list(itertools.islice(returning_customers(seed, people), count))


def test_customers_who_return_are_the_same_for_a_seed_on_every_machine_and_python() -> None:
    timed = over_time(iter(returning(0, 50, 1_000)), 0, FIRST, timedelta(days=7), 1_000)
    lines = "".join(json.dumps(customer.event) for customer in timed)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    assert digest == "528ceedc931cec0345556a6d8c8585665a8865ac869ad41f5c34cfed8a3adcd2"


def test_as_many_customers_return_as_there_are_each_event_with_an_id_of_its_own() -> None:
    made = returning(1, 40, 4_000)
    assert len({customer.event["customerID"] for customer in made}) == 40
    assert len({customer.event["event_id"] for customer in made}) == 4_000


def test_customers_who_return_change_and_stay_what_the_shipped_model_takes() -> None:
    predictor = Predictor.load(CHURN)
    made = returning(2, 100, 5_000)
    outcome = predictor.score_json([json.dumps(customer.event).encode() for customer in made])
    assert not outcome.rejections
    first: dict[object, Event] = {}
    changed: Counter[str] = Counter()
    decisions: dict[object, set[bool]] = {}
    for customer, decision in zip(made, outcome.decisions.tolist(), strict=True):
        event = dict(customer.event)
        before = first.setdefault(event["customerID"], event)
        changed.update(name for name, value in event.items() if value != before[name])
        decisions.setdefault(event["customerID"], set()).add(decision)
    assert {"tenure", "Contract", "MonthlyCharges", "TotalCharges", "TechSupport"} <= set(changed)
    # Who somebody is does not change.
    assert not changed.keys() & {"gender", "SeniorCitizen", "PhoneService", "InternetService"}
    assert any(len(found) == 2 for found in decisions.values())


def test_a_returning_customer_s_tenure_grows_and_his_columns_agree() -> None:
    tenures: dict[object, int] = {}
    for customer in returning(3, 30, 3_000):
        event = customer.event
        months = int(event["tenure"])
        assert months >= tenures.setdefault(event["customerID"], months)
        tenures[event["customerID"]] = months
        assert (event["InternetService"] == "No") == (event["TechSupport"] == "No internet service")
        assert 18.25 <= float(event["MonthlyCharges"]) <= 118.75


def test_events_over_time_are_in_order_and_fill_the_span_evenly() -> None:
    timed = list(over_time(churn_customers(4), 4, FIRST, timedelta(days=2), 1_000))
    assert len(timed) == 1_000
    times = [datetime.fromisoformat(str(customer.event["occurred_at"])) for customer in timed]
    assert times == sorted(times)
    assert times[0] >= FIRST
    assert times[-1] < FIRST + timedelta(days=2)
    assert sum(moment < FIRST + timedelta(days=1) for moment in times) == 500
    # Without a time they are the events that they always were.
    plain = [{name: value for name, value in c.event.items() if name != "occurred_at"} for c in timed]
    assert plain == [customer.event for customer in customers(4, 1_000)]
