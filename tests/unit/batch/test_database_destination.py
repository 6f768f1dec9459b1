"""Predictions delivered to a SQLite database: whole or not at all, and twice is like once."""

import json
import shutil
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.destinations import Delivered, Target, destination_of
from batch.destinations.base import run_digest
from batch.destinations.sql import Kind, loadable, type_in
from batch.manifest import Predictions, read_manifest
from batch.sources import REJECTED_SCHEMA
from shared.errors import ConfigurationError, ExitCode, InputError
from shared.predict import Predictor
from shared.predictions import prediction_schema
from tests.support.models import linear_model, threshold_model
from tests.support.sqlite import address, rows_in, run

LESSON = [(101, 0.2), (102, 0.8), (103, 0.5), (104, 0.9)]
ROWS = [*LESSON, (105, None)]
COLUMNS = (
    "prediction_id text primary key, customer_id, event_id, score real, churn, threshold, model, model_sha256"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


def scored(model: Path, folder: Path, rows: list[Any] | None = None, *options: str) -> Predictions:
    """Scores rows of a file `in.parquet` into a folder."""
    customers, features = zip(*(ROWS if rows is None else rows), strict=True)
    table = pa.table({"customer_id": customers, "feature": pa.array(features, pa.float64())})
    folder.with_suffix(".in").mkdir()
    pq.write_table(table, source := folder.with_suffix(".in") / "in.parquet")
    assert main(["score", str(source), "--model", str(model), "--output", str(folder), *options]) == 0
    manifest = read_manifest(folder)
    assert isinstance(manifest, Predictions)
    return manifest


def deliver(database: Path, folder: Path, table: str = "predictions") -> Delivered:
    manifest = read_manifest(folder)
    destination = destination_of(Target(address(database), table))
    assert destination is not None
    assert isinstance(manifest, Predictions)
    return destination.deliver(folder, manifest)


def test_predictions_rejections_and_the_run_become_rows(tmp_path: Path, model: Path, database: Path) -> None:
    manifest = scored(model, folder := tmp_path / "scored")
    delivered = deliver(database, folder)
    assert (delivered.predictions, delivered.rejected, delivered.replaced) == (4, 1, 0)
    found = rows_in(database, "select prediction_id, customer_id, score, churn from predictions order by 1")
    assert found == [
        (f"in.parquet/{row}", customer, feature, feature > 0.6)
        for row, (customer, feature) in enumerate(LESSON)
    ]
    assert rows_in(database, "select position, reason, field, customer_id from predictions_rejected") == [
        ("in.parquet/4", "missing_field", "feature", "105")
    ]
    ((run_id, told, rows),) = rows_in(database, "select run, manifest, predictions from predictions_runs")
    assert (run_id, json.loads(told), rows) == (
        run_digest(manifest),
        json.loads((folder / "manifest.json").read_text()),
        4,
    )


def test_delivering_twice_leaves_what_delivering_once_leaves(
    tmp_path: Path, model: Path, database: Path
) -> None:
    scored(model, tmp_path / "one")
    deliver(database, tmp_path / "one")
    everything = (
        "select * from predictions order by 1",
        "select * from predictions_rejected order by 1",
        "select run from predictions_runs",
    )
    before = [rows_in(database, sql) for sql in everything]
    deliver(database, tmp_path / "one")
    # The same run made again is the same run, too: only its clock is another.
    (tmp_path / "one").rename(tmp_path / "first")
    (tmp_path / "one.in").rename(tmp_path / "first.in")
    scored(model, tmp_path / "one")
    deliver(database, tmp_path / "one")
    assert [rows_in(database, sql) for sql in everything] == before


def test_predictions_of_another_model_give_way_and_are_counted(
    tmp_path: Path, model: Path, database: Path
) -> None:
    scored(model, tmp_path / "old")
    deliver(database, tmp_path / "old")
    other = threshold_model(tmp_path / "other", version="2", threshold=0.85)
    scored(other, tmp_path / "new")
    assert deliver(database, tmp_path / "new").replaced == 4
    found = rows_in(database, "select distinct model, threshold from predictions")
    assert found == [("threshold@2", 0.85)]
    assert len(rows_in(database, "select run from predictions_runs")) == 2


def test_a_row_is_either_scored_or_rejected(tmp_path: Path, model: Path, database: Path) -> None:
    scored(model, tmp_path / "old")
    deliver(database, tmp_path / "old")
    scored(model, tmp_path / "new", [*ROWS[:3], (104, None), (105, 0.7)])
    deliver(database, tmp_path / "new")
    ids = rows_in(database, "select prediction_id from predictions order by 1")
    assert ids == [("in.parquet/0",), ("in.parquet/1",), ("in.parquet/2",), ("in.parquet/4",)]
    assert rows_in(database, "select position from predictions_rejected") == [("in.parquet/3",)]


def test_a_delivery_that_fails_leaves_nothing(tmp_path: Path, model: Path, database: Path) -> None:
    scored(model, tmp_path / "scored", None, "--part-rows", "2")
    damaged = tmp_path / "scored" / "part-00000-0001.parquet"
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    with pytest.raises(InputError, match="a part cannot be read") as failed:
        deliver(database, tmp_path / "scored")
    assert failed.value.hint is not None
    assert "Nothing was delivered" in failed.value.hint
    assert rows_in(database, "select name from sqlite_master") == []


def test_a_folder_that_holds_fewer_predictions_than_it_says_is_not_delivered(
    tmp_path: Path, model: Path, database: Path
) -> None:
    manifest = scored(model, folder := tmp_path / "scored")
    (part,) = manifest.parts
    pq.write_table(pq.read_table(folder / part.file).slice(1), folder / part.file)
    destination = destination_of(Target(address(database), "predictions"))
    assert destination is not None
    with pytest.raises(InputError, match="the parts hold 3 predictions"):
        destination.deliver(folder, manifest)


def test_a_folder_in_which_two_predictions_have_one_id_is_not_delivered(
    tmp_path: Path, model: Path, database: Path
) -> None:
    manifest = scored(model, folder := tmp_path / "scored")
    (part,) = manifest.parts
    rows = pq.read_table(folder / part.file)
    pq.write_table(pa.concat_tables([rows.slice(0, 3), rows.slice(0, 1)]), folder / part.file)
    destination = destination_of(Target(address(database), "predictions"))
    assert destination is not None
    with pytest.raises(InputError, match="1 predictions have the prediction_id of another one"):
        destination.deliver(folder, manifest)
    assert rows_in(database, "select name from sqlite_master") == []


def check(database: Path, model: Path, table: str = "predictions") -> None:
    destination = destination_of(Target(address(database), table))
    assert destination is not None
    destination.check(prediction_schema(Predictor.load(model).model), REJECTED_SCHEMA)


def test_a_look_at_the_destination_changes_nothing(model: Path, database: Path) -> None:
    check(database, model)
    assert not database.exists()
    run(database, "create table other (a)")
    check(database, model)
    assert rows_in(database, "select name from sqlite_master") == [("other",)]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (COLUMNS.replace(", churn", ""), "has no column churn"),
        (COLUMNS.replace(" primary key", ""), "does not match any PRIMARY KEY"),
        (f"{COLUMNS}, batch text not null", "has a column batch, which must have a value"),
    ],
)
def test_a_table_that_cannot_take_the_predictions_is_refused(
    model: Path, database: Path, columns: str, said: str
) -> None:
    run(database, f"create table predictions ({columns})")
    with pytest.raises(InputError, match=said) as refused:
        check(database, model)
    assert refused.value.hint


