"""Iceberg tables: scored at one snapshot, and added to once."""

import ast
import pickle
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.types import DoubleType, LongType

from batch.destinations import Target, destination_of
from batch.destinations import lakes as destinations_lakes
from batch.destinations.base import plain, run_digest
from batch.destinations.lakes import LakeTable
from batch.lakes import open_lake
from batch.lakes.rows import LakeRows, sources_of_lakes
from batch.manifest import Predictions
from batch.sources import REJECTED_SCHEMA, FileRows, Reading
from shared.errors import ConfigurationError, InputError
from shared.files import Source
from shared.models.directory import read_model
from shared.predict import Predictor
from shared.predictions import prediction_schema
from tests.support.commands import ROOT
from tests.support.lakes import (
    configure_catalog,
    delete_rows,
    iceberg_catalog,
    lake_scores,
    rows_of_table,
    run_of,
    scores_of,
)
from tests.support.models import linear_model, threshold_model

ROWS = pa.table(
    {
        "customer_id": pa.array([*range(8), None, 9], pa.int64()),
        "tenure": pa.array([3, 1200, 1201, None, 0, 7, 8, 9, 10, 11], pa.int32()),
        "charges": [70.35, None, 0.1, 1e-9, 1e300, float("nan"), 3.3, 4.4, 5.5, 6.6],
        "partner": [True, False, None, True, False, True, False, True, False, True],
        "contract": ["monthly", "yearly", "é", "other", None, "é", "é", "yearly", "monthly", "é"],
        "region": ["north", "a b/é", None, "north", "a b/é", None, "north", "north", "north", None],
    }
)
LESSON = pa.table({"customer_id": [101, 102, 103, 104], "feature": [0.2, 0.8, 0.5, 0.9]})
SCORED = "iceberg:local/shop.scored"


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    with iceberg_catalog(tmp_path, monkeypatch) as catalog:
        yield catalog


@pytest.fixture
def table(catalog: Catalog) -> Table:
    """A table of the lesson's customers, in two snapshots."""
    table = catalog.create_table("shop.customers", LESSON.schema)
    table.append(LESSON.slice(0, 2))
    table.append(LESSON.slice(2))
    return table


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_model(tmp_path_factory.mktemp("linear"))


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return threshold_model(tmp_path_factory.mktemp("threshold"))


def sources(address: str) -> list[LakeRows]:
    return sources_of_lakes([open_lake(address)], Reading())


def test_rows_score_as_those_of_a_parquet_file_do(tmp_path: Path, catalog: Catalog, model: Path) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    catalog.create_table("shop.rows", ROWS.schema).append(ROWS)
    expected = scores_of([FileRows(Source(tmp_path / "rows.parquet", "rows"), Reading())], model)
    found = lake_scores("iceberg:local/shop.rows", model)
    assert list(found.values()) == list(expected.values())
    assert all(position.startswith("shop.rows/data/") for position in found)
    assert lake_scores("iceberg:local/shop.rows", model, batch_rows=3) == found


def test_the_snapshot_stays_the_one_that_was_opened(table: Table, lesson: Path) -> None:
    lake = open_lake("iceberg:local/shop.customers")
    table.append(LESSON)
    # It is opened anew in another process.
    again = pickle.loads(pickle.dumps(lake))  # noqa: S301 - what was pickled here
    assert again.files == lake.files
    assert len(lake_scores(lake.address, lesson)) == 4
    assert len(lake_scores("iceberg:local/shop.customers", lesson)) == 8
    first = table.history()[0].snapshot_id
    assert len(lake_scores(f"iceberg:local/shop.customers@{first}", lesson)) == 2
    table.manage_snapshots().create_tag(first, "begin").commit()
    tagged = open_lake("iceberg:local/shop.customers@begin")
    assert tagged.address == f"iceberg:local/shop.customers@{first}"


