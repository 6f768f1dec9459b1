"""Scoring files takes memory for what is in hand, not for what the file holds."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.batch import write_rows
from tests.benchmarks.measure import run_process
from tests.benchmarks.workload import write_model

_SMALL, _LARGE = 200_000, 3_000_000


def write_csv(path: Path, count: int) -> None:
    """The rows of `write_rows` as CSV."""
    rows = path.with_suffix(".parquet")
    write_rows(rows, count)
    source = pq.ParquetFile(rows)
    with arrow_csv.CSVWriter(path, source.schema_arrow) as target:
        for batch in source.iter_batches():
            target.write_batch(batch)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("form", "write"), [("parquet", write_rows), ("csv", write_csv)])
def test_fifteen_times_the_rows_do_not_take_twice_the_memory(
    tmp_path: Path, form: str, write: Callable[[Path, int], None]
) -> None:
    model, peaks = write_model(tmp_path / "model"), []
    for count in (_SMALL, _LARGE):
        source, output = tmp_path / f"{count}.{form}", tmp_path / "out"
        write(source, count)
        options = ["--model", str(model), "--output", str(output)]
        peaks.append(run_process(["-m", "batch", "score", str(source), *options]).peak_mib)
        shutil.rmtree(output)
    assert peaks[1] < 2 * peaks[0], peaks
