"""What the events of a class have in common."""

import json
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from batch.proof.classes import CODES, Found
from batch.proof.explaining import OF_ALL, OF_CLASS, Explainer, z_score
from batch.proof.result import Explaining
from producer.generate import churn_customers
from shared.columnar import inputs_column
from shared.models.shipped import shipped_model
from shared.predict import Predictor

Event = dict[str, str | int | float]
Fault = Callable[[Event], bool]
EVENTS = [customer.event for customer in islice(churn_customers(7), 4_000)]
WELL, WRONG = CODES[Found.IDENTICAL], CODES[Found.OTHER_DECISION]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The churn model."""
    return Predictor.load(shipped_model("churn"))


@pytest.fixture(scope="module")
def inputs(predictor: Predictor) -> pa.StructArray:
    """What the validator made of the events."""
    return inputs_of(predictor, EVENTS)


def inputs_of(predictor: Predictor, events: Sequence[Event]) -> pa.StructArray:
    """What the validator makes of events."""
    parsed = predictor.parse_json([json.dumps(event).encode() for event in events])
    return inputs_column(predictor.model.schema, parsed)


def codes_for(fault: Fault) -> npt.NDArray[np.int8]:
    """The events that a fault strikes, as another decision."""
    return np.array([WRONG if fault(event) else WELL for event in EVENTS], np.int8)


def explainer(
    predictor: Predictor,
    inputs: pa.StructArray,
    codes: npt.NDArray[np.int8],
    *,
    partitions: Sequence[int] = (0,),
    of: int = 1,
    models: Sequence[str | None] | None = None,
    window: int = 65_536,
) -> Explainer:
    """One that has seen the events of some of the partitions over which they are dealt out, in windows."""
    made = Explainer()
    for partition in partitions:
        places = np.arange(partition, len(codes), of)
        for start in range(0, len(places), window):
            some = places[start : start + window]
            stamped = ["churn@1"] * len(some) if models is None else [models[place] for place in some]
            taken = inputs.take(pa.array(some))
            made.add(predictor.model.schema, partition, some, codes[some], taken, stamped)
    return made


def explained(predictor: Predictor, inputs: pa.StructArray, fault: Fault) -> list[Explaining]:
    """What is told of a fault."""
    return explainer(predictor, inputs, codes_for(fault)).explain()


def test_a_fault_of_one_category_is_found_before_all_that_go_along_with_it(
    predictor: Predictor, inputs: pa.StructArray
) -> None:
    """The category comes first, with its shares; at most five are told."""
    told = explained(predictor, inputs, lambda event: event["Contract"] == "Two year")
    share = sum(event["Contract"] == "Two year" for event in EVENTS) / len(EVENTS)
    first = told[0]
    assert (first.found, first.feature, first.value) == (Found.OTHER_DECISION, "Contract", "Two year")
    assert first.share == 1.0
    assert first.share_of_all == pytest.approx(share, abs=1e-12)
    assert len(told) <= 5
    assert len({one.feature for one in told}) == len(told)


def test_a_fault_that_strikes_only_some_of_a_category_is_found_too(
    predictor: Predictor, inputs: pa.StructArray
) -> None:
    """The category tells the class from all events better than anything else."""
    chosen = iter(np.random.default_rng(1).random(len(EVENTS)).tolist())
    told = explained(
        predictor, inputs, lambda event: next(chosen) < 0.02 and event["PaymentMethod"] == "Mailed check"
    )
    assert (told[0].feature, told[0].value, told[0].share) == ("PaymentMethod", "Mailed check", 1.0)


def test_a_fault_of_large_numbers_is_told_as_a_range(predictor: Predictor, inputs: pa.StructArray) -> None:
    """Of a number the range is told that tells the class best, by what stands in it."""
    told = explained(predictor, inputs, lambda event: float(str(event["tenure"])) <= 6)
    assert told[0].feature == "tenure"
    assert told[0].value.startswith("at most ")
    assert told[0].share == 1.0


def test_a_fault_of_missing_values_is_told_as_missing(predictor: Predictor) -> None:
    """A null stands for no range of numbers."""
    tenth = set(range(0, len(EVENTS), 10))
    events = [
        {name: value for name, value in event.items() if name != "TotalCharges"} if place in tenth else event
        for place, event in enumerate(EVENTS)
    ]
    codes = np.array([WRONG if place in tenth else WELL for place in range(len(EVENTS))], np.int8)
    told = explainer(predictor, inputs_of(predictor, events), codes).explain()
    assert (told[0].feature, told[0].value, told[0].share) == ("TotalCharges", "missing", 1.0)
    assert told[0].share_of_all == pytest.approx(0.1)


def test_a_fault_of_one_partition_or_model_is_found(predictor: Predictor, inputs: pa.StructArray) -> None:
    """Both count as inputs."""
    codes = np.full(len(EVENTS), WELL, np.int8)
    codes[2::3] = WRONG
    told = explainer(predictor, inputs, codes, partitions=range(3), of=3).explain()
    assert [(one.feature, one.value, one.share) for one in told] == [("partition", "2", 1.0)]
    stamped = [
        "churn@2" if code == WRONG else None if place == 0 else "churn@1" for place, code in enumerate(codes)
    ]
    told = explainer(predictor, inputs, codes, models=stamped).explain()
    assert [(one.feature, one.value, one.share) for one in told] == [("model", "churn@2", 1.0)]


@pytest.mark.parametrize("seed", range(5))
def test_a_fault_that_strikes_by_chance_is_not_explained(
    predictor: Predictor, inputs: pa.StructArray, seed: int
) -> None:
    """Twenty inputs with many values each: something is always more frequent, but not beyond chance."""
    codes = np.full(len(EVENTS), WELL, np.int8)
    codes[np.random.default_rng(seed).random(len(EVENTS)) < 0.03] = WRONG
    assert explainer(predictor, inputs, codes).explain() == []


def test_four_events_are_too_few_to_explain(predictor: Predictor, inputs: pa.StructArray) -> None:
    """A rare property would stand out by any score."""
    codes = np.full(len(EVENTS), WELL, np.int8)
    stamped = ["rare@1" if place < 8 else "churn@1" for place in range(len(EVENTS))]
    codes[:4] = WRONG
    assert explainer(predictor, inputs, codes, models=stamped).explain() == []
    codes[:5] = WRONG
    told = explainer(predictor, inputs, codes, models=stamped).explain()
    assert [(one.feature, one.value, one.share) for one in told] == [("model", "rare@1", 1.0)]


def test_partitions_that_went_through_json_give_what_one_run_gives(
    predictor: Predictor, inputs: pa.StructArray
) -> None:
    """The samples are those with the smallest hashes, whoever saw them and in which windows."""
    codes = codes_for(lambda event: event["InternetService"] == "No")
    whole = explainer(predictor, inputs, codes, partitions=(0, 1), of=2)
    parts = [explainer(predictor, inputs, codes, partitions=[number], of=2) for number in (1, 0)]
    first, second = (Explainer.from_json(json.loads(json.dumps(part.to_json()))) for part in parts)
    first.merge(second)
    assert first.explain() == whole.explain() != []
    assert first.to_json() == whole.to_json()
    in_windows = explainer(predictor, inputs, codes, partitions=(0, 1), of=2, window=100)
    assert in_windows.to_json() == whole.to_json()


def test_a_sample_is_bounded_and_drawn_by_position(predictor: Predictor, inputs: pa.StructArray) -> None:
    """Far more events than a sample holds leave just as many as it holds, and shares of all of them."""
    repeated = inputs.take(pa.array(np.arange(100_000) % 100))
    codes = np.where(np.arange(100_000) % 100 < 20, WRONG, WELL).astype(np.int8)
    made = explainer(predictor, repeated, codes, window=25_000)
    again = Explainer.from_json(made.to_json())
    assert again.to_json() == made.to_json()
    assert len(made.to_json()["sampled"]) < 2_000_000
    rows = list(made._sampled())
    # Of the 10,000 of all about 2,000 are of the class, which has a sample of as many.
    assert OF_ALL <= len(rows) <= OF_ALL + OF_CLASS
    assert sum(row.code == WRONG for row in rows) == pytest.approx(OF_CLASS, rel=0.1)


def test_the_score_is_that_of_two_proportions() -> None:
    """A worked example: 45 of 100 against 300 of 1,000."""
    assert z_score(45, 100, 300, 1_000) == pytest.approx(3.0825, abs=1e-4)
    assert z_score(10, 10, 100, 100) == 0
    assert z_score(0, 10, 0, 100) == 0
