"""Being told to stop: a flag that a loop looks at, and a deadline for looking."""

import logging
import os
import signal
import threading
from types import FrameType

from shared.errors import ExitCode

logger = logging.getLogger(__name__)


class Stop:
    """Set by SIGTERM, by Ctrl-C, or by the loop itself when its work is done.

    Args:
        timeout: Seconds after a signal before the process ends regardless; None leaves that to whoever
            looks at the flag.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._timeout = timeout
        self._asked = threading.Event()
        self.interrupted = False

    @property
    def requested(self) -> bool:
        """Whether to finish the batch and end."""
        return self._asked.is_set()

    def request(self) -> None:
        """Asks the loop to end."""
        self._asked.set()

    def on_signals(self) -> None:
        """Listens to SIGTERM and SIGINT; a second one ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            self._end_now(ExitCode.INTERRUPTED)
        self.interrupted = number == signal.SIGINT
        self.request()
        if self._timeout is not None:
            watchdog = threading.Timer(self._timeout, self._end_now, [ExitCode.FENCED_OR_STALLED])
            watchdog.daemon = True
            watchdog.start()

    def _end_now(self, code: ExitCode) -> None:
        # The main thread may hang in a call that has no deadline: no clean-up can be waited for.
        logger.error("Ended before the work in hand was finished")
        os._exit(code)
