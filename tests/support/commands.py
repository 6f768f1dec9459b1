"""Runs this project's own commands as a user would."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shared.deadline import Deadline

ROOT = Path(__file__).parents[2]
_TIMEOUT = 120


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended.

    Attributes:
        code: Its exit code.
        output: What it said on standard output.
        errors: What it said on standard error.
    """

    code: int
    output: str
    errors: str


def command(
    module: str,
    *arguments: str | Path,
    timeout: float = _TIMEOUT,
    variables: Mapping[str, str] | None = None,
) -> Finished:
    """Runs `python -m MODULE ARGUMENTS` to its end, with these variables besides the environment's."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**environment(), **(variables or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def python(code: str) -> str:
    """What a Python of its own prints that runs some code at the root of this project."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    """This process's environment without settings that would change what a command does."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TANDEM_")}


@dataclass(slots=True)
class Running:
    """A command that is still running; its standard error is gathered line by line."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _gatherer: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._gatherer = threading.Thread(target=self._gather, daemon=True)
        self._gatherer.start()

    def _gather(self) -> None:
        """Reads standard error to its end."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Waits until a line holds a text.

        Raises:
            AssertionError: It did not come in time; with what was said.
        """
        deadline = Deadline.after(seconds)
        with self._changed:
            while not any(text in line for line in self.lines):
                assert not deadline.passed, f"{text!r} did not come:\n{''.join(self.lines)}"
                # Not the process: its exit code may be there before its last lines have been read.
                assert self._gatherer.is_alive(), f"ended before {text!r}:\n{''.join(self.lines)}"
                self._changed.wait(min(0.2, deadline.remaining))

    def wait(self, seconds: float = 60) -> int:
        """Waits for the exit code, and until all that was said has been read.

        Raises:
            AssertionError: A child that it left behind still has standard error open.
            subprocess.TimeoutExpired: It has not ended in time.
        """
        code = self.process.wait(seconds)
        self._gatherer.join(seconds)
        assert not self._gatherer.is_alive(), f"standard error is still open:\n{''.join(self.lines)}"
        return code

    def end(self, number: int, seconds: float = 60) -> int:
        """Sends a signal and waits for the exit code."""
        self.process.send_signal(number)
        return self.wait(seconds)


@contextmanager
def running(module: str, *arguments: str | Path) -> Iterator[Running]:
    """Runs `python -m MODULE ARGUMENTS` for as long as the block runs; killed at its end if need be."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = Running(process)
    try:
        yield started
    finally:
        if process.poll() is None:
            process.kill()
        started.wait()
        if process.stderr is not None:
            process.stderr.close()
