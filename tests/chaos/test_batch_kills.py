"""A batch run that is killed and resumed writes what an uninterrupted one writes, to the byte."""

import subprocess
import sys
from pathlib import Path

import pytest

from batch.__main__ import main as batch
from tests.chaos.batch_kills import kill_at_random, write_input
from tests.support.commands import ROOT, environment
from tests.support.tables import write_rows

pytestmark = [pytest.mark.chaos]


def test_killed_at_every_step_and_resumed(tmp_path: Path) -> None:
    """Before, in the middle of, and after each write; before and after each fsync, rename and removal."""
    rows = [{"customer_id": n, "feature": None if n % 4 == 0 else n / 16} for n in range(16)]
    arguments = [str(write_rows(tmp_path, "csv", rows)), "--model", str(ROOT / "models/threshold")]
    arguments += ["--part-rows", "9", "--workers", "1"]
    expected = tmp_path / "expected"
    assert batch(["score", *arguments, "--output", str(expected)]) == 0
    found = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_batch", expected, tmp_path / "out", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    reached = [line.split(": ", 1)[1] for line in found.stdout.splitlines()]
    for step in ("write", "sync", "rename", "sync_folder", "remove"):
        assert f"before {step}" in reached
        assert f"after {step}" in reached
    assert reached.count("in the middle of write") > 8


@pytest.mark.slow
@pytest.mark.parametrize("input_format", ["parquet", "ndjson"])
def test_killed_at_random_and_resumed(tmp_path: Path, input_format: str) -> None:
    """By threads (Parquet) and by processes (events); `python -m tests.chaos.batch_kills` goes on longer."""
    path = write_input(tmp_path, input_format, 400_000)
    kills = kill_at_random(path, tmp_path, kills=4, seed=1)
    assert kills == 4
