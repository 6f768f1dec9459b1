"""Scoring files takes memory for what is in hand, not for what the file holds."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.measure import run_process
from tests.benchmarks.stored.data import linear_directory, write_csv, write_parquet

_SMALL, _LARGE = 200_000, 3_000_000


@pytest.mark.slow
@pytest.mark.parametrize(("form", "write"), [("parquet", write_parquet), ("csv", write_csv)])
def test_fifteen_times_the_rows_do_not_take_twice_the_memory(
    tmp_path: Path, form: str, write: Callable[[Path, int], None]
) -> None:
    model, peaks = linear_directory(tmp_path / "model"), []
    for count in (_SMALL, _LARGE):
        source, output = tmp_path / f"{count}.{form}", tmp_path / "out"
        write(source, count)
        options = ["--model", str(model), "--output", str(output)]
        peaks.append(run_process(["-m", "batch", "score", str(source), *options]).peak_mib)
        shutil.rmtree(output)
    assert peaks[1] < 2 * peaks[0], peaks
