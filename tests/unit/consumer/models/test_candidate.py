"""What a new model must pass before it takes over."""

from pathlib import Path

import pytest

from consumer.models.candidate import LiveTrial, check_fit, load_candidate, try_on_events, try_out
from consumer.models.recent import MOST_EVENTS, Recent
from shared.errors import ModelError
from shared.models.directory import KINDS, read_model
from shared.predict import Predictor
from tests.support.models import change_model, linear_model, threshold_model
from tests.support.trained import INPUTS, lightgbm_model, xgboost_model
from tests.support.unstable import PLANTED


def test_inputs_threshold_kind_name_and_version_may_change(tmp_path: Path) -> None:
    current = Predictor.load(linear_model(tmp_path / "old", outputs={"decision": "churn"}))
    new = xgboost_model(tmp_path / "new", version="9", threshold=0.25)
    assert load_candidate(new, current, None, None).predictor.model.id == "xgboost@9"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"outputs": {"decision": "leaves"}}, "the decision's name is 'leaves', but 'churn'"),
        (
            {"inputs": [{"name": "customer_id", "type": "string"}, {"name": "feature", "type": "number"}]},
            "the key's type is 'string', but 'integer'",
        ),
        (
            {
                "key": "customerID",
                "inputs": [
                    {"name": "customerID", "type": "integer"},
                    {"name": "feature", "type": "number"},
                ],
            },
            "the key is 'customerID', but 'customer_id'",
        ),
    ],
)
def test_what_readers_of_predictions_rely_on_may_not_change(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    current = read_model(threshold_model(tmp_path / "old"))
    new = change_model(threshold_model(tmp_path / "new"), **changes)
    with pytest.raises(ModelError, match=told):
        check_fit(read_model(new), current)


@pytest.mark.parametrize("make", [threshold_model, linear_model, xgboost_model, lightgbm_model])
def test_a_model_that_scores_alike_in_every_way_passes(tmp_path: Path, make: object) -> None:
    assert callable(make)
    try_out(Predictor.load(make(tmp_path / "model")))


def test_a_missing_value_and_a_string_key_are_part_of_the_trial(tmp_path: Path) -> None:
    inputs = [{"name": "customer_id", "type": "string"}, *INPUTS]
    golden = [
        {"customer_id": "a", "tenure": 1, "partner": True, "payment": "card", "charges": 2},
        {"customer_id": "b", "tenure": 7, "partner": False, "contract": "é", "payment": "bank"},
    ]
    weights = {
        "tenure": 0.1,
        "charges": 0.2,
        "partner": 0.3,
        "contract": {"monthly": 1, "yearly": 2, "é": 3},
        "payment": {"card": 1, "bank": 2, "check": 3},
    }
    plain = [
        {name: value for name, value in one.items() if name not in ("missing", "encoding")} for one in inputs
    ]
    for one in plain:
        if one["name"] in ("charges", "contract"):
            one["default"] = 20.5 if one["name"] == "charges" else "yearly"
    try_out(Predictor.load(linear_model(tmp_path / "m", inputs=plain, weights=weights, golden=golden)))


@pytest.mark.parametrize("kind", ["by-size", "by-order"])
def test_a_model_whose_scores_depend_on_the_rows_beside_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scorer in PLANTED:
        monkeypatch.setitem(KINDS, scorer.kind, scorer)
    model = threshold_model(tmp_path / kind)
    events = [{"customer_id": number, "feature": 1.0 - number / 8} for number in range(8)]
    golden = [{"event": event, "score": event["feature"]} for event in events]
    predictor = Predictor(read_model(change_model(model, kind=kind, golden=golden)))
    with pytest.raises(ModelError, match=r"rows get another score than alone, as an event"):
        try_out(predictor)


EVENT = b'{"customer_id": 1, "feature": 0.5}'


def with_another_input(directory: Path) -> Predictor:
    """A model that needs what the lesson's events do not have."""
    inputs = [
        {"name": "customer_id", "type": "integer"},
        {"name": "feature", "type": "number"},
        {"name": "age", "type": "integer"},
    ]
    golden = [{"customer_id": 1, "feature": 0.5, "age": 7}]
    weights = {"feature": 1.0, "age": 0.5}
    return Predictor.load(linear_model(directory, inputs=inputs, weights=weights, golden=golden))


@pytest.mark.parametrize(
    ("events", "limit"),
    [
        ([EVENT] * 9, 0.5),
        ([EVENT] * 10, 1),
        ([*[EVENT] * 10, *[b'{"customer_id": 1, "feature": 0.5, "age": 7}'] * 10], 0.5),
        ([b"junk"] * 20, 0.5),
    ],
    ids=["too few to tell", "no limit", "no more than the limit", "the current one rejects them, too"],
)
def test_rejecting_some_of_the_last_events_does_not_refuse_a_model(
    tmp_path: Path, events: list[bytes], limit: float
) -> None:
    try_on_events(with_another_input(tmp_path), Predictor.load("models/threshold"), events, limit)


def test_a_model_that_rejects_most_of_the_last_events_is_refused(tmp_path: Path) -> None:
    current, recent = Predictor.load(threshold_model(tmp_path / "old")), Recent()
    recent.add([None, b"x" * 20_000, *[EVENT] * 9, b"junk"])
    with_another_input(tmp_path / "new")
    change_model(tmp_path / "new", outputs={"decision": "churn"})
    with pytest.raises(ModelError, match=r"rejects 10 of the last 10 events") as refused:
        load_candidate(tmp_path / "new", current, None, LiveTrial(recent, 0.5))
    assert "inputs that it declares" in str(refused.value)


def test_of_the_last_events_so_many_are_kept() -> None:
    recent = Recent()
    recent.add([b"%d" % number for number in range(1000)])
    recent.add([b"last"])
    assert recent.values() == [*(b"%d" % number for number in range(1000 - MOST_EVENTS + 1, 1000)), b"last"]
