"""Delta tables: scored at one version, and added to once."""

import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from batch.destinations import Target, destination_of
from batch.destinations import lakes as destinations_lakes
from batch.destinations.base import Delivered, run_digest
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
from tests.support.lakes import lake_scores, rows_of_table, run_of, scores_of
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_model(tmp_path_factory.mktemp("linear"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of the lesson's customers, in two versions."""
    path = tmp_path / "customers"
    write_deltalake(path, pa.table({"customer_id": [101, 102], "feature": [0.2, 0.8]}))
    write_deltalake(path, pa.table({"customer_id": [103, 104], "feature": [0.5, 0.9]}), mode="append")
    return path


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return threshold_model(tmp_path_factory.mktemp("threshold"))


def test_rows_score_as_those_of_a_parquet_file_do(tmp_path: Path, model: Path) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    write_deltalake(tmp_path / "rows", ROWS)
    expected = scores_of([FileRows(Source(tmp_path / "rows.parquet", "rows"), Reading())], model)
    found = lake_scores(f"delta:{tmp_path}/rows", model)
    assert len(set(map(str, expected.values()))) > 5
    assert list(found.values()) == list(expected.values())


def test_values_of_partitions_are_columns_like_others(tmp_path: Path) -> None:
    inputs: list[dict[str, Any]] = [
        {"name": "tenure", "type": "integer", "default": 1},
        {"name": "region", "type": "category", "values": ["north", "a b/é"], "default": "north"},
    ]
    weights = {"tenure": 0.01, "region": {"north": 0.5, "a b/é": -0.5}}
    golden = [{"customer_id": 1, "tenure": 3, "region": "a b/é"}]
    model = linear_model(tmp_path / "m", inputs=inputs, weights=weights, golden=golden)
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    write_deltalake(tmp_path / "rows", ROWS, partition_by=["region"])
    expected = scores_of([FileRows(Source(tmp_path / "rows.parquet", "rows"), Reading())], model)
    found = lake_scores(f"delta:{tmp_path}/rows", model)
    assert sorted(map(str, found.values())) == sorted(map(str, expected.values()))
    assert all(position.startswith("rows/region=") for position in found)


def test_neither_batches_nor_splits_change_an_answer(tmp_path: Path, model: Path) -> None:
    write_deltalake(tmp_path / "rows", ROWS, mode="append")
    (file,) = tmp_path.glob("rows/*.parquet")
    # Row groups as another writer would make them; the log goes by the file's length alone.
    pq.write_table(ROWS, file, row_group_size=3)
    log = next(tmp_path.glob("rows/_delta_log/*.json"))
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        action.get("add", {})["size"] = file.stat().st_size
    log.write_text("\n".join(map(json.dumps, actions)))
    address = f"delta:{tmp_path}/rows"
    expected = lake_scores(address, model)
    assert len(expected) == len(ROWS)
    assert lake_scores(address, model, split_rows=4, batch_rows=2) == expected
    (source,) = sources(address)
    predictor = Predictor.load(model)
    assert [(split.first, split.rows) for split in source.splits(predictor, 6)] == [(0, 6), (6, 4)]
    for skip in range(5):
        (last,) = source.splits(predictor, 6)[1:]
        rows = [row for chunk in source.chunks(predictor, last, skip) for row in chunk.rows.tolist()]
        assert rows == list(range(6 + skip, 10))


def test_the_version_stays_the_one_that_was_opened(table: Path, lesson: Path) -> None:
    lake = open_lake(f"delta:{table}")
    write_deltalake(table, pa.table({"customer_id": [105], "feature": [0.7]}), mode="append")
    assert lake.address == f"delta:{table}@1"
    # It is opened anew in another process.
    again = pickle.loads(pickle.dumps(lake))  # noqa: S301 - what was pickled here
    assert again.files == lake.files
    assert len(lake_scores(lake.address, lesson)) == 4
    assert len(lake_scores(f"delta:{table}", lesson)) == 5
    assert len(lake_scores(f"delta:{table}@0", lesson)) == 2


def test_what_a_source_is_known_by_tells_versions_apart(table: Path) -> None:
    old, new = sources(f"delta:{table}@0"), sources(f"delta:{table}@1")
    (name,) = {source.name for source in old} & {source.name for source in new}
    digests = [source.digest() for source in (*old, *new) if source.name == name]
    assert len(set(digests)) == 2
    assert digests[0] == sources(f"delta:{table}@0")[0].digest()


def test_a_column_that_older_files_lack_has_its_default(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "rows"
    old = ROWS.select(["customer_id", "tenure", "partner", "contract"]).slice(0, 2)
    write_deltalake(path, old)
    write_deltalake(path, ROWS.slice(0, 2), mode="append", schema_mode="merge")
    found = lake_scores(f"delta:{path}", model)
    pq.write_table(old, tmp_path / "old.parquet")
    alone = scores_of([FileRows(Source(tmp_path / "old.parquet", "old"), Reading())], model)
    assert len(found) == 4
    # The second row has no charges in either file.
    assert len(set(found.values())) == 3
    assert set(alone.values()) <= set(found.values())


def sources(address: str) -> list[LakeRows]:
    return sources_of_lakes([open_lake(address)], Reading())


def refused(address: str, model: Path) -> str:
    with pytest.raises((InputError, ConfigurationError)) as raised:
        lake_scores(address, model)
    assert raised.value.hint
    return raised.value.message


def test_a_table_that_cannot_be_read_is_named(table: Path, lesson: Path, tmp_path: Path) -> None:
    assert refused(f"delta:{tmp_path}/other", lesson) == f"delta:{tmp_path}/other: there is no Delta table"
    assert refused(f"delta:{tmp_path}", lesson) == f"delta:{tmp_path}: there is no Delta table"
    assert refused(f"delta:{table}@7", lesson) == f"delta:{table}@7: there is no such version"
    assert refused("delta:", lesson) == "delta:: no table is named"


def test_a_missing_column_is_named(table: Path, model: Path) -> None:
    assert refused(f"delta:{table}", model) == f"delta:{table}@1: the column 'tenure' is missing"


def test_a_table_without_rows_is_named(tmp_path: Path, lesson: Path) -> None:
    DeltaTable.create(tmp_path / "empty", pa.schema([("customer_id", pa.int64()), ("feature", pa.float64())]))
    assert refused(f"delta:{tmp_path}/empty", lesson).endswith("empty@0: the table has no rows")


def test_a_table_with_rows_deleted_in_place_is_refused(table: Path, lesson: Path) -> None:
    """The library's reader of files would give the deleted rows, too."""
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    protocol = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}
    (table / "_delta_log" / f"{2:020}.json").write_text(json.dumps(protocol))
    assert "deletionVectors" in refused(f"delta:{table}", lesson)


def test_a_data_file_that_was_cleaned_up_is_named(table: Path, lesson: Path) -> None:
    file = min(table.glob("*.parquet"))
    file.unlink()
    assert f"delta:{table}@1: the data file {file.name} cannot be read" in refused(f"delta:{table}", lesson)


def test_without_its_library_the_extra_is_named(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    for attempt in (lambda: open_lake(f"delta:{table}"), lambda: to(f"delta:{table}")):
        with pytest.raises(ConfigurationError, match=r"tandem-scorer\[delta\]"):
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


def test_a_run_is_added_in_one_commit_and_once(
    tmp_path: Path, lesson: Path, run: tuple[Path, Predictions]
) -> None:
    destination = to(f"delta:{tmp_path}/scored")
    check(destination, lesson)
    done = destination.deliver(*run)
    assert (done.predictions, done.rejected, done.again) == (4, 2, False)
    again = to(f"delta:{tmp_path}/scored").deliver(*run)
    assert (again.predictions, again.rejected, again.again) == (0, 0, True)
    scored, rejected = DeltaTable(tmp_path / "scored"), DeltaTable(tmp_path / "scored_rejected")
    assert (scored.version(), rejected.version()) == (0, 0)
    decisions = {row["customer_id"]: row["churn"] for row in rows_of_table(scored)}
    assert decisions == {101: False, 102: True, 103: False, 104: True}
    assert {row["reason"] for row in rows_of_table(rejected)} == {"missing_field", "wrong_type"}
    assert scored.history(1)[0]["tandem.run"] == run_digest(run[1])
    check(destination, lesson)


def test_another_run_is_added_to_what_is_there(tmp_path: Path, run: tuple[Path, Predictions]) -> None:
    destination = to(f"delta:{tmp_path}/scored")
    destination.deliver(*run)
    other = run[1].model_copy(update={"tandem": "another version"})
    assert destination.deliver(run[0], other).predictions == 4
    table = DeltaTable(tmp_path / "scored")
    assert (table.version(), len(rows_of_table(table))) == (1, 8)


@pytest.mark.parametrize("table", ["scored_rejected", "scored"])
def test_of_two_deliveries_at_once_one_adds_the_rows(
    tmp_path: Path, run: tuple[Path, Predictions], monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Both have looked for the run in the table before either of them commits."""
    to(f"delta:{tmp_path}/scored").deliver(run[0], run[1].model_copy(update={"tandem": "another"}))
    first, second = to(f"delta:{tmp_path}/scored"), to(f"delta:{tmp_path}/scored")
    holds = type(second)._holds
    overtaken: list[Delivered] = []

    def overtake(self: LakeTable, found: Any, digest: str) -> bool:
        answer = holds(self, found, digest)
        if self is second and not overtaken and found.table_uri.rstrip("/").endswith(f"/{table}"):
            overtaken.append(first.deliver(*run))
        return answer

    monkeypatch.setattr(type(second), "_holds", overtake)
    assert second.deliver(*run).predictions == 0
    assert overtaken[0].predictions == 4
    assert len(rows_of_table(DeltaTable(tmp_path / "scored"))) == 8
    assert len(rows_of_table(DeltaTable(tmp_path / "scored_rejected"))) == 4


def test_a_delivery_that_is_broken_off_leaves_the_predictions_as_they_were_and_can_be_repeated(
    tmp_path: Path, run: tuple[Path, Predictions], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = destinations_lakes._rows
    address = f"delta:{tmp_path}/scored"

    def broken(folder: Path, parts: Sequence[Any], *more: Any) -> Any:
        for batch in rows(folder, parts, *more):
            yield batch
            if parts[0].file.startswith("part-"):
                raise KeyboardInterrupt

    monkeypatch.setattr(destinations_lakes, "_rows", broken)
    with pytest.raises(KeyboardInterrupt):
        to(address).deliver(*run)
    assert not DeltaTable.is_deltatable(str(tmp_path / "scored"))
    assert len(rows_of_table(DeltaTable(tmp_path / "scored_rejected"))) == 2
    monkeypatch.undo()
    done = to(address).deliver(*run)
    assert (done.predictions, done.rejected) == (4, 0)
    assert len(rows_of_table(DeltaTable(tmp_path / "scored_rejected"))) == 2


def test_a_damaged_part_is_named_and_not_delivered(tmp_path: Path, lesson: Path) -> None:
    folder, manifest = run_of(tmp_path / "run", lesson)
    part = folder / manifest.parts[0].file
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"{part.name}: cannot be read"):
        to(f"delta:{tmp_path}/scored").deliver(folder, manifest)
    assert not DeltaTable.is_deltatable(str(tmp_path / "scored"))


def test_a_table_of_other_columns_is_refused_before_anything_is_scored(tmp_path: Path, lesson: Path) -> None:
    columns = pa.schema([*prediction_schema(read_model(lesson))])
    columns = pa.schema(
        [
            each.with_type(each.type.value_type) if pa.types.is_dictionary(each.type) else each
            for each in columns
        ]
    )
    place = columns.get_field_index("score")
    cases = {
        "has no column score": columns.remove(place),
        "has the column score as string, and it is double": columns.set(
            place, pa.field("score", pa.string())
        ),
        "column note must have a value": columns.append(pa.field("note", pa.string(), nullable=False)),
        "wants a value in the column event_id": columns.set(
            2, pa.field("event_id", pa.string(), nullable=False)
        ),
    }
    for number, (said, schema) in enumerate(cases.items()):
        DeltaTable.create(tmp_path / str(number), schema)
        with pytest.raises(InputError, match=said):
            check(to(f"delta:{tmp_path}/{number}"), lesson)


def test_further_columns_of_a_table_are_null(
    tmp_path: Path, lesson: Path, run: tuple[Path, Predictions]
) -> None:
    """Also when they come first, and when the table has partitions."""
    columns = [
        each.with_type(each.type.value_type) if pa.types.is_dictionary(each.type) else each
        for each in prediction_schema(read_model(lesson))
    ]
    schema = pa.schema([pa.field("note", pa.string()), *columns])
    DeltaTable.create(tmp_path / "scored", schema, partition_by=["churn"])
    destination = to(f"delta:{tmp_path}/scored")
    check(destination, lesson)
    assert destination.deliver(*run).predictions == 4
    rows = rows_of_table(DeltaTable(tmp_path / "scored"))
    assert {row["note"] for row in rows} == {None}
    assert sorted(row["score"] for row in rows) == [0.2, 0.5, 0.8, 0.9]


def test_rejected_rows_may_bring_further_columns(tmp_path: Path, run: tuple[Path, Predictions]) -> None:
    path = tmp_path / "scored_rejected"
    write_deltalake(path, pa.table({"position": ["a/0"], "reason": ["missing_field"], "detail": ["no x"]}))
    assert to(f"delta:{tmp_path}/scored").deliver(*run).rejected == 2
    rows = rows_of_table(DeltaTable(path))
    assert len(rows) == 3
    assert {row["customer_id"] for row in rows} == {None, "105", "106"}


def test_an_address_that_cannot_be_written_to_is_refused(tmp_path: Path, lesson: Path) -> None:
    with pytest.raises(ConfigurationError, match="last version only"):
        to(f"delta:{tmp_path}/scored@3")
    with pytest.raises(ConfigurationError, match="names the table already"):
        destination_of(Target(f"delta:{tmp_path}/scored", table="other"))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="the table cannot be read"):
        check(to(f"delta:{tmp_path}/file"), lesson)


def test_a_column_without_a_type_of_the_format_is_named(tmp_path: Path, lesson: Path) -> None:
    schema = prediction_schema(read_model(lesson)).append(pa.field("since", pa.duration("s")))
    with pytest.raises(ConfigurationError, match=r"no type for the column since, which is duration\[s\]"):
        to(f"delta:{tmp_path}/scored").check(schema, REJECTED_SCHEMA)
