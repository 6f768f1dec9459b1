"""How much to take at once: little on a quiet topic, much from a backlog, never too long."""

from typing import Final

#: The most record batches that one poll takes.
MOST_BATCHES: Final = 200
# Nobody knows how slow a model is before its first batch.
_FIRST_EVENTS: Final = 64
_GROWTH: Final = 4


class Budget:
    """Steers the size of a batch by how long the last one took to score.

    A batch grows by a factor of four until it holds `most_events` or takes `seconds`; a slow model makes it
    as small as a single event.

    Args:
        most_events: The most events in a batch.
        seconds: About the most seconds that scoring a batch may take.

    Attributes:
        events: The most events to score and commit at once.
        batches: The most record batches to poll.
    """

    def __init__(self, most_events: int, seconds: float) -> None:
        self._most_events = most_events
        self._seconds = seconds
        self.events = min(_FIRST_EVENTS, most_events)
        self.batches = 16

    def polled(self, events: int) -> None:
        """Adjusts the next poll to how many events the last one gave."""
        if events > 2 * self.events:
            self.batches = max(1, self.batches // 2)
        elif events > 0:
            self.batches = min(MOST_BATCHES, self.batches * 2)

    def scored(self, events: int, seconds: float) -> None:
        """Adjusts the next batch to how long the last one took to score."""
        allowed = int(events * self._seconds / seconds) if seconds > 0 else self._most_events
        self.events = max(1, min(self._most_events, self.events * _GROWTH, allowed))
