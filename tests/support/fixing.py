"""Rejected files as a person fixes them: read, changed and written in their own format."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.tables import manifest_of

Row = dict[str, Any]
#: Gives a row with its values fixed, or None for one to leave out.
Fix = Callable[[Row], Row | None]


def rejected_files(folder: Path) -> list[Path]:
    """The rejected files that a manifest lists."""
    return [folder / part.file for part in manifest_of(folder).rejected]


def read_rows(path: Path) -> list[Row]:
    """The rows of a rejected file; an empty cell of CSV is an empty text."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".ndjson":
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    return list(_table(path).to_pylist())


def fix(path: Path, target: Path, change: Fix) -> Path:
    """Writes a rejected file with its rows fixed."""
    rows = [row for row in map(change, read_rows(path)) if row is not None]
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            names = next(csv.reader(file))
        with target.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".ndjson":
        target.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        table = pa.Table.from_pylist(rows, schema=_table(path).schema)
        if path.suffix == ".parquet":
            pq.write_table(table, target)
        else:
            with pa.ipc.new_file(target, table.schema) as arrow:
                arrow.write_table(table)
    return target


def _table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.ParquetFile(path).read()
    with pa.ipc.open_file(path) as reader:
        return reader.read_all()
