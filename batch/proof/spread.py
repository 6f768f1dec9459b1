"""How long answers took, and how many there were a second: counts that add up and do not grow without bound.

Times are whole milliseconds, as Kafka has them.
"""

from collections import Counter
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from batch.proof.result import Frozen, Histogram

Times = npt.NDArray[np.int64]

# Every number below is counted as it is; one above is rounded up to so many significant digits, so that a
# percentile is at most 1 % too large, and a power of ten adds no more than 900 numbers.
_EXACT: Final = 1000
_POWERS: Final = 10 ** np.arange(15, dtype=np.int64)
# Upper bounds of the buckets that people are shown: 1, 2 and 5 milliseconds, and these times powers of ten.
_BOUNDS: Final = [digit * 10**power for power in range(15) for digit in (1, 2, 5)]
_LONGEST: Final = _BOUNDS[-1]
# A tenth of a second, until there are too many of them; then twice as long, and so on.
_SHORTEST: Final = 100
_MOST: Final = 65_536
_SECOND: Final = 1000


class Latencies(Frozen):
    """How long answers took.

    Attributes:
        counts: By milliseconds, those from 1,000 on rounded up to three digits, how many took so long.
        largest: The longest time, exactly.
    """

    counts: dict[int, int] = Field(default_factory=dict)
    largest: int = 0

    def with_times(self, taken: Times) -> Self:
        """With further ones; clocks that differ may make them less than 0, which counts as 0."""
        if not len(taken):
            return self
        taken = np.clip(taken, 0, _LONGEST)
        powers = np.searchsorted(_POWERS * _EXACT, taken, side="right")
        steps = _POWERS[powers]
        values, counts = np.unique(-(-taken // steps) * steps, return_counts=True)
        return self.followed_by(
            type(self)(
                counts=dict(zip(values.tolist(), counts.tolist(), strict=True)), largest=int(taken.max())
            )
        )

    def followed_by(self, other: "Latencies") -> Self:
        """Those of both."""
        counts = Counter(self.counts)
        counts.update(other.counts)
        return self.model_copy(update={"counts": dict(counts), "largest": max(self.largest, other.largest)})

    def histogram(self) -> Histogram | None:
        """Seconds, in buckets by 1, 2 and 5; None of nothing."""
        if not self.counts:
            return None
        times = np.array(sorted(self.counts), np.int64)
        counts = np.array([self.counts[time] for time in times.tolist()], np.int64)
        used = 1 + next(place for place, bound in enumerate(_BOUNDS) if bound >= times[-1])
        buckets = np.bincount(np.searchsorted(_BOUNDS[:used], times), counts, minlength=used + 1)
        reached = np.cumsum(counts)
        p50, p99 = (
            float(times[np.searchsorted(reached, share * reached[-1])]) / _SECOND for share in (0.5, 0.99)
        )
        return Histogram(
            unit="seconds",
            bounds=[bound / _SECOND for bound in _BOUNDS[:used]],
            counts=[int(count) for count in buckets],
            p50=p50,
            p99=p99,
            largest=self.largest / _SECOND,
        )


class Pace(Frozen):
    """When answers were given.

    Attributes:
        width: Of a slot, in milliseconds.
        slots: By number of the slot since the epoch, the answers in it; never more than 65,536.
    """

    width: int = _SHORTEST
    slots: dict[int, int] = Field(default_factory=dict)

    def with_times(self, given: Times) -> Self:
        """With further answers; those without a time are left out."""
        numbers, counts = np.unique(given[given >= 0] // self.width, return_counts=True)
        slots = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        return self.followed_by(type(self)(width=self.width, slots=slots))

    def followed_by(self, other: "Pace") -> Self:
        """The answers of both."""
        width = max(self.width, other.width)
        slots: Counter[int] = Counter()
        for pace in (self, other):
            for number, count in pace.slots.items():
                slots[number * pace.width // width] += count
        while len(slots) > _MOST:
            width *= 2
            wider: Counter[int] = Counter()
            for number, count in slots.items():
                wider[number // 2] += count
            slots = wider
        return self.model_copy(update={"width": width, "slots": dict(slots)})

    def busiest(self) -> float | None:
        """Answers a second in the busiest second, or slot when those are longer; None of nothing."""
        if not self.slots:
            return None
        together = max(1, _SECOND // self.width)
        numbers = np.array(sorted(self.slots), np.int64)
        reached = np.cumsum([0, *(self.slots[number] for number in numbers.tolist())])
        after = np.searchsorted(numbers, numbers + together)
        most = int((reached[after] - reached[:-1]).max())
        return most * _SECOND / (together * self.width)
