"""Made-up events are the same everywhere, look like the public table, and have a known probability."""

import hashlib
import itertools
import json
import math
from collections import Counter
from pathlib import Path

import pytest

from producer.generate import CHURN_WEIGHTS, Customer, churn_customers, lesson_events
from shared.predict import Predictor

CHURN = Path(__file__).resolve().parents[3] / "models" / "churn"


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
