"""The largest contributions, and rows whose contributions do not add up."""

from pathlib import Path

import numpy as np
import pytest

from shared.explanations import joined, largest, misfits
from shared.frame import Frame
from shared.models.base import Contributions, Floats
from shared.models.directory import Model, read_model
from shared.models.linear import LinearScorer
from shared.predict import Predictor
from shared.schema import Reason
from tests.support.models import linear_model

EVENT = b'{"customer_id":%d,"tenure":%d,"charges":%s,"partner":true,"contract":"yearly"}'


def contributions(*rows: list[float], base: float = 0.5) -> Contributions:
    return Contributions(np.array(rows), np.full(len(rows), base))


def test_the_largest_come_first_whatever_their_sign_and_equal_ones_as_declared() -> None:
    found = largest(contributions([1.0, -3.0, 2.0, 3.0], [0.0, 0.0, 0.0, -1.0]), 3)
    assert found.inputs.tolist() == [[1, 3, 2], [3, 0, 1]]
    assert found.contributions.tolist() == [[-3.0, 3.0, 2.0], [-1.0, 0.0, 0.0]]
    assert found.base.tolist() == [0.5, 0.5]


def test_a_negative_zero_is_a_zero() -> None:
    found = largest(contributions([-0.0], base=-0.0), 1)
    assert not np.signbit([found.base[0], found.contributions[0, 0]]).any()


def test_more_than_there_are_is_all_of_them() -> None:
    assert largest(contributions([1.0, 2.0]), 9).inputs.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("values", "raw"),
    [
        ([1.0, 2.0], 3.4999),
        ([1.0, np.nan], 3.5),
        ([np.inf, 1.0], np.inf),
        ([np.inf, 1.0], 1.5),
        ([1.0, 2.0], np.nan),
    ],
)
def test_a_row_that_does_not_add_up_is_named_with_both_numbers(values: list[float], raw: float) -> None:
    told = misfits(np.array([3.5, raw]), contributions([1.0, 2.0], values), 1e-12)
    assert list(told) == [1]
    assert told[1].endswith(f"but the raw score is {raw!r}")


def test_what_float32_loses_is_within_the_tolerance_of_the_sizes() -> None:
    near = contributions([1e6, -1e6], base=0.0)
    assert misfits(np.array([1.0]), near, 1e-5) == {}
    assert list(misfits(np.array([30.0]), near, 1e-5)) == [0]


def test_nothing_joined_with_nothing_is_nothing() -> None:
    some = largest(contributions([1.0]), 1)
    assert joined(None, None) is None
    both = joined(some, some)
    assert both is not None
    assert both.inputs.tolist() == [[0], [0]]


class Liar(LinearScorer):
    """Explains rows above 500 months by what is not true, and cannot explain those above 1,000 at all."""

    def explain(self, frame: Frame) -> Contributions:
        found, tenure = super().explain(frame), frame.columns["tenure"]
        if (tenure > 1000).any():
            raise ValueError("too long ago")
        values: Floats = found.values.copy()
        values[tenure > 500, 0] += 1e-6
        return Contributions(values, found.base)


def liar(tmp_path: Path) -> Model:
    model = read_model(linear_model(tmp_path / "m"))
    scorer = Liar.load(model.schema, (tmp_path / "m" / "coefficients.json").read_bytes())
    return Model(model.declaration, model.schema, scorer, model.sha256)


def test_a_row_whose_explanation_is_wrong_or_fails_is_rejected_and_its_neighbours_are_not(
    tmp_path: Path,
) -> None:
    values = [EVENT % (n, tenure, b"1.5") for n, tenure in enumerate((1, 501, 2, 1001, 3, 4, 999))]
    outcome = Predictor(liar(tmp_path), explain=2).score_json(values)
    assert outcome.rows.tolist() == [0, 2, 4, 5]
    assert {rejection.reason for rejection in outcome.rejections} == {Reason.MODEL_ERROR}
    details = [rejection.detail for rejection in outcome.rejections]
    assert "add up to" in details[0]
    assert details[1] == "the model failed: ValueError: too long ago"
    assert "add up to" in details[2]
    assert outcome.explanations is not None
    alone = Predictor(liar(tmp_path), explain=2).score_json([values[4]]).explanations
    assert alone is not None
    assert outcome.explanations.contributions[2].tolist() == alone.contributions[0].tolist()
    assert len(outcome.explanations.base) == len(outcome.scores) == len(outcome.decisions)


def test_without_explanations_the_same_model_scores_every_row(tmp_path: Path) -> None:
    values = [EVENT % (n, tenure, b"1.5") for n, tenure in enumerate((1, 501, 1001))]
    outcome = Predictor(liar(tmp_path)).score_json(values)
    assert (len(outcome.rows), outcome.explanations) == (3, None)
