"""Batch: rows/s and peak memory of the real command, beside reading and writing alone."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import run_process
from tests.benchmarks.model import FEATURES
from tests.benchmarks.workload import write_model

_CHUNK = 250_000
# Reads the inputs and writes as many columns as a prediction has, with nothing in between.
_CEILING = """
import sys, pyarrow.parquet as pq
source, target, *columns = sys.argv[1:]
file = pq.ParquetFile(source, pre_buffer=False)
schema = file.schema_arrow.empty_table().select(columns[:4]).schema
with pq.ParquetWriter(target, schema, compression="zstd") as out:
    for batch in file.iter_batches(65536, columns=columns):
        out.write_batch(batch.select(columns[:4]))
"""


def write_rows(path: Path, count: int) -> None:
    """A Parquet file of `count` customers, written in pieces."""
    rng = np.random.default_rng(5)
    writer: pq.ParquetWriter | None = None
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        columns = {"customer_id": np.arange(start, start + size)}
        columns |= {name: np.round(rng.uniform(0, 100, size), 2) for name in FEATURES}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def measure(counts: Sequence[int], rounds: int) -> list[tuple[str, int, float, float]]:
    """(what, rows, rows a second, peak MiB): medians, each in turn."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_model(folder / "model")
        for count in counts:
            write_rows(folder / f"{count}.parquet", count)
        for round_number in range(rounds):
            for count in counts:
                source = folder / f"{count}.parquet"
                output = folder / f"out-{count}-{round_number}"
                options = ["--model", str(model), "--output", str(output)]
                scored = run_process(["-m", "batch", "score", str(source), *options])
                seconds = json.loads((output / "manifest.json").read_text())["run"]["seconds"]
                found.setdefault(("tandem", count), []).append((count / seconds, scored.peak_mib))
                columns = ["customer_id", *FEATURES]
                alone = run_process(["-c", _CEILING, str(source), str(folder / "ceiling.parquet"), *columns])
                found.setdefault(("read and write alone", count), []).append(
                    (count / alone.seconds, alone.peak_mib)
                )
    return [
        (what, count, median(rate for rate, _ in runs), median(peak for _, peak in runs))
        for (what, count), runs in found.items()
    ]


def main(counts: Sequence[int] = (1_000_000, 5_000_000), rounds: int = 3) -> None:
    """Measures and prints."""
    table = Table(title="Batch: Parquet to Parquet, 8 numbers a row, linear model, validation included")
    for column in ("what", "rows", "rows/s", "peak MiB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, count, rate, peak in measure(counts, rounds):
        table.add_row(what, f"{count:,}", f"{rate:,.0f}", f"{peak:,.0f}")
    Console().print(table)
