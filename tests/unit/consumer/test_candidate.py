"""What a new model must pass before it takes over."""

from pathlib import Path

import pytest

from consumer.candidate import check_fit, load_candidate, try_out
from shared.errors import ModelError
from shared.models.directory import KINDS, read_model
from shared.predict import Predictor
from tests.support.models import change_model, linear_model, threshold_model
from tests.support.trained import INPUTS, lightgbm_model, xgboost_model
from tests.support.unstable import PLANTED

CURRENT = {"inputs": [{"name": "customer_id", "type": "integer"}, {"name": "feature", "type": "number"}]}


def test_inputs_threshold_kind_name_and_version_may_change(tmp_path: Path) -> None:
    current = read_model(linear_model(tmp_path / "old", outputs={"decision": "churn"}))
    new = xgboost_model(tmp_path / "new", version="9", threshold=0.25)
    assert load_candidate(new, current, None).predictor.model.id == "xgboost@9"


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
