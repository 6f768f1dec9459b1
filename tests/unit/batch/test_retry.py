"""Rejected, fixed and retried rows get the scores that they would have had in the first run, to the bit."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.folder import LocalFolder
from batch.manifest import Counts, read_manifest
from shared.errors import ExitCode
from shared.events import MAX_EVENT_BYTES
from tests.support.commands import ROOT, environment
from tests.support.fixing import Fix, Row, fix, read_rows, rejected_files
from tests.support.models import change_model, linear_model
from tests.support.tables import manifest_of, rejected, scored, write_rows
from tests.unit.batch.test_snapshots import VALUES, write_snapshot

GOOD: list[Row] = [
    {
        "customer_id": n,
        "tenure": n,
        "charges": n / 7,
        "partner": n % 2 == 0,
        "contract": ("monthly", "yearly", "é")[n % 3],
        "note": f"n{n}",
    }
    for n in range(40)
]
#: What is wrong in the first run, by row.
BROKEN: dict[int, Row] = {
    3: {"tenure": -1},
    4: {"partner": None},
    11: {"contract": "weekly"},
    12: {"customer_id": None},
    30: {"charges": None, "tenure": 99_999},
}
BAD: list[Row] = [{**row, **BROKEN.get(number, {})} for number, row in enumerate(GOOD)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_model(tmp_path_factory.mktemp("models") / "linear")


def score(model: Path, path: Path, folder: Path, *more: str) -> Path:
    assert main(["score", str(path), f"--model={model}", f"--output={folder}", *more]) == ExitCode.DONE
    return folder


def retry(folder: Path, *fixed: Path, code: int = ExitCode.DONE, more: tuple[str, ...] = ()) -> None:
    assert main(["retry", str(folder), *map(str, fixed), *more]) == code


def as_good(row: Row) -> Row:
    """A rejected row of BAD with the values of GOOD, in the form that its file holds them."""
    good = GOOD[int(row["position"].rpartition("/")[2])]
    if row.get("raw"):
        return {**row, "raw": json.dumps(good)}
    if row["position"].startswith("rows.csv") and "raw" in row:
        good = {name: str(value).lower() if name == "partner" else str(value) for name, value in good.items()}
    own = {"original_customer_id" if name == "customer_id" else name: value for name, value in good.items()}
    return {**row, **own}


def by_id(folder: Path) -> dict[str, Row]:
    return {row["prediction_id"]: row for row in scored(folder)}


@pytest.mark.parametrize("output_format", ["parquet", "csv", "ndjson", "arrow"])
@pytest.mark.parametrize("form", ["csv", "parquet", "ndjson", "arrow"])
def test_fixed_rows_are_scored_as_in_the_first_run(
    tmp_path: Path, model: Path, form: str, output_format: str
) -> None:
    options = (f"--format={output_format}", "--explain=2", "--columns=note,tenure", "--part-rows=7")
    whole = score(model, write_rows(tmp_path / "good", form, GOOD), tmp_path / "whole", *options)
    folder = score(model, write_rows(tmp_path / "bad", form, BAD), tmp_path / "out", *options)
    assert len(rejected(folder)) == len(BROKEN)
    change: Fix = as_good if form != "csv" or output_format != "ndjson" else _as_cells
    fixed = [
        fix(path, tmp_path / f"fixed-{n}{path.suffix}", change)
        for n, path in enumerate(rejected_files(folder))
    ]
    retry(folder, *fixed)
    assert by_id(folder) == by_id(whole)
    after, expected = manifest_of(folder), manifest_of(whole)
    assert (after.counts, after.ledger, after.rejected) == (expected.counts, expected.ledger, [])
    assert after.retries[0].counts == Counts(read=5, scored=5, rejected={})
    assert [entry.name for entry in after.retries[0].inputs] == [path.name for path in fixed]
    assert main(["compare", str(whole), str(folder)]) == ExitCode.DONE
    # The manifest before it is kept, with every file that it lists.
    (folder / "manifest-001.json").replace(folder / "manifest.json")
    assert read_manifest(folder).parts == after.parts[: len(read_manifest(folder).parts)]


def _as_cells(row: Row) -> Row:
    """A row of CSV in a line of JSON: its cells are texts, and so is what a person writes there."""
    return as_good({**row, "raw": None})


def test_rows_without_columns_are_fixed_by_their_columns_or_their_text(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "rows.csv"
    header = b"customer_id;tenure;charges;partner;contract\n"
    path.write_bytes(header + b'1;3;2.5;true;monthly;x\n2;"3;2";true;yearly\n3;4;1;false;\xe9\n')
    folder = score(model, path, tmp_path / "out", "--format=csv", "--delimiter=;")
    assert set(rejected(folder).values()) == {"ragged_row", "invalid_utf8"}

    def change(row: Row) -> Row:
        number = row["position"][-1]
        if number == "0":
            return {**row, "raw": row["raw"].removesuffix(";x")}
        filled = {"tenure": "3", "charges": "2.5", "partner": "true", "contract": "é"}
        return {**row, "original_customer_id": number, **filled}

    retry(folder, fix(rejected_files(folder)[0], tmp_path / "fixed.csv", change))
    path.write_bytes(header + b"1;3;2.5;true;monthly\n" + "1;3;2.5;true;é\n2;3;2.5;true;é\n".encode())
    assert by_id(folder) == by_id(score(model, path, tmp_path / "whole", "--delimiter=;", "--format=csv"))


def test_columns_are_read_as_the_run_read_them(tmp_path: Path) -> None:
    inputs = [{"name": "size", "type": "number"}, {"name": "raw", "type": "number"}]
    golden = [{"id": 1, "size": 1, "raw": 2}]
    model = linear_model(
        tmp_path / "m", inputs=inputs, weights={"size": 0.1, "raw": 0.3}, golden=golden, key="id"
    )
    good = [{"ID": n, "Größe": n / 3, "RAW": n / 9, "size": "no number"} for n in range(9)]
    bad = [{**row, "Größe": None} if row["ID"] == 4 else row for row in good]
    options = ("--map=size=Größe", "--ignore-case", "--columns=größe")
    for form in ("csv", "parquet"):
        whole = score(model, write_rows(tmp_path / "good", form, good), tmp_path / f"whole-{form}", *options)
        folder = score(model, write_rows(tmp_path / "bad", form, bad), tmp_path / form, *options)
        size: Any = repr(4 / 3) if form == "csv" else 4 / 3

        def with_size(row: Row, size: Any = size) -> Row:
            return {**row, "Größe": size}

        fixed = fix(rejected_files(folder)[0], tmp_path / "fixed.parquet", with_size)
        retry(folder, fixed)
        assert by_id(folder) == by_id(whole)


def test_records_of_a_topic_are_fixed_as_events(tmp_path: Path, model: Path) -> None:
    snapshot = write_snapshot(tmp_path / "snapshot", model)
    folder = score(model, snapshot, tmp_path / "out", "--format=ndjson")
    event = json.loads(VALUES[0] or b"")
    rows = read_rows(rejected_files(folder)[0])
    assert {row["key"] for row in rows} == {"k", None}
    before = manifest_of(folder)

    def change(row: Row) -> Row | None:
        return {**row, "raw": json.dumps(event)} if row["reason"] == "wrong_type" else None

    retry(folder, *(fix(path, tmp_path / path.name, change) for path in rejected_files(folder)))
    after = manifest_of(folder)
    assert after.counts.scored == before.counts.scored + 2
    assert "wrong_type" not in after.counts.rejected
    assert after.ledger["customers/0"].scored == before.ledger["customers/0"].scored + 1
    first, again = (by_id(folder)[f"customers/0/{offset}"] for offset in (0, 9))
    assert {**first, "prediction_id": ""} == {**again, "prediction_id": ""}


@pytest.mark.parametrize("output_format", ["parquet", "csv", "ndjson", "arrow"])
def test_rows_that_are_left_out_or_not_fixed_stay_rejected(
    tmp_path: Path, model: Path, output_format: str
) -> None:
    source = write_rows(tmp_path, "csv", BAD)
    folder = score(model, source, tmp_path / "out", f"--format={output_format}", "--part-rows=20")
    first, second = rejected_files(folder)
    reasons = rejected(folder)

    def change(row: Row) -> Row | None:
        number = int(row["position"].rpartition("/")[2])
        return None if number == 3 else {**row, "tenure": "x"} if number == 11 else _as_cells_of(row)

    retry(folder, fix(first, tmp_path / first.name, change))
    after = manifest_of(folder)
    assert rejected(folder) == {
        "rows.csv/3": reasons["rows.csv/3"],
        "rows.csv/11": "wrong_type",
        "rows.csv/30": reasons["rows.csv/30"],
    }
    assert (after.counts.read, after.counts.scored) == (40, 37)
    assert sum(after.counts.rejected.values()) == len(rejected(folder))
    assert second.name in [part.file for part in after.rejected]
    # What is rejected after a retry can be retried again.
    retry(
        folder,
        *(fix(path, tmp_path / f"again-{path.name}", _as_cells_of) for path in rejected_files(folder)),
    )
    assert not rejected(folder)
    assert by_id(folder) == by_id(
        score(model, write_rows(tmp_path / "g", "csv", GOOD), tmp_path / "whole", f"--format={output_format}")
    )
    assert len(manifest_of(folder).retries) == 2


def _as_cells_of(row: Row) -> Row:
    return as_good({**row, "raw": row.get("raw")})


@pytest.mark.parametrize("output_format", ["parquet", "csv", "ndjson"])
def test_a_text_that_was_not_utf8_is_not_scored_until_it_is_fixed(
    tmp_path: Path, model: Path, output_format: str
) -> None:
    table = pa.Table.from_pylist(GOOD[:2])
    broken = pa.array([b"monthl\xff", b"yearly"]).view(pa.string())
    pq.write_table(table.set_column(4, "contract", broken), tmp_path / "a.parquet")
    folder = score(model, tmp_path / "a.parquet", tmp_path / "out", f"--format={output_format}")
    (path,) = rejected_files(folder)
    retry(folder, fix(path, tmp_path / f"same{path.suffix}", lambda row: row))
    assert rejected(folder) == {"a.parquet/0": "invalid_utf8"}
    (path,) = rejected_files(folder)
    retry(folder, fix(path, tmp_path / f"fixed{path.suffix}", lambda row: {**row, "contract": "monthly"}))
    assert not rejected(folder)


def test_a_row_that_is_scored_already_is_known_by_its_folder_too(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files of a folder that a decision names do not hold the decision."""
    source = write_rows(tmp_path, "csv", BAD)
    folder = score(model, source, tmp_path / "out", "--partition-by=decision")
    (path,) = rejected_files(folder)
    fixed = fix(path, tmp_path / f"fixed{path.suffix}", as_good)
    retry(folder, fixed)
    retry(folder, fixed, code=ExitCode.UNREADABLE)
    assert f"{source.name}/3 is scored already" in capsys.readouterr().err


