"""DuckDB: the rules and the linear model as SQL; the booster scores the batches of its Arrow reader."""

import duckdb
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
    Number,
)

_BATCH = 131_072
_OPTIONS = "(FORMAT parquet, COMPRESSION zstd)"


def run(job: Job) -> None:
    """Does the job."""
    with duckdb.connect() as db:
        db.execute(f"CREATE VIEW rows AS {_rows(job)}")
        db.execute(f"CREATE VIEW checked AS SELECT *, {_reason(job.form)} AS reason FROM rows")  # noqa: S608
        position = f"'{job.source.name}/' || row"
        if job.model == LINEAR:
            answers = f"{position} AS prediction_id, {KEY}, score, score > {THRESHOLD} AS churn"
            scored = f"SELECT row, {KEY}, {_linear(job.form)} AS score FROM checked WHERE reason IS NULL"  # noqa: S608
            _copy(db, f"SELECT {answers} FROM ({scored})", job.output("predictions"))  # noqa: S608
        else:
            _boosted(db, position, job)
        rejected = f"SELECT {position} AS position, reason FROM checked WHERE reason IS NOT NULL"  # noqa: S608
        _copy(db, rejected, job.output("rejected"))


def _copy(db: duckdb.DuckDBPyConnection, query: str, path: str) -> None:
    db.execute(f"COPY ({query}) TO '{path}' {_OPTIONS}")


def _rows(job: Job) -> str:
    """The query for the file's rows; of a format of text, numbers as they stand."""
    names = ", ".join(NAMES)
    if job.form == "parquet":
        return (
            f"SELECT file_row_number AS row, {names} FROM read_parquet('{job.source}', file_row_number=true)"  # noqa: S608
        )
    types = ", ".join(f"{name}: '{'BIGINT' if name == KEY else 'VARCHAR'}'" for name in NAMES)
    reader = "read_csv" if job.form == "csv" else "read_json"
    more = "header=true" if job.form == "csv" else "format='newline_delimited'"
    read = f"{reader}('{job.source}', columns={{{types}}}, {more})"
    return f"SELECT row_number() OVER () - 1 AS row, {names} FROM {read}"  # noqa: S608


def _number(one: Number, form: str) -> str:
    return one.name if form == "parquet" else f"TRY_CAST({one.name} AS DOUBLE)"


def _reason(form: str) -> str:
    """The reason for which a row is rejected: of the first rule that it breaks; else NULL."""
    cases = []
    for one in INPUTS:
        cases.append((f"{one.name} IS NULL", "missing_field"))
        if isinstance(one, Category):
            cases.append((f"{one.name} NOT IN {one.values}", "unknown_category"))
            continue
        number = _number(one, form)
        if form != "parquet":
            odd = f" OR {number} != floor({number})" if one.whole else ""
            cases.append((f"{number} IS NULL{odd}", "wrong_type"))
        if form != "parquet" or not one.whole:
            cases.append((f"NOT isfinite({number})", "not_finite"))
        cases.append((f"{number} NOT BETWEEN {one.low} AND {one.high}", "out_of_range"))
    told = " ".join(f"WHEN {rule} THEN '{reason}'" for rule, reason in cases)
    return f"CASE {told} END"


def _linear(form: str) -> str:
    total = f"{INTERCEPT}::DOUBLE"
    for one in INPUTS:
        if isinstance(one, Category):
            cases = " ".join(f"WHEN '{value}' THEN {weight}" for value, weight in one.weights.items())
            total += f" + (CASE {one.name} {cases} END)::DOUBLE"
        else:
            total += f" + {_number(one, form)} * {one.weight!r}::DOUBLE"
    return f"1 / (1 + exp(-({total})))"


def _matrix(form: str) -> list[str]:
    columns = []
    for one in INPUTS:
        if not isinstance(one, Category):
            columns.append(f"{_number(one, form)}::FLOAT")
        elif one.one_hot:
            columns += [f"({one.name} = '{value}')::FLOAT" for value in one.values]
        else:
            columns.append(f"(list_position({list(one.values)}, {one.name}) - 1)::FLOAT")
    return [f"{column} AS x{place}" for place, column in enumerate(columns)]


def _boosted(db: duckdb.DuckDBPyConnection, position: str, job: Job) -> None:
    import numpy as np  # noqa: PLC0415 - the linear model does without these

    from tests.benchmarks.stored.booster import load  # noqa: PLC0415

    predict = load(job.booster, threads=2)
    columns = f"{position} AS prediction_id, {KEY}, {', '.join(_matrix(job.form))}"
    reader = db.execute(f"SELECT {columns} FROM checked WHERE reason IS NULL").to_arrow_reader(_BATCH)  # noqa: S608
    schema = pa.schema(
        [
            ("prediction_id", pa.string()),
            (KEY, pa.int64()),
            ("score", pa.float64()),
            ("churn", pa.bool_()),
        ]
    )
    with pq.ParquetWriter(job.output("predictions"), schema, compression="zstd", use_dictionary=False) as out:
        for batch in reader or ():
            matrix = np.empty((batch.num_rows, batch.num_columns - 2), np.float32)
            for place, column in enumerate(batch.columns[2:]):
                matrix[:, place] = column
            scores = predict(matrix)
            answers = [*batch.columns[:2], pa.array(scores), pa.array(scores > THRESHOLD)]
            out.write_batch(pa.record_batch(answers, schema=schema))
