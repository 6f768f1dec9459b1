"""Being told to stop."""

import signal
from types import FrameType


class Stop:
    """Set by SIGTERM or Ctrl-C; what was sent is then still waited for. A second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.requested = False
        self.interrupted = False

    def on_signals(self) -> None:
        """Listens to SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        self.interrupted |= number == signal.SIGINT
