"""The line between a supervisor and one of its workers: a socket, JSON, one object a line.

The supervisor speaks once, to say which worker the process is (`Role`). The worker then reports about once
a second, and says at the end why it ends. A line that breaks tells each side that the other is gone: the
kernel closes it however a process ends.
"""

import json
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from os import fstat
from typing import Final, cast

from consumer.telemetry import WorkerSnapshot
from shared.errors import ConfigurationError

_STDIN: Final = 0
# Seconds between two reports, and between two of a worker that is not ready: others may wait for it.
_PERIOD: Final = 1.0
_EAGER_PERIOD: Final = 0.1
# Seconds that the last words may take; a supervisor that stands still must not keep a worker.
_GOODBYE_SECONDS: Final = 2.0
_LONGEST_LINE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Role:
    """Which worker a process is.

    Attributes:
        worker: Its number, from 0.
        instance: Its name in the group, the same after a restart.
        partitions: How many the input topic has.
    """

    worker: int
    instance: str
    partitions: int


@dataclass(frozen=True, slots=True)
class LastWords:
    """Why a worker ends.

    Attributes:
        finished: Whether its work is done, so that nobody needs to start it again.
        error: What stopped it, as a sentence; None when nothing did.
    """

    finished: bool
    error: str | None


def to_line(message: Role | LastWords | WorkerSnapshot) -> bytes:
    """A message as it goes over the line."""
    said = asdict(message) if isinstance(message, (Role, LastWords)) else message
    return json.dumps(said).encode() + b"\n"


def from_line(line: bytes) -> LastWords | WorkerSnapshot:
    """What a worker said."""
    said = json.loads(line)
    return LastWords(**said) if "finished" in said else cast(WorkerSnapshot, said)


class Channel:
    """A worker's end of the line, which is its standard input.

    Raises:
        ConfigurationError: Nobody who knows the role is at the other end.
    """

    def __init__(self) -> None:
        if not stat.S_ISSOCK(fstat(_STDIN).st_mode):
            raise ConfigurationError(
                "a worker is started by its supervisor only",
                hint="Give --workers N, and leave the word `worker` out.",
            )
        self._socket = socket.socket(fileno=_STDIN)
        line = self._socket.makefile("rb").readline(_LONGEST_LINE)
        if not line:
            raise ConfigurationError("the supervisor of this worker ended before it said what to do")
        self.role = Role(**json.loads(line))
        self._last_words: LastWords | None = None
        self._delivered = False
        self._ending = threading.Event()
        self._reporter: threading.Thread | None = None

    def open(self, snapshot: Callable[[], WorkerSnapshot], lost: Callable[[], None]) -> None:
        """Reports from here on.

        Args:
            snapshot: What the worker says of itself; asked on a thread of its own.
            lost: Called, on a thread of its own, when the supervisor is gone.
        """
        threading.Thread(target=self._listen, args=[lost], name="supervisor", daemon=True).start()
        self._reporter = threading.Thread(target=self._say, args=[snapshot], name="reports", daemon=True)
        self._reporter.start()

    def close(self, last_words: LastWords) -> bool:
        """Says why the worker ends; whether the supervisor has heard it."""
        self._last_words = last_words
        self._ending.set()
        if self._reporter is not None:
            self._reporter.join(_GOODBYE_SECONDS)
        return self._delivered

    def _listen(self, lost: Callable[[], None]) -> None:
        # Nothing more is ever said on this side: what comes is the end.
        with suppress(OSError):
            self._socket.recv(1)
        lost()

    def _say(self, snapshot: Callable[[], WorkerSnapshot]) -> None:
        with suppress(OSError):
            while not self._ending.is_set():
                latest = snapshot()
                self._socket.sendall(to_line(latest))
                self._ending.wait(_EAGER_PERIOD if latest["unready"] else _PERIOD)
            if self._last_words is not None:
                self._socket.sendall(to_line(self._last_words))
                self._delivered = True
