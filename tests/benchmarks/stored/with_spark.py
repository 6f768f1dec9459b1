"""PySpark, local with two cores: the rules and the linear model as columns; the booster in mapInArrow."""

import os
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from tests.benchmarks.stored.task import (
    INPUTS,
    INTERCEPT,
    KEY,
    LINEAR,
    NAMES,
    THRESHOLD,
    Category,
    Job,
    Number,
)


def run(job: Job) -> None:
    """Does the job, of a Parquet file: Spark numbers the rows of no other format."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - optional
    from pyspark.sql import functions as f  # noqa: PLC0415

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").appName("bench")
    options = {
        "spark.driver.memory": "2g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    }
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    rows = session.read.parquet(str(job.source)).select(f.col("_metadata.row_index").alias("row"), *NAMES)
    checked = rows.withColumn("reason", f.coalesce(*(_broken(f, one) for one in INPUTS)))
    position = f.concat(f.lit(f"{job.source.name}/"), f.col("row"))
    good = checked.where("reason IS NULL")
    if job.model == LINEAR:
        scored = good.withColumn("score", _linear(f))
    else:
        columns = [column.alias(f"x{place}") for place, column in enumerate(_matrix(f))]
        matrix = good.select("row", KEY, *columns)
        scored = matrix.mapInArrow(_boosted(job.booster), f"row long, {KEY} long, score double")
    churn = (f.col("score") > THRESHOLD).alias("churn")
    predictions = scored.select(position.alias("prediction_id"), KEY, "score", churn)
    predictions.write.parquet(job.output("predictions"))
    rejected = checked.where("reason IS NOT NULL").select(position.alias("position"), "reason")
    rejected.write.parquet(job.output("rejected"))
    session.stop()


def _broken(f: Any, one: Number | Category) -> Any:
    """The reason for which a row is rejected that breaks this input's rule; else null."""
    column = f.col(one.name)
    missing = f.when(column.isNull(), "missing_field")
    if isinstance(one, Category):
        return missing.when(~column.isin(*one.values), "unknown_category")
    if not one.whole:
        infinite = column.isin(float("inf"), float("-inf"))
        missing = missing.when(f.isnan(column) | infinite, "not_finite")
    return missing.when(~column.between(one.low, one.high), "out_of_range")


def _linear(f: Any) -> Any:
    total = f.lit(INTERCEPT)
    for one in INPUTS:
        column = f.col(one.name)
        if isinstance(one, Category):
            cases = [(column == value, weight) for value, weight in one.weights.items()]
            total += reduce(lambda found, case: found.when(*case), cases, f)
        else:
            total += column * one.weight
    return 1.0 / (1.0 + f.exp(-total))


def _matrix(f: Any) -> list[Any]:
    columns = []
    for one in INPUTS:
        column = f.col(one.name)
        if not isinstance(one, Category):
            columns.append(column.cast("float"))
        elif one.one_hot:
            columns += [(column == value).cast("float") for value in one.values]
        else:
            places = f.array_position(f.array(*map(f.lit, one.values)), column) - 1
            columns.append(places.cast("float"))
    return columns


def _boosted(path: Path) -> Any:
    def score(batches: Iterator[Any]) -> Iterator[Any]:
        import numpy as np  # noqa: PLC0415 - in a worker of Spark
        import pyarrow as pa  # noqa: PLC0415

        from tests.benchmarks.stored.booster import load  # noqa: PLC0415

        predict = load(path, threads=1)
        for batch in batches:
            matrix = np.empty((batch.num_rows, batch.num_columns - 2), np.float32)
            for place, column in enumerate(batch.columns[2:]):
                matrix[:, place] = column
            answers = [*batch.columns[:2], pa.array(predict(matrix))]
            yield pa.record_batch(answers, names=["row", KEY, "score"])

    return score
