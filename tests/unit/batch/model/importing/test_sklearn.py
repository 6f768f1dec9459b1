import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from batch.model.importing.sklearn import import_sklearn
from shared.errors import InputError, ModelError
from shared.predict import Predictor
from tests.unit.batch.model.importing.conftest import Customers


@pytest.fixture(scope="module")
def frame(customers: Customers) -> pd.DataFrame:
    """Customers whose contract is a text and always there."""
    known = customers.frame["contract"].astype(object).fillna("monthly")
    return customers.frame.assign(contract=known)


def pipeline(frame: pd.DataFrame, last: Any) -> Pipeline:
    """What people fit on a table: numbers imputed and scaled, categories one-hot."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    steps = [
        ("numbers", numbers, ["tenure", "charges"]),
        ("categories", OneHotEncoder(), ["contract"]),
        ("rest", "passthrough", ["partner"]),
    ]
    return make_pipeline(ColumnTransformer(steps), last).fit(features(frame), frame["Churn"])


def features(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["tenure", "charges", "contract", "partner"]]


def test_a_pipeline_with_categories_and_missing_values_scores_as_the_original(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    model = pipeline(frame, GradientBoostingClassifier(n_estimators=10))
    made = import_sklearn(model, frame, tmp_path / "out", decision="churn")
    assert made.differences.rows == len(frame)
    assert made.differences.decisions == 0
    assert made.differences.largest < 1e-6
    predictor = Predictor.load(tmp_path / "out")
    assert predictor.model.schema.key == "customerID"
    row = {"customerID": "a", "tenure": 5, "contract": "yearly", "partner": True}
    alone = pd.DataFrame([{**row, "charges": np.nan}])
    expected = model.predict_proba(features(alone))[0, 1]
    assert predictor.score_one(row).scores[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("last", "rows"), [(LogisticRegression(), "one"), (GradientBoostingClassifier(n_estimators=5), "any")]
)
def test_operators_that_add_in_an_order_of_their_own_are_run_row_by_row(
    frame: pd.DataFrame, tmp_path: Path, last: Any, rows: str
) -> None:
    made = import_sklearn(pipeline(frame, last), frame, tmp_path / "out")
    assert made.predictor.model.declaration.execution.rows == rows


def test_an_estimator_fitted_on_an_array_takes_the_columns_in_order(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    numbers = frame[["tenure", "partner"]]
    model = LogisticRegression().fit(numbers.to_numpy(float), frame["Churn"])
    made = import_sklearn(model, numbers, tmp_path / "out")
    # ONNX has float64 for it.
    assert made.differences.largest < 1e-12
    assert re.search(r"800 rows scored by both: every decision is the same; .* at most .* ulp\)", str(made))
    assert "every decision is the same" in made.predictor.model.declaration.provenance["conversion"]


def test_a_decision_that_differs_refuses_the_import_unless_it_is_tolerated(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    numbers = frame[["tenure", "partner"]]
    model = RandomForestRegressor(7, random_state=1, max_depth=3).fit(numbers, frame["Churn"] > 0)
    # float32 cannot hold the scores, and some row is exactly at the threshold.
    threshold = float(np.median(model.predict(numbers)))
    with pytest.raises(ModelError, match=r"decides \d+ of 800 rows otherwise .* row \d+: ") as refused:
        import_sklearn(model, numbers, tmp_path / "out", threshold=threshold)
    assert "tolerance=" in (refused.value.hint or "")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelError, match="otherwise"):
        import_sklearn(model, numbers, tmp_path / "out", threshold=threshold, tolerance=1e-15)
    made = import_sklearn(model, numbers, tmp_path / "out", threshold=threshold, tolerance=1e-6)
    assert made.differences.decisions > 0
    assert "decisions differ" in made.predictor.model.declaration.provenance["conversion"]


def test_what_has_no_score_is_refused(frame: pd.DataFrame, tmp_path: Path) -> None:
    numbers, labels = frame[["tenure", "partner"]], frame["Churn"]
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="no probabilities"):
        import_sklearn(LinearSVC().fit(numbers, labels), numbers, out)
    with pytest.raises(ModelError, match="3 classes"):
        import_sklearn(RandomForestClassifier(2).fit(numbers, frame["tenure"] % 3), numbers, out)
    both = RandomForestRegressor(2).fit(numbers, np.c_[labels, labels])
    with pytest.raises(ModelError, match="2 numbers a row"):
        import_sklearn(both, numbers, out, threshold=0.5)
    with pytest.raises(ModelError, match="not fitted"):
        import_sklearn(LogisticRegression(), numbers, out)
    with pytest.raises(ModelError, match="no threshold of its own"):
        import_sklearn(RandomForestRegressor(2).fit(numbers, labels), numbers, out)
    assert not out.exists()


def test_a_sample_that_does_not_fit_is_refused(frame: pd.DataFrame, tmp_path: Path) -> None:
    numbers = frame[["tenure", "partner"]]
    model = RandomForestClassifier(2).fit(numbers, frame["Churn"])
    for sample, said in (
        (numbers[["tenure"]], "fitted on 2 columns, and the sample lacks partner"),
        (numbers.to_numpy(), "not a DataFrame"),
        (numbers.head(0), "no rows"),
    ):
        with pytest.raises(ModelError, match=said):
            import_sklearn(model, sample, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    with pytest.raises(InputError, match="not empty"):
        import_sklearn(model, numbers, tmp_path / "full")


def test_what_cannot_be_converted_says_why(frame: pd.DataFrame, tmp_path: Path) -> None:
    class Odd(LogisticRegression):  # type: ignore[misc]  # it has no types
        """An estimator that the converter has never heard of."""

    numbers = frame[["tenure", "partner"]]
    with pytest.raises(ModelError, match="Odd could not be converted to ONNX"):
        import_sklearn(Odd().fit(numbers, frame["Churn"]), numbers, tmp_path / "out")


def test_a_converter_that_is_not_installed_is_named_with_its_extra(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = frame[["tenure", "partner"]]
    model = RandomForestClassifier(2).fit(numbers, frame["Churn"])
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ModelError, match="skl2onnx, which is not installed") as refused:
        import_sklearn(model, numbers, tmp_path / "out")
    assert "tandem-scorer[sklearn]" in (refused.value.hint or "")
