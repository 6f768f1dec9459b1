"""pandas: the file in chunks; of Parquet, a process for each core takes its share of the row groups."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.stored.task import (
    INPUTS,
    INTERCEPT,
    KEY,
    LINEAR,
    NAMES,
    THRESHOLD,
    Category,
    Job,
)

_CHUNK = 131_072
_PREDICTIONS = pa.schema(
    [("prediction_id", pa.string()), (KEY, pa.int64()), ("score", pa.float64()), ("churn", pa.bool_())]
)
_REJECTED = pa.schema([("position", pa.string()), ("reason", pa.string())])

Model = Callable[[pd.DataFrame], Any]
#: The number of a chunk's first row, its rows, and where a value is missing, as pandas has NaN for that, too.
Chunks = Iterator[tuple[int, pd.DataFrame, pd.DataFrame]]


def run(job: Job) -> None:
    """Does the job; the outputs are folders with a file for each process."""
    for name in ("predictions", "rejected"):
        Path(job.output(name)).mkdir()
    if job.form != "parquet":
        _work(job, 0, _text_chunks(job))
        return
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(_share, [job] * cores, range(cores), [cores] * cores))


def _share(job: Job, number: int, of: int) -> None:
    """One process's work: as many row groups as the others have, one after the other."""
    groups = pq.ParquetFile(job.source).num_row_groups
    first, last = number * groups // of, (number + 1) * groups // of
    _work(job, number, _parquet_chunks(job.source, first, last))


def _parquet_chunks(path: Path, first: int, last: int) -> Chunks:
    file = pq.ParquetFile(path, pre_buffer=False)
    row = sum(file.metadata.row_group(group).num_rows for group in range(first))
    for batch in file.iter_batches(_CHUNK, row_groups=range(first, last), columns=list(NAMES)):
        nulls = {name: batch[name].is_null().to_numpy(zero_copy_only=False) for name in NAMES}
        yield row, batch.to_pandas(), pd.DataFrame(nulls)
        row += batch.num_rows


def _text_chunks(job: Job) -> Chunks:
    """Chunks of a CSV or NDJSON file, with numbers as they stand where one of them is no number."""
    if job.form == "csv":
        chunks = pd.read_csv(job.source, chunksize=_CHUNK, keep_default_na=False, na_values=[""])
    else:
        chunks = pd.read_json(job.source, lines=True, chunksize=_CHUNK, dtype=False, convert_dates=False)
    row = 0
    for chunk in chunks:
        yield row, chunk.reset_index(drop=True), chunk.isna().reset_index(drop=True)
        row += len(chunk)


def _work(job: Job, number: int, chunks: Chunks) -> None:
    model = _linear if job.model == LINEAR else _booster(job)
    prefix = f"{job.source.name}/"
    with (
        _writer(job, "predictions", number, _PREDICTIONS) as predictions,
        _writer(job, "rejected", number, _REJECTED) as rejected,
    ):
        for start, chunk, missing in chunks:
            ids = prefix + pd.Series(np.arange(start, start + len(chunk))).astype("str")
            numbers, reason = _checked(chunk, missing)
            good = reason.isna()
            scores = np.asarray(model(numbers[good]))
            answers = [ids[good], chunk.loc[good, KEY], scores, scores > THRESHOLD]
            _write(predictions, _PREDICTIONS, answers)
            _write(rejected, _REJECTED, [ids[~good], reason[~good]])


def _writer(job: Job, name: str, number: int, schema: pa.Schema) -> pq.ParquetWriter:
    path = Path(job.output(name)) / f"{number}.parquet"
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False)


def _write(out: pq.ParquetWriter, schema: pa.Schema, columns: list[Any]) -> None:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    out.write_batch(pa.record_batch(arrays, schema=schema))


def _checked(chunk: pd.DataFrame, missing: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """The chunk with every number as one, and the reason of each row that is rejected; NA of the others."""
    rules: list[Any] = []
    reasons: list[str] = []
    typed: dict[str, Any] = {}
    for one in INPUTS:
        column = chunk[one.name]
        if isinstance(one, Category):
            rules += [missing[one.name], ~column.isin(one.values)]
            reasons += ["missing_field", "unknown_category"]
            typed[one.name] = column
            continue
        values = pd.to_numeric(column, errors="coerce")
        typed[one.name] = values
        odd = values.isna() & column.notna()
        rules += [
            missing[one.name],
            odd | (values % 1 != 0) if one.whole else odd,
            ~np.isfinite(values),
            ~values.between(one.low, one.high),
        ]
        reasons += ["missing_field", "wrong_type", "not_finite", "out_of_range"]
    found = np.select(rules, reasons, default="")
    reason = pd.Series(found, index=chunk.index, dtype="str")
    return pd.DataFrame(typed, index=chunk.index), reason.mask(reason == "")


def _linear(rows: pd.DataFrame) -> Any:
    total = np.full(len(rows), INTERCEPT)
    for one in INPUTS:
        column = rows[one.name]
        if isinstance(one, Category):
            total += column.map(one.weights).to_numpy(np.float64)
        else:
            total += column.to_numpy(np.float64) * one.weight
    return 1.0 / (1.0 + np.exp(-total))


def _booster(job: Job) -> Model:
    from tests.benchmarks.stored.booster import load  # noqa: PLC0415 - the linear model does without

    predict = load(job.booster, threads=1)

    def score(rows: pd.DataFrame) -> Any:
        columns: list[Any] = []
        for one in INPUTS:
            column = rows[one.name]
            if not isinstance(one, Category):
                columns.append(column)
            elif one.one_hot:
                columns += [column == value for value in one.values]  # noqa: PD011 - a category's
            else:
                columns.append(pd.Categorical(column, categories=one.values).codes)
        matrix = np.empty((len(rows), len(columns)), np.float32)
        for place, values in enumerate(columns):
            matrix[:, place] = values
        return predict(matrix)

    return score
