"""How much the next poll may take: little on a quiet topic, much from a backlog, never too long."""

from typing import Final

#: The most record batches that one poll takes.
MOST_BATCHES: Final = 200


class Budget:
    """Steers the size of a micro-batch by what the last one was.

    An idle topic's single event is scored at once, since a poll waits for nothing once an event is
    there; a backlog comes in batches of about `events`, and a slow model shrinks them.

    Args:
        events: About the most events in a batch.
        seconds: About the most seconds from poll to commit.
    """

    def __init__(self, events: int, seconds: float) -> None:
        self._events = events
        self._seconds = seconds
        self.batches = 16

    def spent(self, events: int, seconds: float) -> None:
        """Adjusts the next poll's record batches to what the last ones held and took."""
        load = max(events / self._events, seconds / self._seconds)
        if load > 1:
            self.batches = max(1, int(self.batches / load))
        elif load < 1 / 2:
            self.batches = min(MOST_BATCHES, self.batches * 2)
