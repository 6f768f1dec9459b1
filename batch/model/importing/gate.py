"""The gate of a conversion: the converted model must decide every row of the sample as the original does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from batch.ulps import ulps_between
from shared.errors import ModelError
from shared.models.base import Floats
from shared.predict import Outcome
from shared.schema import Reason

_MOST_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Differences:
    """How a converted model's scores differ from the original's.

    Attributes:
        rows: How many rows both scored.
        rejected: Rows that the converted model rejects.
        decisions: How many decisions differ.
        largest: The largest difference of two scores.
        ulps: The same in units in the last place of a float64.
    """

    rows: int
    rejected: int
    decisions: int
    largest: float
    ulps: int

    def __str__(self) -> str:
        same = "every decision is the same" if not self.decisions else f"{self.decisions:,} decisions differ"
        rejected = f", {self.rejected:,} more are rejected" if self.rejected else ""
        return (
            f"{self.rows:,} rows scored by both{rejected}: {same}; the scores differ by at most"
            f" {self.largest:.3g} ({self.ulps:,} ulp)"
        )


class ConversionGate:
    """Compares the scores of a sample with those of the original model.

    Args:
        original: The original's score of each row of the sample.
        threshold: A score strictly above it makes the decision true.
        tolerance: A decision may differ where the two scores are no further apart than this; 0 allows none.
    """

    def __init__(self, original: Floats, threshold: float, tolerance: float) -> None:
        self._original = original
        self._threshold = threshold
        self._tolerance = tolerance
        self.found: Differences | None = None

    def __call__(self, outcome: Outcome) -> Mapping[str, str]:
        """Compares.

        Returns:
            What was found, for the provenance.

        Raises:
            ModelError: A decision differs beyond what is tolerated, or the converted model gives none where
                the original does.
        """
        failed = [one for one in outcome.rejections if one.reason is Reason.MODEL_ERROR]
        if failed:
            raise ModelError(
                f"the converted model fails on {len(failed):,} rows that the original scores; row"
                f" {failed[0].row}: {failed[0].detail}",
                hint="Train on values that a float32 can hold, or leave such rows out of the sample.",
            )
        original = self._original[outcome.rows]
        distance = np.abs(outcome.scores - original)
        differ = outcome.decisions != (original > self._threshold)
        self.found = Differences(
            rows=len(original),
            rejected=len(outcome.rejections),
            decisions=int(differ.sum()),
            largest=float(distance.max()),
            ulps=int(ulps_between(outcome.scores, original).max()),
        )
        refused = np.flatnonzero(differ & ~(distance <= self._tolerance))
        if len(refused):
            few = refused[:_MOST_SHOWN]
            shown = ", ".join(
                f"row {row}: {before!r} became {after!r}"
                for row, before, after in zip(
                    outcome.rows[few].tolist(),
                    original[few].tolist(),
                    outcome.scores[few].tolist(),
                    strict=True,
                )
            )
            raise ModelError(
                f"the converted model decides {len(refused):,} of {len(original):,} rows otherwise than the"
                f" original, at the threshold {self._threshold:g}; {shown}",
                hint="Choose a threshold away from these scores, or say how far apart two scores may be whose"
                " decisions differ: tolerance=1e-6.",
            )
        return {"conversion": str(self.found)}


def original_scores(estimator: Any, rows: Any) -> Floats:
    """The scores of a scikit-learn estimator: the probability of its second class, or the number it predicts.

    Args:
        estimator: A fitted classifier of two classes, or a regressor of one number.
        rows: What it predicts on.

    Raises:
        ModelError: It gives a row something else.
    """
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        predicted = np.asarray(estimator.predict(rows), dtype=np.float64)
        if predicted.size != len(predicted):
            raise ModelError(
                f"the model predicts {predicted.size // len(predicted)} numbers a row, and a score is one",
                hint="Train a model with one target.",
            )
        return predicted.reshape(-1)
    if len(classes) != 2:
        raise ModelError(
            f"the model has {len(classes)} classes, and a decision has two",
            hint="Train a classifier of two classes.",
        )
    if not hasattr(estimator, "predict_proba"):
        raise ModelError(
            f"{type(estimator).__name__} gives no probabilities",
            hint="Wrap it where it is trained: sklearn.calibration.CalibratedClassifierCV.",
        )
    return np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, 1]
