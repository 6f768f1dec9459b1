"""The models that Tandem ships load, score as promised, and are what `make train` writes."""

import json
import platform
from pathlib import Path

import numpy as np
import pytest
import xgboost

from models.customers import draw_sample
from models.measures import area_under_curve
from models.train import RECIPES, Recipe, train
from producer.generate import LESSON, lesson_events
from shared.predict import Predictor, predict

MODELS = Path(__file__).resolve().parents[3] / "models"
TRAINED = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)


def test_every_shipped_model_loads_with_its_golden_rows() -> None:
    shipped = {path.parent.name for path in MODELS.glob("*/model.json")}
    assert shipped == {"threshold"} | {recipe.name for recipe in RECIPES}
    ids = {name: Predictor.load(MODELS / name).model.id for name in shipped}
    assert ids == {"threshold": "threshold@1"} | {r.name: f"{r.name}@{r.version}" for r in RECIPES}


@TRAINED
def test_a_shipped_model_is_to_the_byte_what_training_writes(recipe: Recipe, tmp_path: Path) -> None:
    """Another XGBoost, or another kind of processor, may train other trees: those must score much alike."""
    shipped = MODELS / recipe.name
    train(recipe, tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(["README.md", recipe.artifact, "model.json"])
    provenance = json.loads((shipped / "model.json").read_bytes())["provenance"]
    same_library = provenance.get("xgboost", xgboost.__version__) == xgboost.__version__
    if recipe.kind == "linear" or (same_library and platform.machine() in ("x86_64", "AMD64")):
        for name in written:
            assert (tmp_path / name).read_bytes() == (shipped / name).read_bytes(), name
    else:
        frame = draw_sample(recipe.inputs, seed=98, count=5_000).frame
        ours, theirs = (Predictor.load(folder).score_frame(frame) for folder in (tmp_path, shipped))
        assert np.abs(ours - theirs).mean() < 0.005


@TRAINED
def test_a_churn_model_finds_out_nearly_all_that_can_be_known(recipe: Recipe) -> None:
    predictor = Predictor.load(MODELS / recipe.name)
    sample = draw_sample(recipe.inputs, seed=99, count=5_000)
    outcome = predictor.score_json([json.dumps(event).encode() for event in sample.events])
    best = area_under_curve(sample.probabilities, sample.churned)
    assert best - 0.01 < area_under_curve(outcome.scores, sample.churned)


def test_only_the_trees_take_a_customer_before_the_first_bill() -> None:
    trees, linear = (Predictor.load(MODELS / name) for name in ("churn", "churn-linear"))
    event = {**linear.model.declaration.golden[0].event, "tenure": 0, "TotalCharges": None}
    assert len(trees.score_one(event).scores) == 1
    assert [rejection.field for rejection in linear.score_one(event).rejections] == ["TotalCharges"]


@TRAINED
def test_what_comes_with_every_clone_stays_small(recipe: Recipe) -> None:
    assert sum(path.stat().st_size for path in (MODELS / recipe.name).iterdir()) < 300_000


def test_the_area_under_the_curve_counts_ties_half() -> None:
    scores, churned = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    assert area_under_curve(scores, churned) == pytest.approx(3.5 / 4)
    assert area_under_curve(np.full(4, 0.3), churned) == pytest.approx(0.5)


def test_the_lesson_s_customers_are_decided_as_the_lesson_says() -> None:
    predictor = Predictor.load(MODELS / "threshold")
    outcome = predictor.score_json([json.dumps(event).encode() for event in lesson_events()])
    assert outcome.decisions.tolist() == [False, True, False, True, True]
    assert outcome.decisions.tolist() == [predict(feature) for _, feature in LESSON]
    assert outcome.customer_ids == (101, 102, 103, 104, 105)
