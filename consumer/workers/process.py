"""A worker's process, as its supervisor has it."""

import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from consumer.operations.telemetry import WorkerSnapshot
from consumer.workers.channel import BEGIN, LastWords, Role, from_line, to_line

_CHUNK: Final = 1 << 16


class WorkerProcess:
    """A running worker and the line to it.

    Args:
        command: What to run.
        role: Which worker it is.
        errors: A file to be its standard error; None: it has this process's.
    """

    def __init__(self, command: Sequence[str], role: Role, errors: int | None = None) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            # A process group of its own: Ctrl-C at a terminal reaches the supervisor, which passes it on.
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                command, stdin=theirs.fileno(), stderr=errors, process_group=0
            )
        # What is said is far smaller than the buffer of a line.
        self._line.setblocking(False)
        self._tell(to_line(role))
        self._begun = b""
        self._heard = time.monotonic()
        #: Whether it could begin at once.
        self.loaded = False
        #: What it said last of itself; None before that.
        self.snapshot: WorkerSnapshot | None = None
        self.last_words: LastWords | None = None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it said last that it reads."""
        return self.snapshot is not None and not self.snapshot["unready"]

    @property
    def silent(self) -> float:
        """Seconds since it was last heard of, or started."""
        return time.monotonic() - self._heard

    def fileno(self) -> int:
        """The line, for a selector: there is something to `listen` to, or the process has ended."""
        return self._line.fileno()

    def begin(self) -> None:
        """Lets it begin, as soon as it can."""
        self._tell(BEGIN)

    def _tell(self, line: bytes) -> None:
        with suppress(OSError):  # it is gone already, and its exit code tells more
            self._line.sendall(line)

    def listen(self) -> bool:
        """Takes in what the worker has said.

        Returns:
            Whether it may say more; False once its side of the line is closed.
        """
        while True:
            try:
                said = self._line.recv(_CHUNK)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not said:
                return False
            self._heard = time.monotonic()
            *lines, self._begun = (self._begun + said).split(b"\n")
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        said = from_line(line)
        if isinstance(said, LastWords):
            self.last_words = said
        else:
            self.loaded, self.snapshot = said.loaded, said.snapshot

    def exit_code(self) -> int | None:
        """Its exit code, negative for the signal that killed it; None while it runs."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Asks it to end; one that was not heard of yet has nothing to finish, and is killed."""
        if self.snapshot is None:
            self._process.kill()
        else:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def close(self) -> None:
        """Takes in its last words and lets go of it, killed if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.listen()
        self._line.close()
