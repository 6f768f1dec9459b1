"""When the runs of a batch begin, by number; times are milliseconds since 1970 in UTC."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
_DAY: Final = timedelta(days=1)


class Runs(ABC):
    """The runs of one cadence, numbered in the order of time.

    Attributes:
        period: Milliseconds from one run to the next, as a rule.
    """

    period: int

    @abstractmethod
    def first_after(self, times: Times) -> Times:
        """The number of the first run that begins after each time."""

    @abstractmethod
    def last_until(self, times: Times) -> Times:
        """The number of the last run that begins at each time or before."""

    @abstractmethod
    def begin(self, numbers: Times) -> Times:
        """When runs begin."""

    def count(self, first: int, last: int) -> int:
        """How many runs begin after a time and up to another."""
        ends = self.last_until(np.array([first, last], np.int64))
        return max(0, int(ends[1] - ends[0]))


@dataclass(frozen=True, slots=True)
class Every(Runs):
    """Runs at every multiple of a period since 1970 in UTC: hourly ones at the full hour.

    Attributes:
        period: Milliseconds.
    """

    period: int

    def first_after(self, times: Times) -> Times:
        """The next multiple."""
        return times // self.period + 1

    def last_until(self, times: Times) -> Times:
        """The multiple before, or at it."""
        return times // self.period

    def begin(self, numbers: Times) -> Times:
        """The multiples."""
        return numbers * self.period


class Daily(Runs):
    """One run a day at a time of day; how long a day is, the time zone says.

    Where clocks are set forward over that time, the run is as much later; where they pass it twice, the first
    time counts.

    Args:
        at: The time of day.
        zone: Whose time it is.
        first: The time from which runs are wanted.
        last: The time up to which they are; one run after it is there too.
    """

    period = 86_400_000

    def __init__(self, at: time, zone: tzinfo, first: int, last: int) -> None:
        day = (datetime.fromtimestamp(first / 1_000, UTC) - 3 * _DAY).date()
        end = (datetime.fromtimestamp(last / 1_000, UTC) + 3 * _DAY).date()
        moments = []
        while day <= end:
            moments.append(round(datetime.combine(day, at, zone).timestamp() * 1_000))
            day += _DAY
        self._moments = np.array(moments, np.int64)

    def first_after(self, times: Times) -> Times:
        """The run of that day, or of the next."""
        return np.searchsorted(self._moments, times, "right").astype(np.int64)

    def last_until(self, times: Times) -> Times:
        """The run of that day, or of the one before."""
        return self.first_after(times) - 1

    def begin(self, numbers: Times) -> Times:
        """The moments."""
        return self._moments[numbers]
