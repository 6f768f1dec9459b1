"""A real PostgreSQL: rows are scored as those of files are; predictions are delivered whole or not at all."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.database_source import DatabaseRows
from batch.databases.address import Address
from batch.databases.relation import Wish
from batch.destinations import Target, destination_of
from batch.manifest import Predictions, read_manifest
from batch.sources import REJECTED_SCHEMA, Reading
from shared.deadline import Deadline
from shared.errors import TandemError
from shared.predict import Predictor
from shared.predictions import prediction_schema
from tests.support.broker import free_port
from tests.support.commands import ROOT, Finished, command, environment
from tests.support.models import linear_model, threshold_model
from tests.support.postgres import PASSWORD, Postgres, new_database, running_postgres
from tests.support.sqlite import address, insert, run

pytestmark = pytest.mark.postgres

LESSON = pa.table({"customer_id": [101, 102, 103, 104], "feature": [0.2, 0.8, 0.5, 0.9]})
# The first and the last of them are rejected.
ROWS = pa.table(
    {
        "customer_id": pa.array([10, 7, 1, 2, 30], pa.int64()),
        "tenure": pa.array([-1, 3, 1200, None, 5], pa.int32()),
        "charges": pa.array([0.1, 0.1, None, 1e308, 2.5]),
        "partner": pa.array([True, False, True, True, None]),
        "contract": pa.array(["é", "monthly", "yearly", "é", "monthly"]),
    }
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def database(server: Postgres) -> Postgres:
    return new_database(server)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "lesson")


Run = Callable[..., Finished]


@pytest.fixture
def batch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `python -m batch` in this process; its password comes as for PostgreSQL's own programs."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)

    def run_in_process(*arguments: str | Path) -> Finished:
        code = main(list(map(str, arguments)))
        return Finished(code, *capsys.readouterr())

    return run_in_process


def scored(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The score's bits by customer, and what was rejected."""
    manifest = read_manifest(folder)
    assert isinstance(manifest, Predictions)
    rows = [row for part in manifest.parts for row in pq.read_table(folder / part.file).to_pylist()]
    rejected = [row for part in manifest.rejected for row in pq.read_table(folder / part.file).to_pylist()]
    return (
        {row["customer_id"]: row["score"].hex() for row in rows},
        {row["customer_id"]: (row["reason"], row["field"], row["detail"]) for row in rejected},
    )


def test_parquet_postgresql_and_sqlite_give_the_same_scores_to_the_bit(
    tmp_path: Path, database: Postgres, batch: Run
) -> None:
    model = linear_model(tmp_path / "model")
    pq.write_table(ROWS, tmp_path / "customers.parquet")
    # As a database would have them: charges exact, contracts of a type of their own, a column of no concern.
    database.load("loaded", ROWS)
    database.run(
        "create type contract as enum ('monthly', 'yearly', 'é')",
        "create schema sales",
        "create table sales.customers (customer_id bigint primary key, tenure smallint, charges numeric,"
        " partner boolean, contract contract, photo bytea)",
        "insert into sales.customers select customer_id, tenure, charges, partner, contract::contract,"
        " '\\x00' from loaded",
    )
    sqlite = run(
        tmp_path / "customers.db",
        "create table customers (customer_id integer primary key, tenure integer, charges real,"
        " partner boolean, contract text)",
    )
    insert(sqlite, "customers", [tuple(row.values()) for row in ROWS.to_pylist()])
    inputs: dict[str, list[str | Path]] = {
        "parquet": [tmp_path / "customers.parquet"],
        "postgresql": [database.address, "--table", "sales.customers"],
        "sqlite": [address(sqlite), "--table", "customers"],
    }
    for name, given in inputs.items():
        done = batch("score", *given, "--model", model, "--output", tmp_path / name)
        assert done.code == 0, done.errors
    expected = scored(tmp_path / "parquet")
    assert (len(expected[0]), len(expected[1])) == (2, 3)
    assert scored(tmp_path / "postgresql") == scored(tmp_path / "sqlite") == expected
    manifest = json.loads((tmp_path / "postgresql" / "manifest.json").read_text())
    (entry,) = manifest["inputs"]
    assert (entry["name"], entry["format"], entry["rows"], entry["size"] > 0) == (
        "customers",
        "postgresql",
        5,
        True,
    )


def test_rows_come_in_the_order_of_their_ids_and_are_known_by_them(
    tmp_path: Path, database: Postgres, lesson: Path, batch: Run
) -> None:
    database.load("customers", LESSON)
    query = "select 'Z' || customer_id as id, * from customers union all select 'a', 1, 0.7 -- and one"
    done = batch(
        "score",
        *(database.address, "--query", query, "--row-id", "id", "--name", "recent"),
        *("--model", lesson, "--output", tmp_path / "scored"),
    )
    assert done.code == 0, done.errors
    (part,) = (tmp_path / "scored").glob("part-*")
    ids = pq.read_table(part).column("prediction_id").to_pylist()
    # By bytes, capitals before small letters, whatever the order of the database's language.
    assert ids == ["recent/Z101", "recent/Z102", "recent/Z103", "recent/Z104", "recent/a"]


