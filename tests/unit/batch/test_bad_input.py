"""What is wrong with the input, or with the place of the output, ends in a sentence or in rejected rows."""

import errno
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch import durable
from batch.__main__ import main
from batch.folder import JOURNAL_FILE, LocalFolder
from batch.manifest import MANIFEST_FILE
from shared.command import run
from shared.errors import ExitCode
from tests.support.commands import ROOT
from tests.support.tables import manifest_of, rejected, scored

LINE = '{"customer_id": %d, "feature": %s}\n'


def score(output: Path, *inputs: Path, more: tuple[str, ...] = ()) -> int:
    arguments = ["--model", str(ROOT / "models/threshold"), "--output", str(output), *more]
    return run(main, ["score", *map(str, inputs), *arguments])


def write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.ndjson", "".join(LINE % (n, n / 100) for n in range(100)))


@pytest.mark.parametrize("failing", ["write", "sync", "rename"])
def test_a_disk_that_fills_keeps_what_is_finished(
    tmp_path: Path,
    rows: Path,
    failing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, more, step = tmp_path / "out", ("--part-rows", "30", "--workers", "1"), getattr(durable, failing)
    calls = iter(range(5 if failing == "write" else 6 if failing == "sync" else 2))

    def full(*arguments: object) -> None:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        step(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(durable, failing, full)
        assert score(output, rows, more=more) == ExitCode.UNREADABLE
    said = capsys.readouterr().err
    assert "cannot be written: No space left on device" in said
    assert "go on with --resume" in said
    assert (output / JOURNAL_FILE).exists()
    assert not (output / MANIFEST_FILE).exists()
    assert not list(output.glob(".*-unfinished"))
    assert score(output, rows, more=(*more, "--resume")) == ExitCode.DONE
    assert len(scored(output)) == 100


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the answer of the system: the super-user, as whom tests may run, may write everywhere."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert score(tmp_path / "out", rows) == ExitCode.UNREADABLE
    assert f"{tmp_path / 'out'}: cannot be written: Read-only file system" in capsys.readouterr().err


def test_a_type_that_changes_between_files_rejects_the_rows_that_do_not_fit(tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer_id": [1, 2], "feature": [0.5, 0.9]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"customer_id": [3, 4], "feature": ["high", "low"]}), tmp_path / "b.parquet")
    output = tmp_path / "out"
    assert score(output, tmp_path / "a.parquet", tmp_path / "b.parquet") == ExitCode.DONE
    assert manifest_of(output).ledger["a.parquet"].scored == 2
    assert manifest_of(output).ledger["b.parquet"].rejected == {"wrong_type": 2}


def test_a_column_that_one_file_lacks_is_named_before_anything_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"customer_id": [1], "feature": [0.5]}), tmp_path / "in" / "a.parquet")
    pq.write_table(pa.table({"customer_id": [2], "value": [0.5]}), tmp_path / "in" / "b.parquet")
    assert score(tmp_path / "out", tmp_path / "in") == ExitCode.UNREADABLE
    assert "b.parquet: the column 'feature' is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_mixed_types_in_a_column_reject_row_by_row(tmp_path: Path) -> None:
    values = ["0.5", '"high"', "null", "true", "[1]", "0.7"]
    path = write(tmp_path / "a.ndjson", "".join(LINE % place for place in enumerate(values)))
    assert score(tmp_path / "out", path) == ExitCode.DONE
    assert [row["customer_id"] for row in scored(tmp_path / "out")] == ["0", "5"]
    reasons = ["wrong_type", "missing_field", "wrong_type", "wrong_type"]
    assert list(rejected(tmp_path / "out").values()) == reasons


def test_a_thousand_columns_are_read_where_they_are_needed_and_kept_of_rejected_rows(tmp_path: Path) -> None:
    columns = {f"c{n}": [n, n + 1] for n in range(1_000)}
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({"customer_id": [1, 2], "feature": [0.9, None], **columns}), path)
    assert score(tmp_path / "out", path) == ExitCode.DONE
    assert [row["churn"] for row in scored(tmp_path / "out")] == [True]
    (part,) = manifest_of(tmp_path / "out").rejected
    (row,) = pq.read_table(tmp_path / "out" / part.file).to_pylist()
    assert {name: row[name] for name in columns} == {name: values[1] for name, values in columns.items()}


def test_a_field_of_a_hundred_megabytes_rejects_its_row_or_is_not_read(tmp_path: Path) -> None:
    field = "x" * 100_000_000
    lines = write(tmp_path / "a.ndjson", LINE % (1, f'0.7, "note": "{field}"') + LINE % (2, "0.7"))
    assert score(tmp_path / "lines", lines) == ExitCode.DONE
    assert [row["customer_id"] for row in scored(tmp_path / "lines")] == ["2"]
    assert rejected(tmp_path / "lines") == {"a.ndjson/0": "too_large"}
    table = pa.table({"customer_id": [1, 2], "feature": [0.7, 0.7], "note": [field, "short"]})
    pq.write_table(table, tmp_path / "b.parquet")
    assert score(tmp_path / "columns", tmp_path / "b.parquet") == ExitCode.DONE
    assert len(scored(tmp_path / "columns")) == 2


def test_a_csv_field_of_a_hundred_megabytes_ends_the_run_with_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.csv", "customer_id,feature\n1,0.5\n2," + "9" * 100_000_000 + "\n")
    assert score(tmp_path / "out", path) == ExitCode.UNREADABLE
    assert "data row 1 is longer than 64 MiB" in capsys.readouterr().err
    assert not (tmp_path / "out" / MANIFEST_FILE).exists()


@pytest.mark.parametrize("name", ["rows.csv", "rows.ndjson", "rows.parquet"])
def test_no_rows_are_a_finished_run_without_parts(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        schema = pa.schema([("customer_id", pa.int64()), ("feature", pa.float64())])
        pq.write_table(schema.empty_table(), path)
    else:
        write(path, "customer_id,feature\n" if name.endswith(".csv") else "")
    assert score(tmp_path / "out", path) == ExitCode.DONE
    manifest = manifest_of(tmp_path / "out")
    assert (manifest.counts.read, manifest.parts, manifest.rejected) == (0, [], [])
    assert manifest.ledger[name].read == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("empty", "empty: no file with a known suffix is in it"),
        ("*.parquet", "no file matches"),
        ("gone.csv", "there is no such file or folder"),
    ],
)
def test_no_files_are_an_error(
    tmp_path: Path, given: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert score(tmp_path / "out", tmp_path / given) == ExitCode.UNREADABLE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_customer_who_stands_there_twice_gets_two_predictions(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson", LINE % (7, "0.5") + LINE % (7, "0.9"))
    assert score(tmp_path / "out", path, path) == ExitCode.DONE
    found = [(row["prediction_id"], row["customer_id"], row["churn"]) for row in scored(tmp_path / "out")]
    assert found == [("a.ndjson/0", "7", False), ("a.ndjson/1", "7", True)]
    assert json.loads((tmp_path / "out" / MANIFEST_FILE).read_text())["counts"]["read"] == 2


def test_a_second_run_in_the_folder_is_told_of_the_first(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = LocalFolder(tmp_path / "out")
    folder.create()
    with folder.locked():
        assert score(folder.path, rows) == ExitCode.UNREADABLE
    assert "another run is writing to this folder" in capsys.readouterr().err
