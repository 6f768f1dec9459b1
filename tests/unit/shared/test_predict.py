"""What goes in comes out as a score or a rejection, whatever the model does."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pytest

from shared.frame import Frame
from shared.models.base import Floats, Scorer
from shared.models.directory import read_model
from shared.predict import Outcome, Predictor, predict
from shared.schema import Reason, Schema
from tests.support.models import linear_model, threshold_model

CUSTOMERS = [(101, 0.2), (102, 0.8), (103, 0.5), (104, 0.9)]


def lesson_events(customers: list[tuple[int, float]]) -> list[bytes]:
    return [json.dumps({"customer_id": key, "feature": value}).encode() for key, value in customers]


def test_the_lesson_s_rule_is_strictly_above() -> None:
    assert [predict(feature, threshold=0.6) for _, feature in CUSTOMERS] == [False, True, False, True]
    assert predict(0.7)
    assert not predict(0.6)
    assert predict(np.nextafter(0.6, 1))


def test_the_lesson_comes_out_the_same_by_every_way(tmp_path: Path) -> None:
    predictor = Predictor.load(threshold_model(tmp_path / "m"))
    ids, features = zip(*CUSTOMERS, strict=True)
    batch = predictor.score_table(pa.record_batch({"customer_id": ids, "feature": features}))
    stream = predictor.score_json(lesson_events(CUSTOMERS))
    assert batch.decisions.tolist() == stream.decisions.tolist() == [False, True, False, True]
    assert predictor.score_one({"customer_id": 105, "feature": 0.7}).decisions.tolist() == [True]
    assert predictor.score_one(b'{"customer_id": 105, "feature": 0.6}').decisions.tolist() == [False]


def test_a_rejected_event_is_a_value_and_not_an_error(tmp_path: Path) -> None:
    predictor = Predictor.load(threshold_model(tmp_path / "m"))
    outcome = predictor.score_one({"customer_id": 1})
    assert (outcome.total, len(outcome.scores), outcome.rejections[0].reason) == (1, 0, Reason.MISSING_FIELD)


class Moody(Scorer):
    """A model that does with a frame what a test wants; its score is the feature."""

    kind: ClassVar[str] = "moody"
    needs_artifact: ClassVar[bool] = False

    def __init__(self, mood: Callable[[Floats], Floats]) -> None:
        self.mood = mood
        self.sizes: list[int] = []

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> Self:
        raise NotImplementedError

    def raw(self, frame: Frame) -> Floats:
        self.sizes.append(frame.count)
        return self.mood(frame.columns["feature"])


@pytest.fixture
def predictor_of(tmp_path: Path) -> Callable[[Callable[[Floats], Floats]], Predictor]:
    model = read_model(threshold_model(tmp_path / "m"))
    return lambda mood: Predictor(replace(model, scorer=Moody(mood)))


def raise_above_ten(features: Floats) -> Floats:
    if (features > 10).any():
        raise RuntimeError("too much")
    return features / 3


def score_rows(predictor: Predictor, features: list[float]) -> Outcome:
    return predictor.score_json(lesson_events([(row, value) for row, value in enumerate(features)]))


@pytest.mark.parametrize("bad", [[], [0], [6], [0, 1, 2, 3, 4, 5, 6], [2, 3], [1, 4, 6]])
def test_rows_on_which_the_model_raises_are_found_and_the_others_keep_their_scores(
    bad: list[int], predictor_of: Callable[..., Predictor]
) -> None:
    predictor = predictor_of(raise_above_ten)
    features = [99.0 if row in bad else row / 7 for row in range(7)]
    outcome = score_rows(predictor, features)
    good = [row for row in range(7) if row not in bad]
    assert outcome.rows.tolist() == good
    assert outcome.scores.tolist() == [features[row] / 3 for row in good]
    assert list(outcome.customer_ids) == good
    assert [(r.row, r.reason, r.field) for r in outcome.rejections] == [
        (row, Reason.MODEL_ERROR, None) for row in bad
    ]
    assert {r.detail for r in outcome.rejections} <= {"the model failed: RuntimeError: too much"}


def test_finding_one_bad_row_of_many_takes_few_calls(predictor_of: Callable[..., Predictor]) -> None:
    predictor = predictor_of(raise_above_ten)
    score_rows(predictor, [99.0 if row == 700 else 1.0 for row in range(1024)])
    scorer: Any = predictor.model.scorer
    assert len(scorer.sizes) == 1 + 2 * 10


def test_model_failures_and_rejected_rows_keep_their_order(predictor_of: Callable[..., Predictor]) -> None:
    predictor = predictor_of(raise_above_ten)
    values: list[bytes | None] = list(lesson_events([(0, 1.0), (1, 99.0), (2, 1.0), (3, 99.0)]))
    values.insert(1, None)
    values.append(b"{")
    outcome = predictor.score_json(values)
    assert outcome.rows.tolist() == [0, 3]
    assert [(r.row, r.reason) for r in outcome.rejections] == [
        (1, Reason.TOMBSTONE),
        (2, Reason.MODEL_ERROR),
        (4, Reason.MODEL_ERROR),
        (5, Reason.TRUNCATED),
    ]
    assert outcome.total == len(outcome.rows) + len(outcome.rejections) == 6


def test_failures_drop_their_ids_from_tables_too(predictor_of: Callable[..., Predictor]) -> None:
    batch = pa.record_batch({"customer_id": [1, 2], "event_id": ["a", "b"], "feature": [99.0, 1.0]})
    outcome = predictor_of(raise_above_ten).score_table(batch)
    assert isinstance(outcome.customer_ids, pa.Array)
    assert isinstance(outcome.event_ids, pa.Array)
    assert (outcome.customer_ids.to_pylist(), outcome.event_ids.to_pylist()) == ([2], ["b"])


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_finite_number_is_a_model_error(
    score: float, predictor_of: Callable[..., Predictor]
) -> None:
    outcome = score_rows(predictor_of(lambda column: np.where(column > 10, score, column)), [1.0, 99.0, 2.0])
    assert (outcome.rows.tolist(), outcome.scores.tolist()) == ([0, 2], [1, 2])
    assert outcome.rejections[0].reason is Reason.MODEL_ERROR
    assert outcome.rejections[0].detail == "the model's score is not a finite number"


def test_an_empty_batch_is_an_empty_outcome(tmp_path: Path) -> None:
    for directory in (threshold_model(tmp_path / "t"), linear_model(tmp_path / "l")):
        outcome = Predictor.load(directory).score_json([])
        assert (outcome.total, len(outcome.scores), outcome.rejections) == (0, 0, ())


def test_a_sum_beyond_float64_is_no_warning(tmp_path: Path) -> None:
    inputs = [{"name": "a", "type": "number"}, {"name": "b", "type": "number"}]
    golden = [{"customer_id": 1, "a": 1, "b": 1}]

    def score(link: str, a: float, b: float) -> Outcome:
        weights = {"a": 1e10, "b": 1e10}
        directory = linear_model(tmp_path / link, inputs=inputs, weights=weights, link=link, golden=golden)
        return Predictor.load(directory).score_one({"customer_id": 1, "a": a, "b": b})

    assert score("logistic", 1e308, 0).scores.tolist() == [1]
    assert score("logistic", -1e308, 0).scores.tolist() == [0]
    for outcome in (score("identity", 1e308, 0), score("logistic", 1e308, -1e308)):
        assert outcome.rejections[0].reason is Reason.MODEL_ERROR
        assert outcome.rejections[0].detail == "the model's score is not a finite number"
