"""What cannot be beaten: the inputs read and predictions written with nothing between; the booster alone."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from tests.benchmarks.stored.task import KEY, NAMES, THRESHOLD, Job

_BATCH = 65_536
_ROWS = 131_072


def read_and_write(job: Job) -> None:
    """Reads every input with pyarrow, a batch ahead, and writes as many predictions as there are rows.

    Parquet or CSV: pyarrow reads no lines of JSON in which a number is a text for once.
    """
    made = _predictions(job.source.name)
    target = partial(pq.ParquetWriter, compression="zstd", use_dictionary=False)
    batches, waiting = iter(_read(job)), 0
    with (
        ThreadPoolExecutor(1) as reader,
        target(job.output("predictions"), made.schema) as out,
    ):
        following = reader.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = reader.submit(next, batches, None)
            waiting += batch.num_rows
            while waiting >= made.num_rows:
                out.write_table(made)
                waiting -= made.num_rows
        out.write_table(made.slice(0, waiting))


def _read(job: Job) -> Any:
    if job.form == "parquet":
        return pq.ParquetFile(job.source, pre_buffer=False).iter_batches(_BATCH, columns=list(NAMES))
    return arrow_csv.open_csv(job.source)


def _predictions(name: str) -> pa.Table:
    """Predictions of a row group, made once, so that only their writing counts."""
    numbers = np.arange(_ROWS)
    scores = np.random.default_rng(3).random(_ROWS)
    return pa.table(
        {
            "prediction_id": [f"{name}/{4_000_000 + number}" for number in numbers.tolist()],
            KEY: numbers,
            "score": scores,
            "churn": scores > THRESHOLD,
        }
    )


def booster_alone(job: Job) -> None:
    """Scores a ready matrix on two threads, whole batches each, and prints the seconds of that alone."""
    from tests.benchmarks.stored.booster import load  # noqa: PLC0415 - the other ceiling does without these
    from tests.benchmarks.stored.data import matrix_of  # noqa: PLC0415

    matrix = matrix_of(job.source)
    pieces = [matrix[start : start + _BATCH] for start in range(0, len(matrix), _BATCH)]
    predictors = threading.local()

    def score(piece: Any) -> None:
        if not hasattr(predictors, "own"):
            predictors.own = load(job.booster, threads=1)
        predictors.own(piece)

    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(score, pieces))
    print(json.dumps({"seconds": time.monotonic() - began}))
