"""Being told to stop: a flag that a loop looks at, and a deadline for looking.

A process that is told to stop while it starts (and waits for a broker, say) has nothing to finish, and ends
at once.
"""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Final

from shared.errors import ExitCode

_STDERR: Final = 2
_UNFINISHED: Final = b"Ended before the work in hand was finished"


class Stop:
    """Set by SIGTERM, by Ctrl-C, or by the loop itself when its work is done.

    Args:
        timeout: Seconds after a signal before the process ends regardless; None leaves that to whoever
            looks at the flag.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._timeout = timeout
        # A plain flag: a signal that comes while another is handled must find no lock taken.
        self._asked = False
        self._working = False
        #: Whether it was Ctrl-C.
        self.interrupted = False
        #: Whether it was SIGTERM: the process is replaced or moved, rather than done.
        self.terminated = False

    @property
    def requested(self) -> bool:
        """Whether to finish the batch and end."""
        return self._asked

    def request(self) -> None:
        """Asks the loop to end."""
        self._asked = True

    def terminate(self) -> None:
        """Does what SIGTERM does; may be called from any thread."""
        self._handle(signal.SIGTERM, None)

    def begin(self) -> None:
        """From here on there is work in hand that a signal must not cut off."""
        self._working = True

    def on_signals(self) -> None:
        """Listens to SIGTERM and SIGINT.

        Before `begin` one ends the process at once; after it a second one does.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if not self._working:
            self._end_now(
                ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.DONE,
                b"Stopped before there was anything to do",
            )
        if self.requested:
            self._end_now(ExitCode.INTERRUPTED, _UNFINISHED)
        self.interrupted = number == signal.SIGINT
        self.terminated = number == signal.SIGTERM
        self.request()
        if self._timeout is not None:
            watchdog = threading.Timer(
                self._timeout, self._end_now, [ExitCode.FENCED_OR_STALLED, _UNFINISHED]
            )
            watchdog.daemon = True
            watchdog.start()

    def _end_now(self, code: ExitCode, said: bytes) -> None:
        # The main thread may hang in a call that has no deadline, with the log's lock in its hand: no
        # clean-up can be waited for, and no lock asked for.
        with suppress(OSError):
            os.write(_STDERR, said + b"\n")
        os._exit(code)
