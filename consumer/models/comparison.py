"""A challenger's answers beside the champion's, as counts."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.predict import Outcome
from shared.schema import Reason


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What a challenger made of a batch, beside the champion.

    An event is compared when both gave it a score.

    Attributes:
        agreed: Events of the same decision.
        raised: Events with a decision that is false by the champion and true by the challenger.
        lowered: The other way round.
        differences: The absolute difference of the scores of each compared event.
        rejected: Events that only the challenger rejected, by its reason.
        accepted: Events that only the champion rejected.
        neither: Events that both rejected.
    """

    agreed: int
    raised: int
    lowered: int
    differences: npt.NDArray[np.float64]
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
    refused = {rejection.row for rejection in champion.rejections}
    rejected = Counter(
        rejection.reason for rejection in challenger.rejections if rejection.row not in refused
    )
    neither = len(challenger.rejections) - rejected.total()
    return Comparison(
        agreed=int(np.count_nonzero(before == after)),
        raised=int(np.count_nonzero(after & ~before)),
        lowered=int(np.count_nonzero(before & ~after)),
        differences=np.abs(challenger.scores[theirs] - champion.scores[ours]),
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
