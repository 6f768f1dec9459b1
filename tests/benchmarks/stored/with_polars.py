"""polars: one lazy plan on its streaming engine, with a sink for predictions and one for rejected rows."""

from collections.abc import Callable
from typing import Any

import polars as pl

from tests.benchmarks.stored.task import (
    INPUTS,
    INTERCEPT,
    KEY,
    LINEAR,
    NAMES,
    NUMBERS,
    THRESHOLD,
    Category,
    Job,
    Number,
)


def run(job: Job) -> None:
    """Does the job."""
    rows = _rows(job).with_columns(reason=pl.coalesce([_broken(one, job.form) for one in INPUTS]))
    if job.form != "parquet":
        rows = rows.with_columns(_number(one, job.form) for one in NUMBERS)
    position = pl.concat_str(pl.lit(f"{job.source.name}/"), pl.col("row").cast(pl.String))
    rejected = rows.filter(pl.col("reason").is_not_null()).select(position.alias("position"), "reason")
    good = rows.filter(pl.col("reason").is_null())
    if job.model == LINEAR:
        scored = good.with_columns(score=_linear())
    else:
        scored = _boosted(good.select("row", KEY, *_matrix()), job)
    predictions = scored.select(
        position.alias("prediction_id"), KEY, "score", (pl.col("score") > THRESHOLD).alias("churn")
    )
    # One plan with two sinks, which reads the file once.
    sinks: Any = [
        predictions.sink_parquet(job.output("predictions"), lazy=True),
        rejected.sink_parquet(job.output("rejected"), lazy=True),
    ]
    pl.collect_all(sinks, engine="streaming")


def _rows(job: Job) -> pl.LazyFrame:
    """The file's rows; of a format of text, numbers as they stand."""
    if job.form == "parquet":
        return pl.scan_parquet(job.source, row_index_name="row").select("row", *NAMES)
    schema = {name: pl.Int64() if name == KEY else pl.String() for name in NAMES}
    if job.form == "csv":
        return pl.scan_csv(job.source, schema=schema, row_index_name="row")
    return pl.scan_ndjson(job.source, schema=schema, row_index_name="row")


def _number(one: Number, form: str) -> pl.Expr:
    column = pl.col(one.name)
    return column if form == "parquet" else column.cast(pl.Float64, strict=False)


def _broken(one: Number | Category, form: str) -> pl.Expr:
    """The reason for which a row is rejected that breaks this input's rule; else null."""
    column = pl.col(one.name)
    missing = pl.when(column.is_null()).then(pl.lit("missing_field"))
    if isinstance(one, Category):
        return missing.when(~column.is_in(one.values)).then(pl.lit("unknown_category"))
    number = _number(one, form)
    odd = number.is_null()
    if one.whole and form != "parquet":
        odd |= number != number.floor()
    typed = missing.when(odd).then(pl.lit("wrong_type"))
    if form != "parquet" or not one.whole:
        typed = typed.when(~number.is_finite()).then(pl.lit("not_finite"))
    return typed.when(~number.is_between(one.low, one.high)).then(pl.lit("out_of_range"))


def _linear() -> pl.Expr:
    total = pl.lit(INTERCEPT)
    for one in INPUTS:
        column = pl.col(one.name)
        if isinstance(one, Category):
            total += column.replace_strict(one.weights, return_dtype=pl.Float64)
        else:
            total += column * one.weight
    return 1.0 / (1.0 + (-total).exp())


def _matrix() -> list[pl.Expr]:
    columns = []
    for one in INPUTS:
        column = pl.col(one.name)
        if not isinstance(one, Category):
            columns.append(column.cast(pl.Float32))
        elif one.one_hot:
            columns += [(column == v).cast(pl.Float32).alias(f"{one.name}={v}") for v in one.values]
        else:
            places = {value: place for place, value in enumerate(one.values)}
            columns.append(column.replace_strict(places, return_dtype=pl.Float32))
    return columns


def _boosted(rows: pl.LazyFrame, job: Job) -> pl.LazyFrame:
    """The rows with their score; each morsel is scored where polars has a thread for it."""
    from tests.benchmarks.stored.booster import load  # noqa: PLC0415 - the linear model does without

    predict = load(job.booster, threads=1)

    def score(morsel: pl.DataFrame) -> pl.DataFrame:
        scores = predict(morsel.drop("row", KEY).to_numpy(order="c"))
        return morsel.select("row", KEY, pl.Series("score", scores))

    schema = {"row": pl.get_index_type(), KEY: pl.Int64(), "score": pl.Float64()}
    function: Callable[[pl.DataFrame], pl.DataFrame] = score
    return rows.map_batches(function, schema=schema, streamable=True)
