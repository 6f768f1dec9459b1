"""The services of docker-compose.yml, as a user runs and watches them."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.support.broker import IMAGE, free_port, unique

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 5_000
_SECONDS = 600
_STATE_SECONDS = 60
_ENDED = "proof-1 exited with code"


class Project:
    """The services under a name, ports and a size of their own."""

    def __init__(self) -> None:
        self._name = unique("tandem-smoke")
        self.page = f"http://localhost:{(page_port := free_port())}/"
        self._environment = {
            **os.environ,
            "TANDEM_KAFKA_PORT": str(free_port()),
            "TANDEM_PAGE_PORT": str(page_port),
            "TANDEM_EVENTS": str(EVENTS),
        }
        self._files = ["-f", "docker-compose.yml"]
        if not accepts_formatted_storage():
            self._files += ["-f", "tests/compose/formatted-storage.yml"]
        self._up: subprocess.Popen[str] | None = None
        self._rest = threading.Thread()

    def _command(self, *arguments: str) -> list[str]:
        return ["docker", "compose", "--ansi", "never", "-p", self._name, *self._files, *arguments]

    def run(self, *arguments: str) -> str:
        """Runs a compose command to its end and returns what it printed."""
        done = subprocess.run(
            self._command(*arguments),
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def up(self, *arguments: str, **variables: str) -> str:
        """`docker compose up` in the foreground; returns what was shown until `proof` ended. It goes on."""
        self.stop()
        self._up = subprocess.Popen(
            self._command("up", *arguments),
            cwd=ROOT,
            env={**self._environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watchdog = threading.Timer(_SECONDS, self._up.kill)
        watchdog.start()
        shown: list[str] = []
        assert self._up.stdout is not None
        for line in self._up.stdout:
            shown.append(line)
            if _ENDED in line:
                break
        watchdog.cancel()
        # A full pipe would hold up what is shown, and with it the services' logs.
        self._rest = threading.Thread(target=self._up.stdout.read, daemon=True)
        self._rest.start()
        return "".join(shown)

    def stop(self) -> None:
        """Ends `up` as Ctrl-C does: the services are stopped, each in its own time."""
        if self._up is not None:
            # Waits for it, and closes the pipe.
            with self._up:
                self._up.terminate()
                # Not started where `up` was interrupted.
                if self._rest.ident is not None:
                    self._rest.join(_SECONDS)
            self._up = None

    def get(self, path: str) -> bytes:
        """What the page's port answers."""
        with urlopen(self.page + path, timeout=5) as answer:  # noqa: S310 - an address of this machine
            content: bytes = answer.read()
        return content

    def state(self) -> dict[str, Any]:
        """What the live page shows."""
        state: dict[str, Any] = json.loads(self.get("page/state"))
        return state

    def until(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """What the live page shows once something holds."""
        end, last = time.monotonic() + _STATE_SECONDS, None
        while time.monotonic() < end:
            try:
                last = self.state()
                if holds(last):
                    return last
            except (OSError, HTTPException) as error:  # no consumer is there, or it went while it answered
                last = {"error": repr(error)}
            time.sleep(0.2)
        pytest.fail(f"not so within {_STATE_SECONDS} s; the page shows at last: {last}")


def accepts_formatted_storage() -> bool:
    """Whether the Kafka image starts again on an earlier container's data (see formatted-storage.yml)."""
    look = ["docker", "run", "--rm", "--entrypoint", "test", IMAGE, "-e", "/etc/kafka/docker/launch"]
    return subprocess.run(look, capture_output=True, check=False).returncode == 0


def number_in_table(shown: str, row: str) -> int:
    """The number that a row of the last table gives."""
    found = re.findall(rf"{re.escape(row)}\D*?([\d,]+)\b", shown)
    assert found, shown[-6000:]
    return int(found[-1].replace(",", ""))
