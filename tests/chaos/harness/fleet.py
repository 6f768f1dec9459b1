"""The consumers under test: real commands, their processes, and what their logs say."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from shared.deadline import Deadline
from shared.errors import ExitCode
from tests.chaos.harness.topics import PARTITIONS
from tests.support.commands import ROOT, environment

#: What a process says that is told that it lost what it held, or that is fenced.
_REFUSED = ("The batch is undone", "The batch is scored again", "Revoked partitions")
_REFUSED_SECONDS = 10.0


class Member:
    """One command `python -m consumer ...` with the processes that it starts.

    It has a session of its own: a Ctrl-C at the terminal does not reach it, and whatever it starts is known
    by its session.

    Args:
        arguments: What follows `python -m consumer`.
        log: Where its standard error goes.
    """

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "consumer", *arguments],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        self._reading: IO[str] = log.open(encoding="utf-8", errors="replace")
        self._half = ""
        #: What it said, those lines that are JSON.
        self.said: list[dict[str, Any]] = []
        #: The lines that are not.
        self.noise: list[str] = []

    def listen(self) -> list[dict[str, Any]]:
        """Reads what is new in its log; returns that."""
        *lines, self._half = (self._half + self._reading.read()).split("\n")
        new = []
        for line in lines:
            try:
                new.append(dict(json.loads(line)))
            except ValueError:
                self.noise.append(line)
        self.said += new
        return new

    @property
    def workers(self) -> dict[int, int]:
        """The process of each worker that runs, by the worker's number."""
        started = [entry for entry in self.said if entry.get("message") == "Worker started"]
        latest = {int(entry["worker"]): int(entry["pid"]) for entry in started}
        return {number: process for number, process in latest.items() if self.runs(process)}

    def runs(self, process: int) -> bool:
        """Whether it is still a process of this command: its number may be another's by now."""
        with suppress(OSError):
            return os.getsid(process) == self.process.pid
        return False

    def _processes(self) -> list[int]:
        """Whatever runs in its session."""
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [number for number in numbers if self.runs(number)]

    @property
    def partitions(self) -> set[int]:
        """What any of its workers has ever said to be ready for."""
        ready = [entry["partitions"] for entry in self.said if entry.get("message") == "Ready"]
        return {int(number) for numbers in ready for number in numbers}

    def wait(self, deadline: Deadline) -> int | None:
        """The exit code, or None when it did not end in time."""
        try:
            return self.process.wait(deadline.remaining)
        except subprocess.TimeoutExpired:
            return None

    def destroy(self) -> None:
        """Kills whatever is left of it."""
        # A supervisor that is killed first starts no worker any more.
        self.process.kill()
        for process in self._processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()
        self._reading.close()


@dataclass(frozen=True, slots=True)
class Names:
    """What a deployment reads and writes.

    Attributes:
        guarantee: Of the consumers.
        source: The input topic.
        group: The consumer group.
    """

    guarantee: str
    source: str
    group: str

    @property
    def predictions(self) -> str:
        """The output topic."""
        return f"{self.group}-predictions"

    @property
    def letters(self) -> str:
        """The dead-letter topic."""
        return f"{self.group}-dead-letters"


class Deployment:
    """A supervisor with its workers, started again when it ends, and further members now and then.

    Args:
        names: What it reads and writes.
        arguments: Of every member, beyond the names.
        workers: How many workers the supervisor has.
        folder: Where the logs go.
    """

    def __init__(self, names: Names, arguments: Sequence[str], workers: int, folder: Path) -> None:
        self.names = names
        self._arguments = [
            *("--input-topic", names.source, "--output-topic", names.predictions),
            *("--dead-letter-topic", names.letters, "--group", names.group),
            *("--guarantee", names.guarantee, "--log-format", "json"),
            *arguments,
        ]
        self._workers = workers
        self._folder = folder
        #: All that were ever started: supervisors, and members that joined.
        self.members: list[Member] = []
        self._killed = False
        #: Exit codes of supervisors that ended unasked.
        self.ended: list[int] = []
        self.supervisor = self._supervise()

    def _start(self, *arguments: str) -> Member:
        log = self._folder / f"{self.names.guarantee}-{len(self.members) + 1}.log"
        self.members.append(Member([*self._arguments, *arguments], log))
        return self.members[-1]

    def _supervise(self) -> Member:
        return self._start("--workers", str(self._workers), "--instance", self.names.group)

    def listen(self) -> None:
        """Reads the logs, and starts a supervisor again that ended unasked, as a service manager would."""
        self._read_logs()
        code = self.supervisor.process.poll()
        if code is not None and not self._killed:
            self.ended.append(code)
            self.supervisor = self._supervise()

    def _read_logs(self) -> None:
        for member in self.members:
            member.listen()

    @property
    def ready(self) -> bool:
        """Whether each partition has had a reader."""
        return len(self.supervisor.partitions) == PARTITIONS

    def worker(self, number: int) -> int | None:
        """The process of a worker; None while it does not run."""
        return self.supervisor.workers.get(number)

    def owns(self, process: int) -> bool:
        """Whether a process runs that one of its members has started."""
        return any(member.runs(process) for member in self.members)

    def signal_worker(self, number: int, what: int) -> int | None:
        """Sends a signal to a worker; returns its process, or None while it does not run."""
        process = self.worker(number)
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process, what)
        return process

    def kill_supervisor(self) -> None:
        """SIGKILL of the supervisor alone."""
        self._killed = True
        self.supervisor.process.kill()
        self.supervisor.process.wait()

    def revive(self) -> None:
        """Starts a supervisor that was killed."""
        self.supervisor = self._supervise()
        self._killed = False

    def restart_in_turn(self) -> None:
        """Asks for a rolling restart, unless it is only just starting, and knows no signals yet."""
        if self.supervisor.workers:
            self.supervisor.process.send_signal(signal.SIGHUP)

    def join(self, number: int) -> Member:
        """Starts one more member."""
        return self._start("--instance", f"{self.names.group}-extra-{number}")

    @property
    def starts(self) -> int:
        """Worker processes that were started, of supervisors and of members that joined."""
        return sum(
            entry.get("message") == "Worker started" for member in self.members for entry in member.said
        )

    def was_refused(self, worker: int, since: float) -> bool:
        """Whether a worker said soon after a moment that what it held is void, or ended as fenced."""
        return any(
            entry.get("worker") == worker
            and since <= _time_of(entry) <= since + _REFUSED_SECONDS
            and (
                str(entry.get("message")).startswith(_REFUSED)
                or entry.get("exit_code") == ExitCode.FENCED_OR_STALLED
            )
            for member in self.members
            for entry in member.said
        )

    def end(self, seconds: float) -> list[int | None]:
        """SIGTERM to all that still runs; returns the exit codes, None for what did not end in time."""
        running = [member for member in self.members if member.process.poll() is None]
        for member in running:
            member.process.terminate()
        deadline = Deadline.after(seconds)
        codes = [member.wait(deadline) for member in running]
        self._read_logs()
        return codes

    def destroy(self) -> None:
        """Kills whatever is left of it."""
        for member in self.members:
            member.destroy()


def _time_of(entry: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(entry["time"])).timestamp()
