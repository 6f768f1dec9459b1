"""What a contender is asked to do, and how it tells what it took."""

import json
import signal
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Job:
    """One run of a contender.

    It ends after `count` events, or at SIGTERM; then all is acknowledged and committed, as when Tandem ends.

    Attributes:
        bootstrap: The broker.
        source: The topic to read, from its start.
        target: The topic to write; the group and the transactional id are named after it.
        exactly_once: Whether to work in transactions.
        count: How many events to read; None: until SIGTERM.
        interval: Seconds between two commits, where the library commits by the clock; None: its best.
        done: Events so far.
    """

    bootstrap: str
    source: str
    target: str
    exactly_once: bool
    count: int | None = None
    interval: float | None = None
    done: int = 0
    _started: float | None = None
    _stopped: bool = field(default=False)

    def until_stopped(self) -> None:
        """Lets SIGTERM end the job."""
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def over(self) -> bool:
        """Whether to end."""
        return self._stopped or (self.count is not None and self.done >= self.count)

    def read(self, events: int) -> None:
        """Counts events that have just been read; the clock starts with the first."""
        if self._started is None:
            self._started = time.monotonic()
        self.done += events

    def tell(self) -> None:
        """Prints the seconds since the first event; to be called when all is committed."""
        seconds = 0.0 if self._started is None else time.monotonic() - self._started
        print(json.dumps({"seconds": seconds, "events": self.done}), flush=True)
