"""What is scored, in each format, and the two models as directories of Tandem."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from tests.benchmarks.stored.task import (
    DEPTH,
    INPUTS,
    INTERCEPT,
    KEY,
    LINEAR,
    NAMES,
    THRESHOLD,
    TREES,
    Category,
    Number,
)
from tests.support.models import write_model
from tests.support.trained import Training, train_xgboost, xgboost_model

#: One row in so many is bad, in each of these ways in turn.
BAD_EVERY = 1_000
_CHUNK = 250_000


def declared() -> list[dict[str, Any]]:
    """The inputs as model.json declares them."""
    return [{"name": KEY, "type": "integer"}, *map(_declared, INPUTS)]


def _declared(one: Number | Category) -> dict[str, Any]:
    if isinstance(one, Category):
        encoding = {"encoding": "one-hot"} if one.one_hot else {}
        return {"name": one.name, "type": "category", "values": list(one.values), **encoding}
    kind = "integer" if one.whole else "number"
    return {"name": one.name, "type": kind, "minimum": one.low, "maximum": one.high}


def tables(count: int, *, text: bool = False) -> Iterator[pa.Table]:
    """Rows in pieces, the same in every format; one in BAD_EVERY is bad.

    Args:
        count: How many rows.
        text: Whether a column of numbers holds text, some of which is no number, instead of NaN.
    """
    rng = np.random.default_rng(5)
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        columns: dict[str, pa.Array] = {KEY: pa.array(np.arange(start, start + size))}
        for one in INPUTS:
            columns[one.name] = _drawn(one, size, rng)
        bad = np.arange((-start) % BAD_EVERY, size, BAD_EVERY)
        spoilt: list[tuple[str, Any]] = [
            ("monthly_charges", None),
            ("tenure", 5_000),
            ("contract", "Ten years"),
            ("total_charges", "n/a" if text else float("nan")),
        ]
        if text:
            columns["total_charges"] = columns["total_charges"].cast(pa.string())
        for turn, (name, value) in enumerate(spoilt):
            mask = np.zeros(size, np.bool_)
            mask[bad[turn :: len(spoilt)]] = True
            column = columns[name]
            columns[name] = pc.if_else(pa.array(mask), pa.scalar(value, column.type), column)
        yield pa.table(columns)


def _drawn(one: Number | Category, size: int, rng: np.random.Generator) -> pa.Array:
    if isinstance(one, Category):
        return pa.array(one.values).take(pa.array(rng.integers(0, len(one.values), size)))
    # Small whole numbers are usual in such tables; so are amounts with two decimals.
    high = min(one.high, 100)
    values = rng.integers(0, high, size) if one.whole else np.round(rng.uniform(0, high, size), 2)
    return pa.array(values)


def write_parquet(path: Path, count: int) -> None:
    """Rows as Parquet, as pyarrow writes it unless told otherwise."""
    writer: pq.ParquetWriter | None = None
    for table in tables(count):
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def write_csv(path: Path, count: int) -> None:
    """Rows as CSV, quoted only where that is needed."""
    options = arrow_csv.WriteOptions(quoting_style="none")
    with path.open("wb") as file:
        file.write(",".join(NAMES).encode() + b"\n")
        for table in tables(count, text=True):
            options.include_header = False
            arrow_csv.write_csv(table, file, options)


def write_ndjson(path: Path, count: int) -> None:
    """Rows as one JSON object a line; a number is a number there, but for the text that is none."""
    with path.open("w", encoding="utf-8") as file:
        for table in tables(count, text=True):
            for row in table.to_pylist():
                total = row["total_charges"]
                row["total_charges"] = total if total == "n/a" else float(total)
                file.write(json.dumps(row, separators=(",", ":")) + "\n")


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "ndjson": write_ndjson,
}


def linear_directory(directory: Path) -> Path:
    """The linear model."""
    weights = {one.name: one.weights if isinstance(one, Category) else one.weight for one in INPUTS}
    artifact = json.dumps({"link": "logistic", "intercept": INTERCEPT, "weights": weights}).encode()
    declaration = {
        "name": "bench",
        "version": "1",
        "kind": LINEAR,
        "inputs": declared(),
        "threshold": THRESHOLD,
        "outputs": {"decision": "churn"},
        "artifact": {"file": "coefficients.json"},
    }
    return write_model(directory, declaration, artifact, golden=_good_rows(3))


def xgboost_directory(directory: Path, trees: int = TREES) -> Path:
    """The booster, trained here on rows whose label is the linear model's, with some noise."""
    rows = _good_rows(20_000)
    rng = np.random.default_rng(1)
    odds = np.full(len(rows), INTERCEPT)
    for one in INPUTS:
        values = [row[one.name] for row in rows]
        odds += [one.weights[v] if isinstance(one, Category) else one.weight * v for v in values]
    labels = (odds + rng.logistic(size=len(rows)) > 0).astype(np.float64)
    training = Training(declared(), rows, labels)
    booster = train_xgboost(training, rounds=trees, max_depth=DEPTH)
    return xgboost_model(directory, training, booster=booster, threshold=THRESHOLD)


def booster_file(directory: Path) -> Path:
    """XGBoost's own file in a model's directory."""
    return directory / "booster.ubj"


def _good_rows(count: int) -> list[dict[str, Any]]:
    (table,) = tables(min(count + count // 500 + 5, _CHUNK))
    rows = table.to_pylist()
    return [row for number, row in enumerate(rows) if number % BAD_EVERY][:count]


def matrix_of(path: Path) -> np.ndarray[Any, Any]:
    """A Parquet file's rows as the booster takes them, the bad ones with NaN."""
    table = pq.read_table(path, columns=list(NAMES[1:]))
    columns: list[Any] = []
    for one in INPUTS:
        column = table[one.name].combine_chunks()
        if isinstance(one, Category):
            codes = pc.index_in(column, pa.array(one.values)).fill_null(0).to_numpy()
            columns += [codes == place for place in range(len(one.values))] if one.one_hot else [codes]
        else:
            columns.append(column.to_numpy(zero_copy_only=False))
    matrix = np.empty((table.num_rows, len(columns)), np.float32)
    for place, column in enumerate(columns):
        matrix[:, place] = column
    return matrix