def test_columns_of_ones_own_take_their_defaults(tmp_path: Path, model: Path, database: Path) -> None:
    run(database, f"create table predictions ({COLUMNS}, source text default 'tandem', note text)")
    scored(model, tmp_path / "scored")
    deliver(database, tmp_path / "scored")
    assert rows_in(database, "select distinct source, note from predictions") == [("tandem", None)]


def test_a_locked_or_protected_database_is_said(tmp_path: Path, model: Path, database: Path) -> None:
    scored(model, tmp_path / "scored")
    with pytest.raises(InputError, match="there is no such folder"):
        deliver(tmp_path / "nowhere" / "results.db", tmp_path / "scored")
    database.write_text("this is no database\n" * 1_000)
    with pytest.raises(InputError, match="file is not a database"):
        deliver(database, tmp_path / "scored")


def test_names_of_tables_and_columns_may_be_any(tmp_path: Path, database: Path) -> None:
    model = threshold_model(tmp_path / "model", outputs={"decision": "select"})
    scored(model, tmp_path / "scored")
    deliver(database, tmp_path / "scored", 'order "by"; drop')
    assert rows_in(database, 'select count("select") from "order ""by""; drop"') == [(4,)]


def test_contributions_are_json(tmp_path: Path, database: Path) -> None:
    model = linear_model(
        tmp_path / "model",
        inputs=[{"name": "feature", "type": "number"}],
        weights={"feature": 2.0},
        golden=[{"customer_id": 1, "feature": 1.0}],
    )
    scored(model, tmp_path / "scored", [(1, 0.25)], "--explain", "1")
    deliver(database, tmp_path / "scored")
    ((base, told),) = rows_in(database, "select base, contributions from predictions")
    assert (base, json.loads(told)) == (-0.38, [{"input": "feature", "contribution": 0.5}])


