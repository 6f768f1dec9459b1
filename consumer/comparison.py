"""A challenger's answers beside the champion's, as counts."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.predict import Outcome
from shared.schema import Reason

#: Upper bounds of the absolute score difference, by which `Comparison.differences` counts: equal to the bit,
#: up to each of these, and above the last.
BOUNDS: Final = (0.0, 1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a challenger made of a batch, beside the champion.

    An event is compared when both gave it a score.

    Attributes:
        agreed: Events of the same decision.
        raised: Events with a decision that is false by the champion and true by the challenger.
        lowered: The other way round.
        differences: How many of the compared events are how far apart: one count for each of BOUNDS, not
            cumulated, and one for those above the last.
        difference_sum: The sum of the absolute score differences.
        rejected: Events that only the challenger rejected, by its reason.
        accepted: Events that only the champion rejected.
        neither: Events that both rejected.
    """

    agreed: int
    raised: int
    lowered: int
    differences: tuple[int, ...]
    difference_sum: float
    rejected: Counter[Reason]
    accepted: int
    neither: int

    @property
    def compared(self) -> int:
        """Events that both gave a score."""
        return self.agreed + self.raised + self.lowered


def compare(champion: Outcome, challenger: Outcome) -> Comparison:
    """Lays the outcomes of the same events side by side."""
    ours, theirs = _places(champion.rows, challenger.rows)
    before, after = champion.decisions[ours], challenger.decisions[theirs]
    apart = np.abs(challenger.scores[theirs] - champion.scores[ours])
    refused = {rejection.row for rejection in champion.rejections}
    rejected = Counter(
        rejection.reason for rejection in challenger.rejections if rejection.row not in refused
    )
    neither = len(challenger.rejections) - rejected.total()
    return Comparison(
        agreed=int(np.count_nonzero(before == after)),
        raised=int(np.count_nonzero(after & ~before)),
        lowered=int(np.count_nonzero(before & ~after)),
        differences=_by_size(apart),
        difference_sum=float(apart.sum()),
        rejected=rejected,
        accepted=len(refused) - neither,
        neither=neither,
    )


def _places(
    champion: npt.NDArray[np.int64], challenger: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the rows that both scored stand in each."""
    if np.array_equal(champion, challenger):
        everywhere = np.arange(len(champion))
        return everywhere, everywhere
    _, ours, theirs = np.intersect1d(champion, challenger, assume_unique=True, return_indices=True)
    return ours, theirs


def _by_size(apart: npt.NDArray[np.float64]) -> tuple[int, ...]:
    places = np.searchsorted(np.array(BOUNDS), apart, side="left")
    return tuple(np.bincount(places, minlength=len(BOUNDS) + 1).tolist())
