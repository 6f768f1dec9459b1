"""The contract of a feature's summary."""

from abc import ABC, abstractmethod
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from shared.frame import Column
from shared.sketches.sample import Picked


class State(BaseModel):
    """What JSON has of a summary; the fields for people and those for the next merge."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureSketch(ABC):
    """A summary of the values of one feature.

    It is a pure function of the values in their order, however they were cut into batches, and so is what a
    merge makes of several: the same rows give the same bytes.

    Attributes:
        count: How many rows have a value; exact.
        missing: How many rows have none, and may; exact. One that a default fills in has a value.
    """

    count: int = 0
    missing: int = 0

    @property
    def rows(self) -> int:
        """How many rows it has seen."""
        return self.count + self.missing

    @property
    @abstractmethod
    def weight(self) -> float:
        """How many rows at random would say as much of how the values are spread; all of them, if exact."""

    @abstractmethod
    def add(self, column: Column, picked: Picked, level: int) -> None:
        """Takes in the values of further rows.

        Args:
            column: The values as a frame holds them.
            picked: Which of them, and of those before, are taken where not all are.
            level: One of each 2**level rows is, now.
        """

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Takes in what another has seen, whose rows come after those seen here.

        Rows that come after that are the first ones of a new sample.

        Raises:
            ValueError: They do not summarise the same feature.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """All that it holds, as JSON has it."""
