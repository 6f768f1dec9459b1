"""`docker compose up`, as a user runs it: the image is built and both paths agree."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import IMAGE, free_port, unique

pytestmark = pytest.mark.compose

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 600
_EVENTS = 5_000


class Project:
    """The services of docker-compose.yml under a name, a port and a size of their own."""

    def __init__(self) -> None:
        self._name = unique("tandem-smoke")
        self._environment = {
            **os.environ,
            "TANDEM_KAFKA_PORT": str(free_port()),
            "TANDEM_EVENTS": str(_EVENTS),
        }
        self._files = ["-f", "docker-compose.yml"]
        if not accepts_formatted_storage():
            self._files += ["-f", "tests/compose/formatted-storage.yml"]

    def _command(self, *arguments: str) -> list[str]:
        return ["docker", "compose", "--ansi", "never", "-p", self._name, *self._files, *arguments]

    def run(self, *arguments: str) -> str:
        """Runs a compose command to its end and returns what it printed."""
        done = subprocess.run(
            self._command(*arguments),
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def up(self, *arguments: str) -> str:
        """`docker compose up` in the foreground until the service `proof` ends; returns what was shown."""
        shown: list[str] = []
        with subprocess.Popen(
            self._command("up", *arguments),
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            watchdog = threading.Timer(_SECONDS, process.kill)
            watchdog.start()
            assert process.stdout is not None
            for line in process.stdout:
                shown.append(line)
                if "proof-1 exited with code" in line:
                    break
            # As Ctrl-C does: the services are stopped, each in its own time.
            process.terminate()
            process.communicate()
            watchdog.cancel()
        return "".join(shown)


def accepts_formatted_storage() -> bool:
    """Whether the Kafka image starts again on an earlier container's data (see formatted-storage.yml)."""
    look = ["docker", "run", "--rm", "--entrypoint", "test", IMAGE, "-e", "/etc/kafka/docker/launch"]
    return subprocess.run(look, capture_output=True, check=False).returncode == 0


def docker_runs() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """Services that are removed with their data at the end."""
    if shutil.which("docker") is None or not docker_runs():
        if os.environ.get("CI") == "true":
            pytest.fail("The compose test must run under CI: start Docker.")
        pytest.skip("no Docker; start it to run the compose test")
    project = Project()
    try:
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "10")


def number_in_table(shown: str, row: str) -> int:
    """The number that a row of the last table gives."""
    found = re.findall(rf"{re.escape(row)}\D*?([\d,]+)\b", shown)
    assert found, shown[-6000:]
    return int(found[-1].replace(",", ""))


def test_up_ends_with_the_table_and_both_paths_agree(project: Project) -> None:
    shown = project.up("--build")
    assert "proof-1 exited with code 0" in shown, shown[-6000:]
    assert "[False, True, False, True]" in shown
    assert "(105, 0.7) -> True" in shown
    events, scored, rejected = (
        number_in_table(shown, row)
        for row in ("events on the topic", "scored by the stream", "rejected by the stream")
    )
    assert events == scored + rejected > _EVENTS
    assert rejected > 0
    assert number_in_table(shown, "identical to the bit") == scored
    assert "✓ Identical and conserved" in shown


def test_the_report_can_be_had_when_all_is_done(project: Project, tmp_path: Path) -> None:
    project.run("cp", "proof:/report/report.html", str(tmp_path))
    assert "Identical and conserved" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_data_survives_down_and_three_consumers_share_the_work(project: Project) -> None:
    project.run("down", "--timeout", "30")
    shown = project.up("--scale", "consumer=3")
    assert "proof-1 exited with code 0" in shown, shown[-6000:]
    assert number_in_table(shown, "events on the topic") > 2 * _EVENTS