Change = Callable[[list[Row]], list[Row]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [*rows, rows[0]], "rows.csv/3 is there twice"),
        (lambda rows: [{**rows[0], "position": "rows.csv/0"}], "rows.csv/0 is scored already"),
        (lambda rows: [{**rows[0], "position": "rows.csv/77"}], "rows.csv/77 was not rejected there"),
        (lambda rows: [{**rows[0], "position": None}], "row 0 has no position"),
        (lambda _: [], "there is no row to score"),
    ],
)
def test_positions_that_do_not_wait_are_refused(
    tmp_path: Path, model: Path, change: Change, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = score(model, write_rows(tmp_path, "csv", BAD), tmp_path / "out")
    table = pq.ParquetFile(rejected_files(folder)[0]).read()
    fields = [field.with_nullable(True) for field in table.schema]
    rows = pa.Table.from_pylist(change(table.to_pylist()), schema=pa.schema(fields))
    pq.write_table(rows, tmp_path / "fixed.parquet")
    before = (folder / "manifest.json").read_bytes()
    retry(folder, tmp_path / "fixed.parquet", code=ExitCode.UNREADABLE)
    assert said in capsys.readouterr().err
    assert (folder / "manifest.json").read_bytes() == before
    assert not list(folder.glob("retry-*"))


def test_a_position_in_two_files_is_refused(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = score(model, write_rows(tmp_path, "csv", BAD), tmp_path / "out")
    (path,) = rejected_files(folder)
    retry(folder, path, path, code=ExitCode.UNREADABLE)
    assert "rows.csv/3 is there twice" in capsys.readouterr().err


def test_raw_text_that_is_no_single_row_is_refused(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"customer_id,tenure,partner,contract\n1,2\n")
    folder = score(model, path, tmp_path / "out", "--format=csv")
    for raw in ("1,2,true,monthly\n2,2,true,yearly", '"1,2,true,monthly'):

        def with_raw(row: Row, raw: str = raw) -> Row:
            return {**row, "raw": raw}

        fixed = fix(rejected_files(folder)[0], tmp_path / "fixed.csv", with_raw)
        retry(folder, fixed, code=ExitCode.UNREADABLE)
        assert "rows.csv/0: its raw text is not one row of CSV" in capsys.readouterr().err


def test_another_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = linear_model(tmp_path / "model")
    folder = score(model, write_rows(tmp_path, "csv", BAD), tmp_path / "out")
    (path,) = rejected_files(folder)
    moved = tmp_path / "moved"
    model.rename(moved)
    retry(folder, path, code=ExitCode.UNREADABLE)
    assert "Say where it is with --model" in capsys.readouterr().err
    other = shutil.copytree(moved, tmp_path / "other")
    change_model(other, threshold=0.4)
    retry(folder, path, code=ExitCode.UNREADABLE, more=(f"--model={other}",))
    assert "is not the model that scored" in capsys.readouterr().err
    retry(folder, path, more=(f"--model={moved}",))


def test_an_event_whose_line_grows_too_long_is_still_compared_and_retried(
    tmp_path: Path, model: Path
) -> None:
    """Within a line of JSON every quote of an event takes two bytes."""
    event = {**GOOD[0], "tenure": -1, "note": '"' * 400_000}
    (tmp_path / "rows.ndjson").write_text(json.dumps(event) + "\n")
    folder = score(model, tmp_path / "rows.ndjson", tmp_path / "out", "--format=ndjson")
    (path,) = rejected_files(folder)
    assert path.stat().st_size > MAX_EVENT_BYTES
    assert main(["compare", str(folder), str(folder)]) == ExitCode.DONE
    retry(folder, fix(path, tmp_path / "fixed.ndjson", as_good))
    assert list(by_id(folder)) == ["rows.ndjson/0"]


def test_a_folder_in_use_is_refused(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = score(model, write_rows(tmp_path, "csv", BAD), tmp_path / "out")
    (path,) = rejected_files(folder)
    with LocalFolder(folder).locked():
        retry(folder, path, code=ExitCode.UNREADABLE)
    assert "another run is writing to this folder" in capsys.readouterr().err


def test_rows_of_inputs_of_different_formats_are_refused_in_one_file(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path / "in", "csv", BAD)
    write_rows(tmp_path / "in", "parquet", BAD)
    folder = score(model, tmp_path / "in", tmp_path / "out", "--format=csv")
    first, second = rejected_files(folder)
    rows = second.read_text().splitlines()[1:]
    names = len(first.read_text().splitlines()[0].split(","))
    padded = [row + "," * (names - len(second.read_text().splitlines()[0].split(","))) for row in rows]
    (tmp_path / "both.csv").write_text(first.read_text() + "\n".join(padded) + "\n")
    retry(folder, tmp_path / "both.csv", code=ExitCode.UNREADABLE)
    assert "come from inputs of different formats" in capsys.readouterr().err


def test_a_retry_that_is_killed_at_any_step_leaves_a_whole_folder(tmp_path: Path, model: Path) -> None:
    before = score(model, write_rows(tmp_path, "csv", BAD), tmp_path / "before")
    fixed = fix(rejected_files(before)[0], tmp_path / "fixed.parquet", _half)
    expected = shutil.copytree(before, tmp_path / "expected")
    retry(expected, fixed)
    arguments = [
        sys.executable,
        "-m",
        "tests.support.killed_retry",
        before,
        expected,
        tmp_path / "out",
        fixed,
    ]
    ended = subprocess.run(
        list(map(str, arguments)), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(ended.stdout.splitlines()) >= 9


def _half(row: Row) -> Row | None:
    number = int(row["position"].rpartition("/")[2])
    return None if number == 3 else row if number == 4 else _as_cells_of(row)


def test_json_of_the_manifest_tells_of_every_retry(tmp_path: Path, model: Path) -> None:
    folder = score(model, write_rows(tmp_path, "csv", BAD), tmp_path / "out")
    (path,) = rejected_files(folder)
    retry(folder, path)
    told: Any = json.loads((folder / "manifest.json").read_text())["retries"]
    assert [(entry["before"], entry["counts"]["read"]) for entry in told] == [("manifest-001.json", 5)]
    assert told[0]["inputs"][0]["size"] == path.stat().st_size
