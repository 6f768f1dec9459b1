"""The line between a supervisor and one of its workers: a socket, JSON, one object a line.

The supervisor says which worker the process is (`Role`) and, at once or when it is its turn, that it may
begin. The worker reports about once a second, and says at the end why it ends. A line that breaks tells each
side that the other is gone: the kernel closes it however a process ends.
"""

import json
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from os import fstat
from typing import Final

from consumer.operations.telemetry import WorkerSnapshot
from shared.errors import ConfigurationError

_STDIN: Final = 0
# Seconds between two reports, and between two of a worker that is not ready: others may wait for it.
_PERIOD: Final = 1.0
_EAGER_PERIOD: Final = 0.1
# Seconds that the last words may take; a supervisor that stands still must not keep a worker.
_GOODBYE_SECONDS: Final = 2.0
_LONGEST_LINE: Final = 1 << 16
#: What the supervisor says when a worker may begin.
BEGIN: Final = b"begin\n"


@dataclass(frozen=True, slots=True)
class Role:
    """Which worker a process is.

    Attributes:
        worker: Its number, from 0.
        instance: Its name in the group, the same after a restart.
        partitions: How many the input topic has.
        quiet: Whether it need not say now and then how far it is: the supervisor shows it.
    """

    worker: int
    instance: str
    partitions: int
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """What a worker says of itself now and then.

    Attributes:
        loaded: Whether it could begin at once: its model is there.
        snapshot: What it measures.
    """

    loaded: bool
    snapshot: WorkerSnapshot


@dataclass(frozen=True, slots=True)
class LastWords:
    """Why a worker ends.

    Attributes:
        finished: Whether its work is done, so that nobody needs to start it again.
        error: What stopped it, as a sentence; None when nothing did.
    """

    finished: bool
    error: str | None


def to_line(message: Role | SignOfLife | LastWords) -> bytes:
    """A message as it goes over the line."""
    return json.dumps(asdict(message)).encode() + b"\n"


def from_line(line: bytes) -> SignOfLife | LastWords:
    """What a worker said."""
    said = json.loads(line)
    return LastWords(**said) if "finished" in said else SignOfLife(**said)


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
        self._lines = self._socket.makefile("rb")
        line = self._lines.readline(_LONGEST_LINE)
        if not line:
            raise ConfigurationError("the supervisor of this worker ended before it said what to do")
        self.role = Role(**json.loads(line))
        self._loaded = False
        self._may_begin = threading.Event()
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

    def wait_for_turn(self) -> None:
        """Says that the worker could begin, and returns when it may."""
        self._loaded = True
        self._may_begin.wait()

    def close(self, last_words: LastWords) -> bool:
        """Says why the worker ends; whether the supervisor has heard it."""
        self._last_words = last_words
        self._ending.set()
        if self._reporter is not None:
            self._reporter.join(_GOODBYE_SECONDS)
        return self._delivered

    def _listen(self, lost: Callable[[], None]) -> None:
        with suppress(OSError):
            if self._lines.readline() == BEGIN:
                self._may_begin.set()
                # Nothing more is ever said on the other side: what comes is the end.
                self._lines.readline()
        lost()

    def _say(self, snapshot: Callable[[], WorkerSnapshot]) -> None:
        with suppress(OSError):
            while not self._ending.is_set():
                latest = snapshot()
                self._socket.sendall(to_line(SignOfLife(self._loaded, latest)))
                self._ending.wait(_EAGER_PERIOD if latest["unready"] else _PERIOD)
            if self._last_words is not None:
                self._socket.sendall(to_line(self._last_words))
                self._delivered = True
