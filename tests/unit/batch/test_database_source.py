"""Rows of a SQLite database, scored as those of a file; addresses, and what people are told of them."""

import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.database_source import DatabaseRows
from batch.databases import session as sessions
from batch.databases.address import Address
from batch.databases.relation import Wish
from batch.sources import FileRows, Reading, Scorable
from shared.errors import ConfigurationError, ExitCode, InputError, TandemError
from shared.files import find_sources
from shared.predict import Predictor
from tests.support.models import linear_model, threshold_model
from tests.support.sqlite import address, insert, run

LESSON = [(101, 0.2), (102, 0.8), (103, 0.5), (104, 0.9)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


@pytest.fixture
def lesson(model: Path) -> Predictor:
    return Predictor.load(model)


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    path = run(
        tmp_path / "customers.db", "create table customers (customer_id integer primary key, feature real)"
    )
    return insert(path, "customers", LESSON)


def rows_of(path: Path, batch_rows: int = 65_536, **wish: Any) -> DatabaseRows:
    if "query" not in wish:
        wish.setdefault("table", "customers")
    return DatabaseRows(Wish(Address.read(address(path)), **wish), Reading(batch_rows=batch_rows))


def outcomes(source: Scorable, predictor: Predictor) -> tuple[dict[str, str], dict[str, Any]]:
    """The score's bits by prediction id, and the rejections by position."""
    source.check(predictor)
    scores: dict[str, str] = {}
    rejected: dict[str, Any] = {}
    (split,) = source.splits(predictor, 1_000_000)
    for chunk in source.chunks(predictor, split, 0):
        scored = source.score(predictor, chunk)
        found = [score.hex() for score in scored.outcome.scores.tolist()]
        scores |= dict(zip(scored.ids.to_pylist(), found, strict=True))
        rejected |= {row.pop("position"): row for row in scored.rejected.to_pylist()}
        assert scored.read == len(scored.ids) + scored.rejected.num_rows
    return scores, rejected


def mixed_rows(count: int) -> pa.Table:
    """Rows of every kind, some of which each reason rejects."""
    chance = random.Random(7)  # noqa: S311 - the same rows each time
    return pa.table(
        {
            "customer_id": pa.array([3 * row for row in range(count)], pa.int64()),
            "tenure": pa.array(
                [chance.choice([None, -1, 0, 1200, 1201, 7]) for _ in range(count)], pa.int64()
            ),
            "charges": pa.array([chance.choice([None, 0.1, 1e308, -0.0, 20.25]) for _ in range(count)]),
            "partner": pa.array([chance.choice([None, True, False]) for _ in range(count)]),
            "contract": pa.array([chance.choice([None, "monthly", "é", "weekly"]) for _ in range(count)]),
        }
    )


def test_a_table_is_scored_as_the_same_rows_in_parquet_are(tmp_path: Path) -> None:
    predictor = Predictor.load(linear_model(tmp_path / "model"))
    rows = mixed_rows(2_000)
    pq.write_table(rows, tmp_path / "customers.parquet")
    path = run(
        tmp_path / "customers.db",
        "create table customers (customer_id integer primary key, tenure integer, charges numeric,"
        " partner boolean, contract text, further text)",
    )
    insert(path, "customers", [(*row.values(), "x") for row in rows.to_pylist()])
    (file,) = find_sources([str(tmp_path / "customers.parquet")])

    def by_customer(found: Mapping[str, Any]) -> dict[str, Any]:
        return {f"customers/{3 * int(name.partition('/')[2])}": value for name, value in found.items()}

    scores, rejected = outcomes(FileRows(file, Reading()), predictor)
    assert len({row["reason"] for row in rejected.values()}) == 3
    assert outcomes(rows_of(path), predictor) == (by_customer(scores), by_customer(rejected))


def test_a_query_is_scored_under_the_name_and_the_row_id_that_are_given(
    customers: Path, lesson: Predictor
) -> None:
    query = "select 'c' || customer_id as id, customer_id, feature from customers where feature > 0.4; "
    scores, rejected = outcomes(rows_of(customers, query=query, row_id="id", name="recent"), lesson)
    assert list(scores) == ["recent/c102", "recent/c103", "recent/c104"]
    assert not rejected


def test_a_query_may_end_in_a_comment(customers: Path, lesson: Predictor) -> None:
    query = "select * from customers -- all of them"
    assert len(outcomes(rows_of(customers, query=query, row_id="customer_id", name="c"), lesson)[0]) == 4


def test_the_digest_tells_of_the_rows_and_not_of_the_batches(customers: Path, lesson: Predictor) -> None:
    def digest(batch_rows: int) -> tuple[str, int]:
        source = rows_of(customers, batch_rows)
        outcomes(source, lesson)
        return source.digest(), source.state().size

    whole = digest(65_536)
    assert digest(1) == whole
    run(customers, "update customers set feature = 0.25 where customer_id = 103")
    assert digest(65_536)[0] != whole[0]


def test_a_column_whose_first_values_are_missing_has_the_type_of_the_others(
    tmp_path: Path, lesson: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_BATCH_ROWS", 2)
    path = run(tmp_path / "customers.db", "create table customers (customer_id integer primary key, feature)")
    insert(path, "customers", [(1, None), (2, None), (3, None), (4, 1), (5, 0.5)])
    scores, rejected = outcomes(rows_of(path), lesson)
    assert list(scores) == ["customers/4", "customers/5"]
    assert [row["reason"] for row in rejected.values()] == ["missing_field"] * 3


def test_a_row_that_is_not_utf8_is_rejected_by_its_id(tmp_path: Path) -> None:
    inputs = [{"name": "plan", "type": "category", "values": ["a", "b"]}]
    golden = [{"customer_id": "x", "plan": "a"}]
    model = linear_model(tmp_path / "model", inputs=inputs, weights={"plan": {"a": 1, "b": 2}}, golden=golden)
    path = run(
        tmp_path / "customers.db",
        "create table customers (customer_id text primary key, plan text)",
        "insert into customers values ('k1', 'a'), ('k2', cast(x'ff' as text)), ('k3', 'b')",
    )
    scores, rejected = outcomes(rows_of(path), Predictor.load(model))
    assert list(scores) == ["customers/k1", "customers/k3"]
    assert rejected["customers/k2"]["reason"] == "invalid_utf8"


def test_the_row_id_is_no_unknown_field_of_a_strict_model(tmp_path: Path) -> None:
    predictor = Predictor.load(threshold_model(tmp_path / "model", strict=True))
    path = run(
        tmp_path / "rows.db",
        "create table customers (number integer primary key, customer_id integer, feature real)",
        "insert into customers values (1, 7, 0.5)",
    )
    assert list(outcomes(rows_of(path), predictor)[0]) == ["customers/1"]
    run(path, "alter table customers add column further text", "update customers set further = 'x'")
    assert outcomes(rows_of(path), predictor)[1]["customers/1"]["reason"] == "unknown_field"


@pytest.mark.parametrize(
    ("table", "row", "said"),
    [
        (
            "id, customer_id integer, feature real",
            "(1, 1, 0.5), (1, 2, 0.5)",
            "1 is the id of more than one row",
        ),
        ("id, customer_id integer, feature real", "(1, 1, 0.5), (null, 2, 0.5)", "a row has no id"),
        (
            "id, customer_id integer, feature real",
            "('b', 1, 0), ('b', 1, 0)",
            "'b' is the id of more than one",
        ),
        (
            "id, customer_id integer, feature",
            "(1, 1, 0.5), (2, 2, 'x')",
            "feature holds values of several types",
        ),
        ("id, customer_id integer", "(1, 1)", "the column 'feature' is missing"),
    ],
)
def test_rows_that_cannot_be_told_apart_or_read_are_refused(
    tmp_path: Path, lesson: Predictor, table: str, row: str, said: str
) -> None:
    made = f"create table customers ({table})", f"insert into customers values {row}"  # noqa: S608 - the test's own
    path = run(tmp_path / "rows.db", *made)
    with pytest.raises(InputError, match=said) as refused:
        outcomes(rows_of(path, row_id="id"), lesson)
    assert refused.value.hint


def test_numbers_other_than_0_and_1_are_no_booleans(tmp_path: Path) -> None:
    predictor = Predictor.load(linear_model(tmp_path / "model"))
    path = run(
        tmp_path / "rows.db",
        "create table customers (customer_id integer primary key, tenure, charges, partner, contract)",
        "insert into customers values (1, 1, 1, 2, 'monthly')",
    )
    with pytest.raises(InputError, match="partner holds other numbers than 0 and 1"):
        outcomes(rows_of(path), predictor)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"table": "nothing"}, "there is no table nothing"),
        ({"table": "customers", "row_id": "nothing"}, "has no column nothing"),
        ({"table": "pairs"}, "a primary key of 2 columns"),
        ({"table": "keyless"}, "no primary key"),
        ({"query": "select * from customers"}, "a query needs --row-id"),
        ({"query": "select * from customers", "row_id": "customer_id"}, "a query needs --name"),
        ({"query": "select * from customers", "table": "customers"}, "either --table or --query"),
        ({"query": "selec 1", "row_id": "customer_id", "name": "x"}, "syntax error"),
        ({"query": "delete from customers", "row_id": "customer_id", "name": "x"}, "syntax error"),
    ],
)
def test_what_cannot_be_found_is_said(
    customers: Path, lesson: Predictor, wish: dict[str, Any], said: str
) -> None:
    run(customers, "create table pairs (a, b, primary key (a, b))", "create table keyless (customer_id)")
    with pytest.raises(TandemError, match=said) as refused:
        rows_of(customers, **wish).check(lesson)
    assert refused.value.hint