def test_a_run_in_which_no_row_was_scored_makes_the_tables_too(
    tmp_path: Path, model: Path, database: Path
) -> None:
    scored(model, tmp_path / "scored", [(1, None)])
    delivered = deliver(database, tmp_path / "scored")
    assert (delivered.predictions, delivered.rejected) == (0, 1)
    types = dict(rows_in(database, "select name, type from pragma_table_info('predictions')"))
    found = [types[name].lower() for name in ("score", "churn", "prediction_id")]
    assert found == ["real", "boolean", "text"]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_text_files_are_not_delivered(tmp_path: Path, model: Path, database: Path, form: str) -> None:
    scored(model, tmp_path / "scored", None, "--format", form)
    with pytest.raises(ConfigurationError, match=f"its parts are {form}"):
        deliver(database, tmp_path / "scored")


def test_a_table_must_be_named(database: Path) -> None:
    with pytest.raises(ConfigurationError, match="no table is named"):
        destination_of(Target(address(database)))


def test_an_output_that_is_no_tables_address_is_a_folder() -> None:
    assert destination_of(Target("scored")) is None


MOMENT = datetime(2026, 5, 4, 3, 2, 1, 500, tzinfo=UTC)
WRITTEN = "2026-05-04T03:02:01.000500000Z"
ZONED = pa.timestamp("ns", "UTC")
SMALL = float(pa.scalar(0.1, pa.float32()).as_py())