def test_one_state_of_the_table_is_read_while_others_change_it(
    database: Postgres, lesson: Path, password_file: Path
) -> None:
    database.load("customers", LESSON)
    database.run("alter table customers add primary key (customer_id)")
    wish = Wish(Address.read(database.address, password_file), table="customers")
    source, predictor = DatabaseRows(wish, Reading(batch_rows=1)), Predictor.load(lesson)
    chunks = source.chunks(predictor)
    found = [source.score(predictor, next(chunks))]
    database.run("update customers set feature = 0", "delete from customers where customer_id = 104")
    found += [source.score(predictor, chunk) for chunk in chunks]
    assert [score for one in found for score in one.outcome.scores.tolist()] == [0.2, 0.8, 0.5, 0.9]


def test_a_result_is_read_in_pieces(database: Postgres, lesson: Path, password_file: Path) -> None:
    database.run(
        "create table customers as select g as customer_id, 0.5::float8 as feature,"
        " repeat('x', 200) as further from generate_series(1, 60000) g",
    )
    query = "select * from customers"
    address = Address.read(database.address, password_file)
    source = DatabaseRows(Wish(address, query=query, row_id="customer_id", name="c"), Reading())
    sizes = [len(chunk.rows) for chunk in source.chunks(Predictor.load(strict(lesson)))]
    assert (sum(sizes), len(sizes) > 3) == (60_000, True)


def strict(model: Path) -> Path:
    """The same model, which must see all columns."""
    return threshold_model(model.parent / "strict", strict=True)


def test_what_is_delivered_is_what_the_folder_holds_and_twice_is_like_once(
    tmp_path: Path, database: Postgres, batch: Run
) -> None:
    model = linear_model(tmp_path / "model")
    pq.write_table(ROWS, tmp_path / "customers.parquet")
    work = tmp_path / "work"
    arguments: list[str | Path] = [
        tmp_path / "customers.parquet",
        "--model",
        model,
        "--output",
        database.address,
    ]
    arguments += ["--output-table", "predictions", "--work-folder", work, "--explain", "1", "--resume"]
    held = "select * from predictions order by 1", "select * from predictions_rejected order by 1"
    first = batch("score", *arguments)
    assert first.code == 0, first.errors
    assert "predictions (2 predictions and 3 rejected rows)" in first.output
    rows = [database.rows(sql) for sql in held]
    # To the bit: numbers go through no text.
    assert {int(row[1]): row[3].hex() for row in rows[0]} == {
        int(customer): bits for customer, bits in scored(work)[0].items()
    }
    assert len(rows[1]) == 3
    written = database.rows("select xmin::text from predictions order by prediction_id")
    assert batch("score", *arguments).code == 0
    assert [database.rows(sql) for sql in held] == rows
    assert database.rows("select xmin::text from predictions order by prediction_id") == written
    ((run, manifest, sha256, predictions),) = database.rows(
        "select run, manifest::text, manifest_sha256, predictions from predictions_runs"
    )
    assert json.loads(manifest) == json.loads((work / "manifest.json").read_text())
    assert (len(run), len(sha256), predictions) == (64, 64, 2)


def test_a_process_that_is_killed_in_the_transaction_leaves_nothing(
    tmp_path: Path, database: Postgres, lesson: Path, batch: Run
) -> None:
    pq.write_table(LESSON, tmp_path / "customers.parquet")
    work = tmp_path / "work"
    arguments: list[str | Path] = [
        tmp_path / "customers.parquet",
        "--model",
        lesson,
        "--output",
        database.address,
    ]
    arguments += ["--output-table", "predictions"]
    assert batch("score", *arguments).code == 0
    database.run("delete from predictions", "delete from predictions_runs")
    done = batch("score", tmp_path / "customers.parquet", "--model", lesson, "--output", work)
    assert done.code == 0, done.errors
    # It writes the predictions before its run, which it must wait for here.
    with database.holding("lock table predictions_runs in share row exclusive mode") as holder:
        process = Popen(
            [sys.executable, "-m", "batch", "deliver", *map(str, (work, *arguments[3:]))],
            cwd=ROOT,
            env=environment() | {"PGPASSWORD": PASSWORD},
            stdout=DEVNULL,
            stderr=PIPE,
        )
        _until(lambda: database.sessions("tandem", waiting=True) == 1)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        holder.release()
    _until(lambda: database.sessions("tandem") == 0)
    assert database.rows("select count(*) from predictions") == [(0,)]
    again = batch("deliver", work, *arguments[3:])
    assert (again.code, database.rows("select count(*) from predictions")) == (0, [(4,)])


def _until(holds: Any) -> None:
    deadline = Deadline.after(30)
    while not holds():
        assert not deadline.passed
        deadline.pause(0.02)


def check(
    database: Postgres, model: Path, table: str, password_file: Path, *, explained: bool = False
) -> None:
    destination = destination_of(Target(database.address, table, password_file))
    assert destination is not None
    destination.check(prediction_schema(Predictor.load(model).model, explained=explained), REJECTED_SCHEMA)