def test_a_file_that_is_missing_or_no_database_is_said(tmp_path: Path, lesson: Predictor) -> None:
    missing = tmp_path / "missing.db"
    with pytest.raises(InputError, match="no such database"):
        rows_of(missing).check(lesson)
    assert not missing.exists()
    other = tmp_path / "other.db"
    other.write_text("this is no database\n" * 1_000)
    with pytest.raises(InputError, match="file is not a database"):
        rows_of(other).check(lesson)


def test_a_source_can_be_sent_to_another_process(customers: Path, lesson: Predictor) -> None:
    source = rows_of(customers)
    source.check(lesson)
    assert outcomes(pickle.loads(pickle.dumps(source)), lesson) == outcomes(source, lesson)  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:hunter2/a@b@host/db", "postgresql://me:***@host/db"),
        (
            "postgres://host/db?user=me&password=hunter2&sslmode=require",
            "postgres://host/db?user=me&password=***&sslmode=require",
        ),
        ("postgresql://me@host/db?sslpassword=hunter2", "postgresql://me@host/db?sslpassword=***"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("POSTGRESQL://me:hunter2@host/db", "postgresql://me:***@host/db"),
    ],
)
def test_an_address_is_shown_without_its_password(text: str, shown: str) -> None:
    found = Address.read(text)
    assert (found.shown, found.has_password) == (shown, "hunter2" in text)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    "text",
    ["postgresql:host/db", "postgresql://[::1/db", "sqlite://host/file.db", "sqlite:///", "sqlite:///a?b=c"],
)
def test_an_address_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the address cannot be read"):
        Address.read(text)


