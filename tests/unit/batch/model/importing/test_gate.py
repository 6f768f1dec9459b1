"""The gate of a conversion: nothing that the original decides may be lost."""

import numpy as np
import pytest

from batch.model.importing.gate import ConversionGate
from shared.errors import ModelError
from shared.predict import Outcome
from shared.schema import Reason, Rejection


def outcome(*rejections: Rejection) -> Outcome:
    """Two rows scored as the original did, and the others rejected."""
    scores = np.array([0.25, 0.75])
    rows = np.array([0, 1], np.int64)
    return Outcome(2 + len(rejections), rows, [1, 2], None, scores, scores > 0.5, rejections)


ORIGINAL = np.array([0.25, 0.75, 0.5])


def test_the_same_decisions_pass() -> None:
    assert "0 ulp" in ConversionGate(ORIGINAL, 0.5, 0.0)(outcome())["conversion"]


def test_a_row_that_only_the_original_can_score_is_refused() -> None:
    failed = Rejection(2, Reason.MODEL_ERROR, None, "1e300 is beyond float32")
    with pytest.raises(ModelError, match="fails on 1 rows that the original scores; row 2: 1e300"):
        ConversionGate(ORIGINAL, 0.5, 0.0)(outcome(failed))


def test_a_row_that_the_inputs_do_not_allow_is_counted_and_passes() -> None:
    odd = Rejection(2, Reason.OUT_OF_RANGE, "age", "age is 300, which is not at most 120")
    ConversionGate(ORIGINAL, 0.5, 0.0)(outcome(odd))