@pytest.mark.parametrize(
    ("values", "postgres", "sqlite"),
    [
        (pa.array([True, None]), ("boolean", True), ("boolean", True)),
        (pa.array([7], pa.int8()), ("smallint", 7), ("integer", 7)),
        (pa.array([7], pa.uint32()), ("bigint", 7), ("integer", 7)),
        (pa.array([2**64 - 1], pa.uint64()), ("numeric", str(2**64 - 1)), ("text", str(2**64 - 1))),
        (pa.array([Decimal("1.50")]), ("numeric", "1.50"), ("text", "1.50")),
        (pa.array([0.1], pa.float32()), ("real", SMALL), ("real", SMALL)),
        (pa.array(["a", "b"]).dictionary_encode(), ("text", "a"), ("text", "a")),
        (pa.array([b"\0"]), ("bytea", b"\0"), ("blob", b"\0")),
        (pa.array([b"\0\xff"], pa.binary(2)), ("bytea", b"\0\xff"), ("blob", b"\0\xff")),
        (pa.array([MOMENT], ZONED), ("timestamp with time zone", MOMENT), ("text", WRITTEN)),
        (pa.array([date(2026, 5, 4)]), ("date", date(2026, 5, 4)), ("text", "2026-05-04")),
        (pa.array([time(1, 2)]), ("time without time zone", time(1, 2)), ("text", "01:02:00.000000")),
        (pa.array([[1, None]]), ("jsonb", "[1,null]"), ("text", "[1,null]")),
    ],
)  # fmt: skip
def test_columns_that_go_along_have_the_databases_own_types(
    values: Any, postgres: tuple[str, Any], sqlite: tuple[str, Any]
) -> None:
    expected: dict[Kind, tuple[str, Any]] = {"postgresql": postgres, "sqlite": sqlite}
    for kind, (name, value) in expected.items():
        plain = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        loaded = loadable(pa.record_batch([values], ["x"]), kind).column(0)
        assert (type_in(kind, plain), loaded[0].as_py()) == (name, value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--partition-by", "churn"], "its parts do not hold churn, which name its folders"),
        (["--format", "csv"], "its parts are csv, and a table takes Parquet"),
    ],
)
@pytest.mark.parametrize("lake", [False, True])
def test_a_folder_whose_parts_are_not_all_of_the_rows_is_not_delivered(
    tmp_path: Path,
    model: Path,
    database: Path,
    options: list[str],
    said: str,
    lake: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without the columns that name its folders every decision would be null."""
    scored(model, folder := tmp_path / "scored", None, *options)
    table = tmp_path / "table"
    to = (
        ["--output", f"delta:{table}"]
        if lake
        else ["--output", address(database), "--output-table", "predictions"]
    )
    assert main(["deliver", str(folder), *to]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert not database.exists()
    assert not table.exists()


def test_a_folder_of_a_store_is_not_looked_for_on_this_machine(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["--output", address(database), "--output-table", "predictions"]
    assert main(["deliver", "s3://me:secret@bucket/scored", *to]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "s3://bucket/scored: only a folder of this machine can be delivered" in said
    assert "secret" not in said


def test_a_database_whose_folder_is_missing_is_found_before_scoring(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("customer_id,feature\n1,0.5\n")
    source = ["score", "in.csv", "--model", str(model), "--output-table", "predictions"]
    target = ["--work-folder", "work", "--output", address(tmp_path / "none" / "results.db")]
    assert main([*source, *target]) == ExitCode.UNREADABLE
    assert f"there is no folder {tmp_path / 'none'} in which it could be made" in capsys.readouterr().err
    assert not Path("work").exists()
    assert main([*source, "--output", "sqlite:///results.db"]) == ExitCode.DONE


def test_a_dry_run_looks_at_the_table_and_at_the_work_folder(
    tmp_path: Path, model: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(database, "create table predictions (prediction_id text primary key)")
    run(database, "create table customers (customer_id integer primary key, feature real)")
    source = ["score", address(database), "--table", "customers", "--model", str(model), "--dry-run"]
    assert main([*source, "--output", address(database), "--output-table", "other"]) == ExitCode.DONE
    said = capsys.readouterr().out
    assert "inputs   1\n" in said, "how many bytes a table has is not known"
    assert "customers: sqlite, rows counted when read" in said
    assert main([*source, "--output", address(database), "--output-table", "predictions"]) != ExitCode.DONE
    assert 'the table "predictions" has no column customer_id' in capsys.readouterr().err
    to = [*source, "--output", address(database), "--output-table", "other"]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "file").write_text("")
    assert main([*to, "--work-folder", str(tmp_path / "work")]) == ExitCode.UNREADABLE
    assert "the output folder is not empty" in capsys.readouterr().err
    assert main([*to, "--resume"]) == ExitCode.USAGE
    assert "--work-folder" in capsys.readouterr().err
    assert rows_in(database, "select name from sqlite_master where name = 'other'") == []


def test_a_delivery_that_is_interrupted_says_where_the_results_are(
    tmp_path: Path,
    model: Path,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in.csv").write_text("customer_id,feature\n1,0.5\n")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    source = ["score", str(tmp_path / "in.csv"), "--model", str(model)]
    with monkeypatch.context() as patched:
        patched.setattr("batch.destinations.database.DatabaseTable._deliver", interrupted)
        to = ["--output", address(database), "--output-table", "predictions"]
        assert main([*source, *to]) == ExitCode.INTERRUPTED
    said = capsys.readouterr().err
    assert "The results are whole in " in said
    folder = said.partition("`python -m batch deliver ")[2].partition("`")[0]
    assert deliver(database, Path(folder)).predictions == 1
    shutil.rmtree(folder)
