"""The same rows as files of every format, and what a run made of them."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import zstandard

from batch.manifest import Predictions, read_manifest
from shared.files import read_file

Rows = Sequence[Mapping[str, Any]]
#: The lesson's customers, and what the batch path must say of them.
LESSON: Rows = [
    {"customer_id": 101, "feature": 0.2},
    {"customer_id": 102, "feature": 0.8},
    {"customer_id": 103, "feature": 0.5},
    {"customer_id": 104, "feature": 0.9},
]
LESSON_DECISIONS = [False, True, False, True]


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _csv(rows: Rows) -> bytes:
    def cell(value: Any) -> Any:
        return (
            str(value).lower()
            if isinstance(value, bool)
            else repr(value)
            if isinstance(value, float)
            else value
        )

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _names(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _ndjson(rows: Rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _columns(rows: Rows) -> pa.Table:
    return pa.table({name: [row.get(name) for row in rows] for name in _names(rows)})


def _parquet(rows: Rows) -> bytes:
    content = pa.BufferOutputStream()
    pq.write_table(_columns(rows), content)
    return bytes(content.getvalue())


def _arrow(new: Callable[..., Any]) -> Callable[[Rows], bytes]:
    def encode(rows: Rows) -> bytes:
        content, table = pa.BufferOutputStream(), _columns(rows)
        with new(content, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
        return bytes(content.getvalue())

    return encode


def _packed(encode: Callable[[Rows], bytes], pack: Callable[[bytes], bytes]) -> Callable[[Rows], bytes]:
    return lambda rows: pack(encode(rows))


_arrow_file = _arrow(pa.ipc.new_file)
_PLAIN: dict[str, Callable[[Rows], bytes]] = {"csv": _csv, "ndjson": _ndjson, "jsonl": _ndjson}
#: How a test writes a file of each known suffix; one of shared.files.FORMATS that is missing fails a test.
ENCODERS: dict[str, Callable[[Rows], bytes]] = {
    **_PLAIN,
    **{f"{form}.gz": _packed(encode, gzip.compress) for form, encode in _PLAIN.items()},
    **{f"{form}.zst": _packed(encode, zstandard.compress) for form, encode in _PLAIN.items()},
    "parquet": _parquet,
    "pq": _parquet,
    "arrow": _arrow_file,
    "feather": _arrow_file,
    "ipc": _arrow_file,
    "arrows": _arrow(pa.ipc.new_stream),
}


def write_rows(folder: Path, form: str, rows: Rows, name: str = "rows") -> Path:
    """Writes rows as a file of a format.

    Args:
        folder: Where.
        form: The suffix, without the first dot.
        rows: The rows.
        name: What the file is called before the suffix.

    Returns:
        `folder/name.form`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{form}"
    path.write_bytes(ENCODERS[form](rows))
    return path


def scored(folder: Path) -> list[dict[str, Any]]:
    """The predictions of a batch run, whatever their format; every id as text."""
    return _listed(folder, "parts")


def rejected(folder: Path) -> dict[str, str]:
    """The reasons of a batch run's rejected rows by position."""
    return {row["position"]: row["reason"] for row in _listed(folder, "rejected")}


def manifest_of(folder: Path) -> Predictions:
    """The manifest of a batch run."""
    manifest = read_manifest(folder)
    assert isinstance(manifest, Predictions)
    return manifest


def _listed(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in getattr(manifest_of(folder), kind):
        path = folder / part.file
        if path.suffix == ".csv":
            options = arrow_csv.ParseOptions(newlines_in_values=True)
            rows += arrow_csv.read_csv(path, parse_options=options).to_pylist()
            continue
        for chunk in read_file(path):
            rows += [json.loads(line) for line in chunk.values or ()]
            rows += [] if chunk.batch is None else chunk.batch.to_pylist()
    return [
        {
            name: str(value) if name.endswith("_id") else value
            for name, value in row.items()
            if value is not None
        }
        for row in rows
    ]
