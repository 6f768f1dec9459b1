"""How good scores are that estimate a probability."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured of scores beside what happened.

    Attributes:
        area: The area under the ROC curve, see area_under_curve.
        accuracy: The share that is on the right side of the threshold.
        log_loss: The mean of minus the logarithm of the probability that was given to what happened.
        calibration: By how much the mean score of a tenth of the customers, by score, is off the share of
            them that churned, on average.
        distance: The mean absolute difference from the probability by which the die was thrown.
    """

    area: float
    accuracy: float
    log_loss: float
    calibration: float
    distance: float

    @classmethod
    def of(cls, scores: Floats, churned: Floats, probabilities: Floats, threshold: float) -> Self:
        """Measures scores of customers of whom is known what became of them, and how likely that was."""
        return cls(
            area_under_curve(scores, churned),
            float(((scores > threshold) == (churned == 1)).mean()),
            float(-np.log(np.where(churned == 1, scores, 1 - scores)).mean()),
            float(np.mean([abs(told - seen) for told, seen in calibration(scores, churned)])),
            float(np.abs(scores - probabilities).mean()),
        )


def area_under_curve(scores: Floats, churned: Floats) -> float:
    """The chance that of a customer who churned and one who stayed, the first has the higher score."""
    order = np.unique(scores, return_inverse=True, return_counts=True)
    counts = order[2]
    middle_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks = middle_ranks[order[1]]
    left = churned.sum()
    stayed = len(churned) - left
    return float((ranks[churned == 1].sum() - left * (left + 1) / 2) / (left * stayed))


def calibration(scores: Floats, churned: Floats, groups: int = 10) -> list[tuple[float, float]]:
    """The mean score of each group of customers, by score, and the share of them that churned."""
    parts = np.array_split(np.argsort(scores, kind="stable"), groups)
    return [(float(scores[part].mean()), float(churned[part].mean())) for part in parts]
