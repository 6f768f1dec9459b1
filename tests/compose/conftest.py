"""The services of docker-compose.yml, for tests that run in order: up, the tour, and up again."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.compose.project import Project


def docker_runs() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
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
        project.stop()
        project.run("--profile", "tour", "down", "--volumes", "--timeout", "10")


@pytest.fixture(scope="session")
def opened(project: Project) -> str:
    """What the first `docker compose up` shows until the proof is there; the services go on."""
    return project.up("--build")