def test_looking_whether_results_can_be_delivered_changes_nothing(
    database: Postgres, lesson: Path, password_file: Path
) -> None:
    check(database, lesson, "predictions", password_file)
    assert database.tables() == []


GOOD = (
    "prediction_id text primary key, customer_id bigint, event_id text, score double precision,"
    " churn boolean, threshold double precision, model text, model_sha256 varchar(12)"
)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (f"create table predictions ({GOOD}, scored_on date default current_date)", None),
        (f"create table predictions ({GOOD.replace('churn', 'leaves')})", "has no column churn"),
        (
            f"create table predictions ({GOOD.replace('score double precision', 'score real')})",
            "has score as real",
        ),
        (
            f"create table predictions ({GOOD.replace(' primary key', '')})",
            "no unique or exclusion constraint",
        ),
        (
            f"create table predictions ({GOOD}); revoke all on predictions from clerk",
            "permission denied for table",
        ),
        ("revoke create on schema public from public", "permission denied for schema public"),
    ],
)
def test_a_table_that_cannot_take_the_predictions_is_found_before_scoring(
    database: Postgres, lesson: Path, password_file: Path, statement: str, said: str | None
) -> None:
    clerk = database.as_user("clerk")
    database.run("grant create on schema public to public")
    *made, last = statement.split("; ")
    for one in (*made, last):
        database.run(one)
        if one.startswith("create"):
            database.run("grant all on predictions to clerk")
    if said is None:
        check(clerk, lesson, "predictions", password_file)
        return
    with pytest.raises(TandemError, match=said) as refused:
        check(clerk, lesson, "predictions", password_file)
    assert refused.value.hint


def test_failures_are_sentences_without_the_password(
    tmp_path: Path, database: Postgres, lesson: Path
) -> None:
    database.load("customers", LESSON)
    user, _, place = database.address.partition("@")
    away = f"{user}@127.0.0.1:{free_port()}/postgres"
    cases = {
        "authentication failed for user": [f"{user}:wr0ng@{place}", "--table", "customers"],
        "does not exist": [database.address + "x", "--table", "customers"],
        "there is no table nothing": [database.address, "--table", "nothing"],
        "no primary key": [database.address, "--table", "customers"],
        "the column 'feature' is missing": [
            *(
                database.address,
                "--query",
                "select 1 as customer_id",
                "--row-id",
                "customer_id",
                "--name",
                "x",
            )
        ],
        "syntax error": [database.address, "--query", "selec 1", "--row-id", "id", "--name", "x"],
        "Connection refused": [away, "--table", "customers"],
    }
    for said, arguments in cases.items():
        source = DatabaseRows(_wish(arguments, tmp_path), Reading())
        with pytest.raises(TandemError, match=said) as refused:
            source.check(Predictor.load(lesson))
        assert refused.value.hint
        assert not any(word in str(refused.value) for word in (PASSWORD, "hunter2", "wr0ng"))


def _wish(arguments: list[str], folder: Path) -> Wish:
    file = folder / "password"
    file.write_text(PASSWORD)
    options = {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in zip(arguments[1::2], arguments[2::2], strict=True)
    }
    return Wish(Address.read(arguments[0], None if "wr0ng" in arguments[0] else file), **options)


def test_a_password_in_an_address_is_told_to_nobody(tmp_path: Path, database: Postgres, lesson: Path) -> None:
    database.load("customers", LESSON)
    database.run("alter table customers add primary key (customer_id)")
    address = database.address.replace("@", ":s3cr%25t%2F%40hunter2@")
    done = command(
        *("batch", "score", address, "--table", "customers", "--model", lesson),
        *("--output", address, "--output-table", "predictions", "--work-folder", tmp_path / "work"),
    )
    assert done.code == 0, done.errors
    assert "stands on the command line" in done.errors
    told = done.output + done.errors + (tmp_path / "work" / "manifest.json").read_text()
    told += str(database.rows("select * from predictions_runs"))
    assert "hunter2" not in told
    assert database.address in told.replace(":***@", "@")


def test_a_server_that_goes_away_while_rows_are_read_ends_in_a_sentence(
    database: Postgres, lesson: Path, password_file: Path
) -> None:
    database.run(
        "create table customers as select g as customer_id, 0.5::float8 as feature"
        " from generate_series(1, 2000000) g",
    )
    wish = Wish(
        Address.read(database.address, password_file),
        query="select * from customers",
        row_id="customer_id",
        name="c",
    )
    chunks = DatabaseRows(wish, Reading()).chunks(Predictor.load(lesson))
    next(chunks)
    database.end_sessions("tandem")
    with pytest.raises(TandemError, match=r"terminating connection|closed the connection") as failed:
        list(chunks)
    assert failed.value.hint


def test_a_server_that_says_nothing_is_not_waited_for_forever(lesson: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        address = Address.read(f"postgresql://me@127.0.0.1:{port}/db?connect_timeout=2")
        with pytest.raises(TandemError, match="timeout"):
            DatabaseRows(Wish(address, table="x"), Reading()).check(Predictor.load(lesson))
