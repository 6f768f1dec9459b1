"""`batch score` from a table of a lake and to one: the whole command, for both formats alike."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog import Catalog

from batch.__main__ import main as batch
from batch.score import main
from shared.command import run
from shared.errors import ExitCode
from tests.support.lakes import iceberg_catalog, rows_of_table
from tests.support.models import linear_model
from tests.support.tables import manifest_of, rejected, scored

COUNT = 500
ROWS = pa.table(
    {
        "customer_id": pa.array([None if row % 97 == 5 else row for row in range(COUNT)], pa.int64()),
        "tenure": pa.array([None if row % 89 == 7 else row * 3 for row in range(COUNT)], pa.int32()),
        "charges": [None if row % 5 == 0 else row / 7 for row in range(COUNT)],
        "partner": [row % 3 == 0 for row in range(COUNT)],
        "contract": [("monthly", "yearly", "é", "unknown")[row % 7 % 4] for row in range(COUNT)],
        "note": [f"note {row}" for row in range(COUNT)],
    }
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_model(tmp_path_factory.mktemp("linear"))


class Lake:
    """A table of one of the formats, and what is in the table that a run is delivered to."""

    def __init__(self, kind: str, folder: Path, catalog: Catalog) -> None:
        self.kind, self._folder, self._catalog = kind, folder, catalog

    def address(self, name: str) -> str:
        return f"delta:{self._folder}/{name}" if self.kind == "delta" else f"iceberg:local/shop.{name}"

    def write(self, name: str, rows: pa.Table) -> None:
        if self.kind == "delta":
            write_deltalake(self._folder / name, rows, mode="append")
        elif self._catalog.table_exists(f"shop.{name}"):
            self._catalog.load_table(f"shop.{name}").append(rows)
        else:
            self._catalog.create_table(f"shop.{name}", rows.schema).append(rows)

    def rows(self, name: str) -> list[dict[str, object]]:
        if self.kind == "delta":
            return [dict(row) for row in rows_of_table(DeltaTable(self._folder / name))]
        return [dict(row) for row in rows_of_table(self._catalog.load_table(f"shop.{name}"))]


@pytest.fixture(params=["delta", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    with iceberg_catalog(tmp_path, monkeypatch) as catalog:
        yield Lake(request.param, tmp_path, catalog)


Score = Callable[..., int]


@pytest.fixture
def score(model: Path) -> Score:
    def call(*arguments: object) -> int:
        return run(main, [*map(str, arguments), "--model", str(model)])

    return call


def test_a_table_scores_as_a_parquet_file_of_its_rows_does(tmp_path: Path, lake: Lake, score: Score) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    lake.write("rows", ROWS)
    shape = ("--columns", "note", "--where", "note != 'note 3'")
    assert score(tmp_path / "rows.parquet", "--output", tmp_path / "one", *shape) == ExitCode.DONE
    options = ("--batch-rows", 33, "--part-rows", 100, "--workers", 2)
    assert score(lake.address("rows"), "--output", tmp_path / "two", *shape, *options) == ExitCode.DONE

    def without_ids(folder: Path) -> list[dict[str, object]]:
        return [row | {"prediction_id": row["prediction_id"].rpartition("/")[2]} for row in scored(folder)]

    assert without_ids(tmp_path / "two") == without_ids(tmp_path / "one")
    assert list(rejected(tmp_path / "two").values()) == list(rejected(tmp_path / "one").values())
    manifest = manifest_of(tmp_path / "two")
    assert manifest.counts == manifest_of(tmp_path / "one").counts
    assert manifest.counts.scored > 300
    assert len(manifest.counts.rejected) > 1
    (entry,) = manifest.inputs
    assert entry.format == lake.kind
    # Which version was scored is written down.
    assert f"{lake.address('rows')}@" in manifest.settings["input"]


def test_a_run_goes_on_at_the_version_that_it_began_with(
    tmp_path: Path, lake: Lake, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.write("rows", ROWS)
    table, whole, broken = lake.address("rows"), tmp_path / "whole", tmp_path / "broken"
    assert score(table, "--output", whole, "--part-rows", 100) == ExitCode.DONE
    version = manifest_of(whole).settings["input"].rpartition("@")[2].strip("']")
    lake.write("rows", ROWS)
    assert score(table, "--output", whole, "--part-rows", 100, "--resume") == ExitCode.UNREADABLE
    assert "cannot be resumed: --input was" in capsys.readouterr().err
    assert score(f"{table}@{version}", "--output", whole, "--part-rows", 100, "--resume") == ExitCode.DONE
    assert score(f"{table}@{version}", "--output", broken, "--part-rows", 100) == ExitCode.DONE
    assert [part.sha256 for part in manifest_of(broken).parts] == [
        part.sha256 for part in manifest_of(whole).parts
    ]


def test_a_run_is_delivered_to_a_table_once(
    tmp_path: Path, lake: Lake, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.write("rows", ROWS)
    source, target = lake.address("rows"), lake.address("scored")
    assert score(source, "--output", tmp_path / "folder", "--columns", "note") == ExitCode.DONE
    capsys.readouterr()
    assert score(source, "--output", target, "--columns", "note", "--part-rows", 100) == ExitCode.DONE
    counts = manifest_of(tmp_path / "folder").counts
    told = f"{target} ({counts.scored:,} predictions and {counts.read - counts.scored:,} rejected rows)"
    assert told in capsys.readouterr().out
    assert score(source, "--output", target, "--columns", "note", "--part-rows", 100) == ExitCode.DONE
    assert f"{target} (the run is there already: nothing was added)" in capsys.readouterr().out

    expected = {row["prediction_id"]: row["score"] for row in scored(tmp_path / "folder")}
    assert {row["prediction_id"]: row["score"] for row in lake.rows("scored")} == expected
    assert len(lake.rows("scored")) == counts.scored
    assert {row["position"]: row["reason"] for row in lake.rows("scored_rejected")} == rejected(
        tmp_path / "folder"
    )
    # They hold all columns of the table that they were read from.
    notes = {row["position"]: row["note"] for row in lake.rows("scored_rejected")}
    assert notes == {position: "note " + str(position).rpartition("/")[2] for position in notes}


def test_what_cannot_be_done_is_said_before_anything_is_written(
    tmp_path: Path, lake: Lake, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.write("rows", ROWS)
    source, target = lake.address("rows"), lake.address("scored")
    cases = (
        (
            (source, source, "--output", tmp_path / "out"),
            ExitCode.UNREADABLE,
            "another input holds rows of this name",
        ),
        ((f"{source}other", "--output", tmp_path / "out"), ExitCode.UNREADABLE, "there is no"),
        ((source, "--output", f"{target}@1"), ExitCode.USAGE, "only"),
        ((source, "--output", target, "--output-table", "x"), ExitCode.USAGE, "names the table already"),
        ((source, "--output", lake.address("rows")), ExitCode.UNREADABLE, "has no column prediction_id"),
    )
    for arguments, status, said in cases:
        assert score(*arguments) == status
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
    assert not (tmp_path / "out").exists()
    assert len(lake.rows("rows")) == COUNT


def test_a_run_that_was_delivered_and_then_retried_is_not_added_again(
    tmp_path: Path, lake: Lake, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, folder, table = tmp_path / "rows.ndjson", tmp_path / "scored", lake.address("answers")
    row = '{"customer_id": %d, "tenure": %s, "partner": true, "contract": "yearly"}\n'
    lines.write_text(row % (1, "3") + row % (2, "null"))
    assert score(lines, "--output", folder, "--format", "parquet") == ExitCode.DONE
    assert run(batch, ["deliver", str(folder), "--output", table]) == ExitCode.DONE
    before = lake.rows("answers")
    (kept,) = manifest_of(folder).rejected
    held = pq.read_table(folder / kept.file)
    fixed = [text.replace("null", "5") for text in held.column("raw").to_pylist()]
    place = held.schema.get_field_index("raw")
    pq.write_table(held.set_column(place, "raw", pa.array(fixed)), tmp_path / "fixed.parquet")
    assert run(batch, ["retry", str(folder), str(tmp_path / "fixed.parquet")]) == ExitCode.DONE
    assert run(batch, ["deliver", str(folder), "--output", table]) == ExitCode.UNREADABLE
    assert "was delivered before some of its rows were retried" in capsys.readouterr().err
    assert lake.rows("answers") == before
    assert run(batch, ["deliver", str(folder), "--output", lake.address("anew")]) == ExitCode.DONE
    assert len(lake.rows("anew")) == 2