def test_deleted_rows_are_not_scored_nor_counted(catalog: Catalog, lesson: Path) -> None:
    table = catalog.create_table("shop.customers", LESSON.schema)
    rows = pa.table({"customer_id": range(100), "feature": [number / 100 for number in range(100)]})
    table.append(rows)
    (task,) = table.scan().plan_files()
    before = lake_scores("iceberg:local/shop.customers", lesson)
    delete_rows(table, task.file.file_path, [0, 1, 50, 51, 52, 99])
    delete_rows(table, task.file.file_path, [50, 97])
    found = lake_scores("iceberg:local/shop.customers", lesson)
    left = [row for row in range(100) if row not in {0, 1, 50, 51, 52, 97, 99}]
    # A row's number is that among the rows that are left, whatever the batches.
    assert list(found.values()) == [list(before.values())[row] for row in left]
    assert [int(position.rpartition("/")[2]) for position in found] == list(range(len(left)))
    assert lake_scores("iceberg:local/shop.customers", lesson, batch_rows=7, split_rows=10) == found
    assert table.scan().to_arrow().num_rows == len(left)
    (source,) = sources("iceberg:local/shop.customers")
    predictor = Predictor.load(lesson)
    for skip in (1, 49, 60, 92):
        chunks = source.chunks(predictor, source.splits(predictor, 10)[0], skip)
        assert [row for chunk in chunks for row in chunk.rows.tolist()] == list(range(skip, len(left)))


def test_columns_that_were_added_renamed_or_widened_since_are_read_as_the_table_has_them(
    catalog: Catalog, model: Path
) -> None:
    old = ROWS.select(["customer_id", "tenure", "partner", "contract"]).slice(0, 2)
    table = catalog.create_table(
        "shop.rows", old.rename_columns(["customer_id", "tenure", "p", "contract"]).schema
    )
    table.append(old.rename_columns(["customer_id", "tenure", "p", "contract"]))
    with table.update_schema() as update:
        update.rename_column("p", "partner")
        update.add_column("charges", DoubleType())
        update.update_column("tenure", LongType())
    table.append(ROWS.drop(["region"]).slice(0, 2))
    found = lake_scores("iceberg:local/shop.rows", model)
    assert len(found) == 4
    # The second row has no charges in either file.
    assert len(set(found.values())) == 3


def test_files_that_were_added_without_their_partition_have_its_value(
    tmp_path: Path, catalog: Catalog
) -> None:
    inputs = [{"name": "region", "type": "category", "values": ["north", "south"]}]
    golden = [{"customer_id": 1, "region": "south"}]
    model = linear_model(
        tmp_path / "m", inputs=inputs, weights={"region": {"north": 1.0, "south": -1.0}}, golden=golden
    )
    schema = pa.schema([("customer_id", pa.int64()), ("region", pa.string())])
    table = catalog.create_table("shop.rows", schema)
    with table.update_spec() as update:
        update.add_identity("region")
    table.append(pa.table({"customer_id": [1, 2], "region": ["north", "south"]}))
    found = lake_scores("iceberg:local/shop.rows", model)
    assert sorted(decision for _, decision in found.values()) == [False, True]
    assert all("/data/region=" in position for position in found)


