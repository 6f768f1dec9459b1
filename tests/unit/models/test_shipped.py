"""The models that Tandem ships load, score as promised, and are what their script writes."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from producer.generate import LESSON, lesson_events
from shared.predict import Predictor, predict

MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """models/make.py as a module."""
    spec = importlib.util.spec_from_file_location("make_models", MODELS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["threshold", "churn"])
def test_a_shipped_model_loads_with_its_golden_rows(name: str) -> None:
    predictor = Predictor.load(MODELS / name)
    assert predictor.model.id == f"{name}@1"


def test_the_churn_model_is_to_the_byte_what_its_script_writes(script: ModuleType, tmp_path: Path) -> None:
    script.make(tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["README.md", "coefficients.json", "model.json"]
    for name in written:
        assert (tmp_path / name).read_bytes() == (MODELS / "churn" / name).read_bytes(), name


def test_the_churn_model_finds_out_nearly_all_that_can_be_known(script: ModuleType) -> None:
    predictor = Predictor.load(MODELS / "churn")
    sample = script.draw_sample(predictor.model.schema, seed=99, count=5_000)
    outcome = predictor.score_json([json.dumps(event).encode() for event in sample.events])
    best = script.area_under_curve(sample.probabilities, sample.churned)
    assert best - 0.01 < script.area_under_curve(outcome.scores, sample.churned)


def test_the_area_under_the_curve_counts_ties_half(script: ModuleType) -> None:
    scores, churned = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    assert script.area_under_curve(scores, churned) == pytest.approx(3.5 / 4)
    assert script.area_under_curve(np.full(4, 0.3), churned) == pytest.approx(0.5)


def test_the_lesson_s_customers_are_decided_as_the_lesson_says() -> None:
    predictor = Predictor.load(MODELS / "threshold")
    outcome = predictor.score_json([json.dumps(event).encode() for event in lesson_events()])
    assert outcome.decisions.tolist() == [False, True, False, True, True]
    assert outcome.decisions.tolist() == [predict(feature) for _, feature in LESSON]
    assert outcome.customer_ids == (101, 102, 103, 104, 105)
