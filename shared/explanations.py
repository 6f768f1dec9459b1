"""Why a row has its score: the inputs that contributed most, checked to add up to the raw score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.models.base import Contributions, Floats


@dataclass(frozen=True, slots=True)
class Explanations:
    """The largest contributions to the raw score of each row; the raw score is the one before the link.

    Attributes:
        base: float64, one a row: the raw score before any input is looked at.
        inputs: int64, one row a row: places among the schema's features. The largest contribution by
            absolute value comes first; of equal ones, the input that is declared first.
        contributions: float64, beside `inputs`.
    """

    base: Floats
    inputs: npt.NDArray[np.int64]
    contributions: Floats

    def take(self, rows: npt.NDArray[Any] | slice) -> "Explanations":
        """Those of the rows that an array of indices, a boolean mask or a slice selects."""
        return Explanations(self.base[rows], self.inputs[rows], self.contributions[rows])


def joined(first: Explanations | None, second: Explanations | None) -> Explanations | None:
    """Those of two batches as those of one; None where there are none."""
    if first is None or second is None:
        return None
    return Explanations(
        np.concatenate([first.base, second.base]),
        np.concatenate([first.inputs, second.inputs]),
        np.concatenate([first.contributions, second.contributions]),
    )


def largest(contributions: Contributions, count: int) -> Explanations:
    """The largest contributions of each row.

    Args:
        contributions: Those of all inputs.
        count: How many to keep; all when there are not so many.
    """
    by_input = contributions.values
    # A stable sort leaves equal sizes in declared order.
    inputs = np.argsort(-np.abs(by_input), axis=1, kind="stable")[:, :count].astype(np.int64)
    # Adding 0.0 makes a zero of either sign the same text.
    return Explanations(contributions.base + 0.0, inputs, np.take_along_axis(by_input, inputs, axis=1) + 0.0)


def misfits(raw: Floats, contributions: Contributions, tolerance: float) -> dict[int, str]:
    """The rows whose contributions do not add up to the raw score, by index, with a sentence each.

    Args:
        raw: The raw score of each row.
        contributions: What explains it.
        tolerance: How far they may be apart, for each 1 of the sum of the contributions' sizes.
    """
    sizes = Contributions(np.abs(contributions.values), np.abs(contributions.base))
    with np.errstate(over="ignore", invalid="ignore"):
        totals, size = contributions.totals(), sizes.totals()
        # Written so that a total that is no number does not pass.
        fits = np.isfinite(size) & (np.abs(totals - raw) <= tolerance * size)
    return {
        row: f"the contributions add up to {float(totals[row])!r}, but the raw score is {float(raw[row])!r}"
        for row in np.flatnonzero(~fits).tolist()
    }