def refused(address: str, model: Path) -> str:
    with pytest.raises((InputError, ConfigurationError)) as raised:
        lake_scores(address, model)
    assert raised.value.hint
    return raised.value.message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("local/shop.other", "there is no such table in the catalog"),
        ("local/other.customers", "there is no such table in the catalog"),
        ("local/shop.customers@17", "the table has no such snapshot"),
        ("local/shop.customers@nightly", "the table has no such snapshot"),
        ("customers", "no table is named"),
        ("elsewhere/shop.customers", "the catalog 'elsewhere' is not configured"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(table: Table, lesson: Path, name: str, said: str) -> None:
    assert table.current_snapshot()
    assert refused(f"iceberg:{name}", lesson).startswith(f"iceberg:{name}: {said}")


def test_a_catalog_that_does_not_answer_is_named(lesson: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_catalog("sqlite:////nowhere/at/all.db", "file:///nowhere", monkeypatch)
    assert "the catalog cannot be used" in refused("iceberg:local/shop.customers", lesson)


def test_a_missing_column_is_named(table: Table, model: Path) -> None:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    address = f"iceberg:local/shop.customers@{snapshot.snapshot_id}"
    assert refused("iceberg:local/shop.customers", model) == f"{address}: the column 'tenure' is missing"


def test_a_table_that_nothing_was_written_to_is_named(catalog: Catalog, lesson: Path) -> None:
    catalog.create_table("shop.empty", LESSON.schema)
    assert refused("iceberg:local/shop.empty", lesson) == "iceberg:local/shop.empty: the table has no rows"


def test_a_data_file_that_was_cleaned_up_is_named(table: Table, lesson: Path) -> None:
    task = min(table.scan().plan_files(), key=lambda task: task.file.file_path)
    Path(task.file.file_path.removeprefix("file://")).unlink()
    name = Path(task.file.file_path).name
    assert f"the data file data/{name} cannot be read" in refused("iceberg:local/shop.customers", lesson)


def test_without_its_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, lesson: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyiceberg", None)
    for attempt in (lambda: open_lake("iceberg:local/shop.customers"), lambda: check(to(SCORED), lesson)):
        with pytest.raises(ConfigurationError, match=r"tandem-scorer\[iceberg\]"):
            attempt()


# To a table.


def to(address: str) -> LakeTable:
    destination = destination_of(Target(address))
    assert isinstance(destination, LakeTable)
    return destination


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, lesson: Path) -> tuple[Path, Predictions]:
    return run_of(tmp_path_factory.mktemp("run"), lesson)


def check(destination: LakeTable, model: Path) -> None:
    destination.check(prediction_schema(read_model(model)), REJECTED_SCHEMA)


def test_a_run_is_added_in_one_snapshot_and_once(
    catalog: Catalog, lesson: Path, run: tuple[Path, Predictions]
) -> None:
    check(to(SCORED), lesson)
    assert not catalog.table_exists("shop.scored")
    done = to(SCORED).deliver(*run)
    assert (done.predictions, done.rejected, done.again) == (4, 2, False)
    again = to(SCORED).deliver(*run)
    assert (again.predictions, again.rejected, again.again) == (0, 0, True)
    scored, rejected = catalog.load_table("shop.scored"), catalog.load_table("shop.scored_rejected")
    assert (len(scored.snapshots()), len(rejected.snapshots())) == (1, 1)
    decisions = {row["customer_id"]: row["churn"] for row in rows_of_table(scored)}
    assert decisions == {101: False, 102: True, 103: False, 104: True}
    assert {row["reason"] for row in rows_of_table(rejected)} == {"missing_field", "wrong_type"}
    snapshot = scored.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary["tandem.run"] == run_digest(run[1])
    check(to(SCORED), lesson)


def test_another_run_is_added_to_what_is_there(catalog: Catalog, run: tuple[Path, Predictions]) -> None:
    to(SCORED).deliver(*run)
    other = run[1].model_copy(update={"tandem": "another version"})
    assert to(SCORED).deliver(run[0], other).predictions == 4
    table = catalog.load_table("shop.scored")
    assert (len(table.snapshots()), len(rows_of_table(table))) == (2, 8)
    # One that was taken back may be delivered again.
    table.manage_snapshots().rollback_to_snapshot(table.history()[0].snapshot_id).commit()
    assert to(SCORED).deliver(run[0], other).predictions == 4


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("table", ["scored_rejected", "scored"])
def test_of_two_deliveries_of_a_run_at_once_one_adds_its_rows(
    catalog: Catalog,
    run: tuple[Path, Predictions],
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    *,
    same: bool,
) -> None:
    """Both have looked for the run before either commits; another run's rows are not in the way."""
    to(SCORED).deliver(run[0], run[1].model_copy(update={"tandem": "before"}))
    other = run[1].model_copy(update={"tandem": "other"})
    first, second = to(SCORED), to(SCORED)
    holds = type(second)._holds
    overtaken: list[bool] = []

    def overtake(self: LakeTable, found: Table, digest: str) -> bool:
        answer = holds(self, found, digest)
        if self is second and not overtaken and found.name() == ("shop", table):
            overtaken.append(True)
            first.deliver(run[0], run[1] if same else other)
        return answer

    monkeypatch.setattr(type(second), "_holds", overtake)
    assert second.deliver(*run).predictions == (0 if same else 4)
    assert overtaken
    assert len(rows_of_table(catalog.load_table("shop.scored"))) == (8 if same else 12)
    assert len(rows_of_table(catalog.load_table("shop.scored_rejected"))) == (4 if same else 6)


def test_a_delivery_that_is_broken_off_leaves_the_predictions_as_they_were_and_can_be_repeated(
    catalog: Catalog, run: tuple[Path, Predictions], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = destinations_lakes._rows

    def broken(folder: Path, parts: Sequence[Any], *more: Any) -> Any:
        for batch in rows(folder, parts, *more):
            yield batch
            if parts[0].file.startswith("part-"):
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(destinations_lakes, "_rows", broken)
        with pytest.raises(KeyboardInterrupt):
            to(SCORED).deliver(*run)
    assert not catalog.table_exists("shop.scored")
    assert len(rows_of_table(catalog.load_table("shop.scored_rejected"))) == 2
    done = to(SCORED).deliver(*run)
    assert (done.predictions, done.rejected) == (4, 0)


def test_a_table_of_other_columns_is_refused_before_anything_is_scored(
    catalog: Catalog, lesson: Path
) -> None:
    columns = plain(prediction_schema(read_model(lesson)))
    place = columns.get_field_index("score")
    cases = {
        "has no column score": columns.remove(place),
        "has the column score as string, and it is double": columns.set(
            place, pa.field("score", pa.string())
        ),
        "column note must have a value": columns.append(pa.field("note", pa.string(), nullable=False)),
    }
    for number, (said, schema) in enumerate(cases.items()):
        catalog.create_table(f"shop.t{number}", schema)
        with pytest.raises(InputError, match=said):
            check(to(f"iceberg:local/shop.t{number}"), lesson)


def test_a_table_with_partitions_and_further_columns_takes_a_run(
    catalog: Catalog, lesson: Path, run: tuple[Path, Predictions]
) -> None:
    schema = pa.schema([pa.field("note", pa.string()), *plain(prediction_schema(read_model(lesson)))])
    table = catalog.create_table("shop.scored", schema)
    with table.update_spec() as update:
        update.add_identity("churn")
    check(to(SCORED), lesson)
    assert to(SCORED).deliver(*run).predictions == 4
    rows = rows_of_table(catalog.load_table("shop.scored"))
    assert {row["note"] for row in rows} == {None}
    assert sorted(row["score"] for row in rows) == [0.2, 0.5, 0.8, 0.9]


def test_rejected_rows_may_bring_further_columns(catalog: Catalog, run: tuple[Path, Predictions]) -> None:
    few = pa.table({"position": ["a/0"], "reason": ["missing_field"], "detail": ["no x"]})
    catalog.create_table("shop.scored_rejected", few.schema).append(few)
    assert to(SCORED).deliver(*run).rejected == 2
    rows = rows_of_table(catalog.load_table("shop.scored_rejected"))
    assert {row["customer_id"] for row in rows} == {None, "105", "106"}


def test_an_address_that_cannot_be_written_to_is_refused(catalog: Catalog, lesson: Path) -> None:
    assert catalog.list_namespaces() == [("shop",)]
    with pytest.raises(ConfigurationError, match="last snapshot only"):
        to(f"{SCORED}@3")
    with pytest.raises(InputError, match="the catalog has no namespace other"):
        check(to("iceberg:local/other.scored"), lesson)


def _private_names(module: ast.Module) -> list[str]:
    """The private names that a module takes from pyiceberg, and those of objects that are not its own."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyiceberg"):
            found += [alias.name for alias in node.names if alias.name.startswith("_")]
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in {"self", "super()"}:
            found += [node.attr] if node.attr.startswith("_") and not node.attr.endswith("__") else []
    return found


def test_private_parts_of_pyiceberg_are_used_in_one_file_alone() -> None:
    """A new minor version of it means a look at that file, and at no other."""
    using = {}
    for path in sorted((ROOT / "batch").rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if "pyiceberg" in path.read_text(encoding="utf-8") and (found := _private_names(module)):
            using[path.name] = found
    assert list(using) == ["pyiceberg_private.py"]
    assert "_FastAppendFiles" in using["pyiceberg_private.py"]
