"""What stands between the loop and its telemetry: it passes everything on, and does its own besides."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager

from consumer.loop import Telemetry
from consumer.scoring import Scored


class PassingOn:
    """Passes on what the loop tells; a subclass adds to what it is for.

    Args:
        telemetry: Who is told.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def step(self, name: str, places: Mapping[int, int]) -> AbstractContextManager[None]:
        """Passes it on."""
        return self._telemetry.step(name, places)

    def assigned(self, partitions: Collection[int]) -> None:
        """Passes it on."""
        self._telemetry.assigned(partitions)

    def positions(self, positions: Mapping[int, int]) -> None:
        """Passes it on."""
        self._telemetry.positions(positions)

    def committed(self, batch: Sequence[Scored], polled_at: float) -> None:
        """Passes it on."""
        self._telemetry.committed(batch, polled_at)

    def undone(self, events: int) -> None:
        """Passes it on."""
        self._telemetry.undone(events)
