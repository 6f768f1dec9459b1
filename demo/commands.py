"""Tandem's own commands, run as a user would run them; each command line is shown before it runs."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from shared.deadline import Deadline
from shared.errors import ExitCode, StalledError, TandemError
from shared.kafka.connection import KafkaSettings
from shared.settings import ENVIRONMENT_PREFIX

ROOT = Path(__file__).resolve().parent.parent

_READY = re.compile(r"\bready\b", re.IGNORECASE)
_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_TAIL_LINES = 20
_POLL_SECONDS = 0.2


class CommandFailedError(TandemError):
    """One of the demo's commands did not end as it should."""


class Commands:
    """Runs `python -m ...` against one broker.

    Args:
        kafka: Where the broker is and how to reach it, handed down as variables. No other TANDEM_ variable
            is: the demo's commands are those that it shows, whatever is set for commands of one's own.
        folder: Where the logs of background commands go.
        console: Where the command lines are shown.
    """

    def __init__(self, kafka: KafkaSettings, folder: Path, console: Console) -> None:
        self._folder = folder
        self._console = console
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)},
            "TANDEM_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "TANDEM_BROKER_TIMEOUT": str(kafka.broker_timeout),
            "TANDEM_KAFKA_OPTION": json.dumps(kafka.kafka_option),
            "TANDEM_LOG_FORMAT": "human",
            "PYTHONUNBUFFERED": "1",
        }
        self._show(f"export TANDEM_BOOTSTRAP_SERVERS={kafka.bootstrap_servers}")

    def run(self, *arguments: str | Path) -> None:
        """Runs a command to its end and shows what it prints.

        Raises:
            CommandFailedError: It ended with another status than 0.
        """
        status, said = self._run(arguments, subprocess.STDOUT)
        for text in said.splitlines():
            self._console.print(f"  {text}", style="dim", markup=False, highlight=False, soft_wrap=True)
        if status:
            raise CommandFailedError(f"{self._line(arguments)} ended with status {status}.")

    def answer(self, *arguments: str | Path) -> Any:
        """Runs a command that answers in JSON, yes (status 0) or no (status 1).

        Raises:
            CommandFailedError: It ended with another status.
        """
        status, said = self._run(arguments, None)
        if status not in (ExitCode.DONE, ExitCode.ANSWER_IS_NO) or not said:
            raise CommandFailedError(f"{self._line(arguments)} ended with status {status}.")
        return json.loads(said)

    def _run(self, arguments: tuple[str | Path, ...], errors: int | None) -> tuple[int, str]:
        self._show(self._line(arguments))
        done = subprocess.run(  # noqa: S603 - this project's own commands
            self._argv(arguments),
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    @contextmanager
    def running(self, name: str, *arguments: str | Path) -> Iterator[None]:
        """Runs a command in the background until the block ends, then stops it with SIGTERM.

        Args:
            name: Names its log file.
            arguments: The command, which logs a line with the word `ready` when it is.

        Raises:
            CommandFailedError: It ended early, or not with status 0; with the last lines of its log.
        """
        line, log = self._line(arguments), self._folder / f"{name}.log"
        self._show(f"{line} &")
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - this project's own commands
                self._argv(arguments), cwd=ROOT, env=self._environment, stdout=output, stderr=output
            )
        status: int | None = None
        try:
            wait_until(
                lambda: process.poll() is not None or _READY.search(log.read_text(errors="replace")),
                Deadline.after(_READY_SECONDS),
                f"{line} to be ready",
            )
            status = process.poll()
            if status is None:
                yield
        finally:
            ended = _stop(process)
        if status is not None or ended:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            raise CommandFailedError(f"{line} ended with status {ended}:\n{tail}")

    def _show(self, line: str) -> None:
        self._console.print(f"$ {line}", style="bold", markup=False, highlight=False, soft_wrap=True)

    def _line(self, arguments: tuple[str | Path, ...]) -> str:
        return shlex.join(["python", "-m", *map(str, arguments)])

    def _argv(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return [sys.executable, "-m", *map(str, arguments)]


def wait_until(done: Callable[[], object], deadline: Deadline, what: str) -> None:
    """Asks again and again until the answer is true.

    Args:
        done: The question.
        deadline: When to give up.
        what: What is waited for, to finish the sentence "Waited too long for ...".

    Raises:
        StalledError: The deadline has passed.
    """
    while not done():
        if deadline.passed:
            raise StalledError(f"Waited too long for {what}.")
        time.sleep(_POLL_SECONDS)


def _stop(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    try:
        return process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