@pytest.mark.parametrize("text", ["postgresql:me:hunter2@host/db", "Postgres:/me:hunter2@host/db"])
def test_of_an_address_without_its_slashes_only_the_scheme_is_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Address.read(text)
    assert refused.value.message == f"{text.partition(':')[0]}: the address cannot be read"


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "postgresql:me:hunter2@host/db", "--output", "out"],
        ["score", "POSTGRESQL://me:hunter2@127.0.0.1:1/db", "--table", "t", "--output", "out"],
        ["score", "in.csv", "--output", "mysql://me:hunter2@host/db", "--output-table", "t"],
        ["score", "in.csv", "--output", "postgresql:me:hunter2@host/db", "--output-table", "t"],
        ["score", "in.csv", "--output", "Postgres://me:hunter2@127.0.0.1:1/db", "--output-table", "t"],
        ["score", "in.csv", "--output", "delta:s3://me:hunter2@bucket/t", "--output-table", "t"],
        ["score", "delta:s3://me:hunter2@bucket/t@x", "--output", "out"],
        ["deliver", "out", "--output", "mysql://me:hunter2@host/db"],
        ["deliver", "out", "--output", "s3://me:hunter2@bucket/out"],
    ],
    ids=" ".join,
)
def test_no_password_is_shown(
    tmp_path: Path,
    model: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("customer_id,feature\n1,0.5\n")
    more = ["--model", str(model)] if arguments[0] == "score" else []
    assert main([*arguments, *more]) in {ExitCode.USAGE, ExitCode.UNREADABLE}
    said = capsys.readouterr().err
    assert "error: " in said
    assert "hunter2" not in said


def test_a_password_comes_from_one_place(tmp_path: Path) -> None:
    file = tmp_path / "password"
    with pytest.raises(ConfigurationError, match="the address has a password, and"):
        Address.read("postgresql://me:hunter2@host/db", file)
    with pytest.raises(ConfigurationError, match="the password cannot be read: No such file"):
        Address.read("postgresql://me@host/db", file).with_password()
    file.write_text("\n")
    with pytest.raises(ConfigurationError, match="the password file is empty"):
        Address.read("postgresql://me@host/db", file).with_password()
    file.write_text("hunter 2&/\n")
    uri, password = Address.read("postgresql://me@host/db", file).with_password()
    assert (password, uri.endswith("&password=hunter%202%26%2F")) == ("hunter 2&/", True)


def score(path: Path, model: Path, output: Path, *options: str) -> int:
    given = ["score", address(path), "--table", "customers", "--model", str(model), "--output", str(output)]
    return main([*given, *options])


def written(folder: Path, stem: str) -> list[dict[str, Any]]:
    """The rows of the parts of a folder."""
    return [row for file in sorted(folder.glob(f"{stem}-*")) for row in pq.read_table(file).to_pylist()]


def test_columns_go_along_and_rejected_rows_hold_what_was_read(tmp_path: Path, model: Path) -> None:
    path = run(
        tmp_path / "rows.db",
        "create table customers (k text primary key, customer_id integer, feature, plan text, notes text)",
        "insert into customers values ('a', 1, 0.5, 'pro', 'x'), ('b', 2, null, 'free', 'x'),"
        " ('c', 3, 0.9, cast(x'ff' as text), 'x'), ('d', 4, 0.9, 'free', 'x')",
    )
    options = ("--columns", "plan", "--where", "feature is null or feature < 0.8")
    assert score(path, model, tmp_path / "scored", *options) == 0
    (found,) = written(tmp_path / "scored", "part")
    assert (found["prediction_id"], found["plan"]) == ("customers/a", "pro")
    told = [
        {name: row.get(name) for name in ("position", "reason", "k", "plan", "notes")}
        for row in written(tmp_path / "scored", "rejected")
    ]
    # Columns that nothing asks for are not read.
    unread = {"notes": None}
    assert told == [
        {"position": "customers/b", "reason": "missing_field", "k": "b", "plan": "free"} | unread,
        {"position": "customers/c", "reason": "invalid_utf8", "k": "c", "plan": None} | unread,
    ]


def test_a_sample_is_drawn_by_the_row_ids(tmp_path: Path, customers: Path, model: Path) -> None:
    run(
        customers,
        "with recursive n(i) as (select 1000 union all select i + 1 from n where i < 2000)"
        " insert into customers select i, 0.5 from n",
    )

    def drawn(output: str) -> set[str]:
        assert score(customers, model, tmp_path / output, "--sample", "0.2") == 0
        return {row["prediction_id"] for row in written(tmp_path / output, "part")}

    before = drawn("before")
    assert 100 < len(before) < 300
    run(customers, "delete from customers where customer_id < 1500")
    assert drawn("after") == {name for name in before if int(name.partition("/")[2]) >= 1500}


def test_a_broken_off_run_over_a_table_is_not_resumed(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run(
        tmp_path / "rows.db",
        "create table customers (k, customer_id, feature real)",
        "insert into customers values (1, 1, 0.5), (1, 2, 0.5)",
    )
    options = ("--row-id", "k", "--resume")
    assert score(path, model, tmp_path / "scored", *options) == 3
    assert "1 is the k of more than one row" in capsys.readouterr().err
    run(path, "update customers set k = customer_id")
    assert score(path, model, tmp_path / "scored", *options) == 3
    assert "cannot be resumed: customers comes from a database" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "customers"], "--table: no input is a database"),
        (["--output-table", "predictions"], "--output-table: the output"),
        (["--output", "sqlite:///x.db", "--output-table", "p", "--format", "csv"], "--format csv"),
        (["--output", "sqlite:///x.db", "--output-table", "p", "--resume"], "--resume: the output"),
        (["--output", "sqlite:///x.db", "--output-table", "p", "--partition-by", "churn"], "--partition-by"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path,
    model: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in.csv").write_text("customer_id,feature\n1,0.5\n")
    output = [] if "--output" in arguments else ["--output", str(tmp_path / "scored")]
    given = ["score", str(tmp_path / "in.csv"), "--model", str(model), *output, *arguments]
    assert main(given) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("rows.csv", ["--name", "rows.csv"]),
        # Its row ids may be texts, one of them b.csv/1.
        ("a/b.csv", ["--name", "a"]),
    ],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_rows_of_a_table_and_of_a_file_have_no_position_in_common(
    tmp_path: Path,
    customers: Path,
    model: Path,
    file: str,
    name: list[str],
    more: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in" / file).parent.mkdir(parents=True)
    (tmp_path / "in" / file).write_text("customer_id,feature\n1,0.5\n")
    given = ["score", address(customers), str(tmp_path / "in"), "--table", "customers", *name, *more]
    arguments = [*given, "--model", str(model), "--output", str(tmp_path / "out")]
    assert main(arguments) == ExitCode.UNREADABLE
    assert f"{file}: another input holds rows of this name too" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_name_of_a_table_is_known_once_it_is_looked_at(
    tmp_path: Path, customers: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite finds a table in any case; its rows are known by its own name."""
    run(customers, 'alter table customers rename to "Rows.csv"')
    (tmp_path / "Rows.csv").write_text("customer_id,feature\n1,0.5\n")
    given = ["score", address(customers), str(tmp_path / "Rows.csv"), "--table", "rows.CSV"]
    arguments = [*given, "--model", str(model), "--output", str(tmp_path / "out")]
    assert main(arguments) == ExitCode.UNREADABLE
    assert "Rows.csv: another input holds rows of this name too" in capsys.readouterr().err
