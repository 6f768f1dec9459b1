"""Made-up pairs of decisions."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from batch.replaying.pairs import Pairs
from shared.frame import Frame

THRESHOLD = 0.5


def pairs_of(
    frame: Frame,
    before: Sequence[float],
    after: Sequence[float],
    *,
    place: str = "file",
    first: int = 0,
    customers: Sequence[str] | None = None,
) -> Pairs:
    """Pairs of scores as those of consecutive rows of a file; both thresholds are THRESHOLD."""
    was, would = np.array(before, np.float64), np.array(after, np.float64)
    numbers = np.arange(first, first + len(was))
    return Pairs(
        place=place,
        read=len(was),
        numbers=numbers,
        positions=pa.array([f"{place}/{number}" for number in numbers], pa.string()),
        customers=list(customers or map(str, numbers.tolist())),
        columns=frame.columns,
        before=was,
        after=would,
        raised=(was <= THRESHOLD) & (would > THRESHOLD),
        lowered=(was > THRESHOLD) & (would <= THRESHOLD),
    )
