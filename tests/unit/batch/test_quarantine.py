"""Rejected files hold all that the rejected rows held, and can be read back."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch import quarantine
from batch.__main__ import main
from batch.rejected_rows import kept_names, own_name
from batch.sources import REJECTED_SCHEMA
from shared.errors import ExitCode
from shared.formats.parquet import Parquet
from tests.support.fixing import read_rows, rejected_files
from tests.support.models import threshold_model
from tests.support.tables import manifest_of, write_rows

Score = Callable[..., Path]
FORMATS = ("parquet", "csv", "ndjson", "arrow")


@pytest.fixture
def score(tmp_path: Path) -> Score:
    """Scores inputs with the lesson's model into a new folder, which it gives."""
    model = threshold_model(tmp_path / "model")

    def run(*inputs: Path, output: str = "out", **options: Any) -> Path:
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        arguments = ["score", *map(str, inputs), f"--model={model}", f"--output={tmp_path / output}", *flags]
        assert main(arguments) == ExitCode.DONE
        return tmp_path / output

    return run


def held(folder: Path) -> list[dict[str, Any]]:
    """The rejected rows, without what is null or empty."""
    rows = [row for path in rejected_files(folder) for row in read_rows(path)]
    return [{name: value for name, value in row.items() if value not in (None, "")} for row in rows]


@pytest.mark.parametrize("form", FORMATS)
def test_rejected_rows_of_csv_have_all_their_columns_or_their_raw_text(
    tmp_path: Path, score: Score, form: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'customer_id,feature,note,raw\n1,x,"a ""b""\nc",own\n2,0.5,ok,\n3,1,2,3,4\n4,\xff,d,\n5,,e,f\n'
    )
    found = {row["position"]: row for row in held(score(path, format=form))}
    assert {position: row["reason"] for position, row in found.items()} == {
        "a.csv/0": "wrong_type",
        "a.csv/2": "ragged_row",
        "a.csv/3": "invalid_utf8",
        "a.csv/4": "missing_field",
    }
    assert (
        found["a.csv/0"].items()
        >= {
            "original_customer_id": "1",
            "feature": "x",
            "note": 'a "b"\nc',
            "original_raw": "own",
            "customer_id": "1",
            "field": "feature",
        }.items()
    )
    assert found["a.csv/2"]["raw"] == "3,1,2,3,4"
    assert base64.b64decode(found["a.csv/3"]["raw_base64"]) == b"4,\xff,d,"
    assert "feature" not in found["a.csv/2"]
    assert "feature" not in found["a.csv/3"]
    assert found["a.csv/4"]["note"] == "e"


def test_rejected_rows_of_typed_columns_keep_their_types(tmp_path: Path, score: Score) -> None:
    table = pa.table(
        {
            "customer_id": pa.array([1, 2], pa.int32()),
            "feature": pa.array([None, 0.5], pa.float32()),
            "at": pa.array([1, 2], pa.timestamp("ms", "UTC")),
            "tags": pa.array([["a"], []], pa.list_(pa.string())),
            "plan": pa.array(["pro", "free"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (path,) = rejected_files(score(tmp_path / "a.parquet"))
    found = pq.ParquetFile(path).read()
    assert found.schema.names[: len(REJECTED_SCHEMA)] == REJECTED_SCHEMA.names
    own = found.select(["original_customer_id", "feature", "at", "tags", "plan"])
    assert own.schema.types == [*table.schema.types[:4], pa.string()]
    assert own.to_pylist() == [
        dict(zip(own.schema.names, row.values(), strict=True)) for row in table.slice(0, 1).to_pylist()
    ]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_what_text_has_no_form_for_is_written_as_events_would_hold_it(
    tmp_path: Path, score: Score, form: str
) -> None:
    table = pa.table(
        {
            "customer_id": [1],
            "feature": [float("nan")],
            "narrow": pa.array([0.1], pa.float32()),
            "at": pa.array([1], pa.timestamp("ms")),
            "tags": [["a", "b"]],
            "code": pa.array([b"\xff\x00"]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (path,) = rejected_files(score(tmp_path / "a.parquet", format=form))
    (row,) = read_rows(path)
    assert row["at"] == "1970-01-01T00:00:00.001Z"
    assert float(row["narrow"]) == pa.scalar(0.1, pa.float32()).as_py()
    tags = json.loads(row["tags"]) if form == "csv" else row["tags"]
    assert (tags, base64.b64decode(row["code"])) == (["a", "b"], b"\xff\x00")
    assert row["feature"].lower() == "nan"


@pytest.mark.parametrize("form", FORMATS)
def test_a_text_that_is_not_utf8_is_shown_with_replacements(tmp_path: Path, score: Score, form: str) -> None:
    broken = pa.array([b"caf\xe9", b"ok"]).view(pa.string())
    model_reads = pa.array([b"0.5\xe9", b"0.5"]).view(pa.string())
    pq.write_table(
        pa.table({"customer_id": [1, 2], "feature": model_reads, "note": broken}), tmp_path / "a.parquet"
    )
    first = held(score(tmp_path / "a.parquet", format=form))[0]
    assert (first["reason"], first["feature"], first["note"]) == ("invalid_utf8", "0.5\ufffd", "caf\ufffd")


@pytest.mark.parametrize("form", FORMATS)
def test_rejected_events_stand_as_their_lines(tmp_path: Path, score: Score, form: str) -> None:
    lines = [b'{"customer_id": 1, "feature": "x" }', b"\xff", b'{"customer_id": 2, "feature": 0.7}', b"[1]"]
    (tmp_path / "a.ndjson").write_bytes(b"\n".join(lines))
    found = held(score(tmp_path / "a.ndjson", format=form))
    assert [row.get("raw") for row in found] == [lines[0].decode(), None, "[1]"]
    assert base64.b64decode(found[1]["raw_base64"]) == lines[1]


def test_a_file_has_one_set_of_columns_and_another_input_begins_another(tmp_path: Path, score: Score) -> None:
    for name, more in (("a", {}), ("b", {"plan": "pro"}), ("c", {"plan": "free"})):
        write_rows(tmp_path / "in", "csv", [{"customer_id": 1, "feature": "x", **more}], name)
    folder = score(tmp_path / "in")
    assert [path.name for path in rejected_files(folder)] == [
        "rejected-00000-0000.parquet",
        "rejected-00000-0000-1.parquet",
    ]
    assert [row["position"] for row in held(folder)] == ["a.csv/0", "b.csv/0", "c.csv/0"]
    assert len(manifest_of(folder).parts) == 0


@pytest.mark.parametrize("form", ["csv", "parquet", "ndjson", "arrow"])
def test_bytes_do_not_depend_on_batches_or_workers(
    tmp_path: Path, score: Score, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether rejected rows are looked up at once or a few at a time, too."""
    rows = [{"customer_id": n, "feature": None if n % 3 else 0.5, "note": "n" * (n % 7)} for n in range(300)]
    path = write_rows(tmp_path, form, rows)
    monkeypatch.setattr(quarantine, "_GROUP_BYTES", 2_000)
    one = score(path, output="one", part_rows=150)
    monkeypatch.setattr(quarantine, "_WAITING_ROWS", 7)
    two = score(path, output="two", part_rows=150, batch_rows=9, workers=2)
    assert [(part.file, part.sha256) for part in manifest_of(one).rejected] == [
        (part.file, part.sha256) for part in manifest_of(two).rejected
    ]
    assert pq.ParquetFile(rejected_files(one)[0]).num_row_groups > 1


def test_nothing_more_is_read_where_nothing_is_rejected(
    tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Parquet, "originals", refuse)
    path = write_rows(tmp_path, "parquet", [{"customer_id": 1, "feature": 0.5, "note": "a"}])
    assert not rejected_files(score(path))


def test_no_name_is_lost_or_taken_twice() -> None:
    names = ["position", "original_position", "note", "raw", "raw_base64", "original_note", "original_x"]
    kept = kept_names(names)
    assert kept[:2] == ["original_position", "original_original_position"]
    assert [own_name(name) for name in kept] == names
    assert own_name("reason") is None
    assert kept_names(["a", "a", "a (2)"]) == ["a", "a (2)", "a (2) (2)"]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_values_that_python_has_no_form_for_are_shown_as_text(
    tmp_path: Path, score: Score, form: str
) -> None:
    early = pa.array([[-(2**60)], [1]], pa.list_(pa.timestamp("ms")))
    pq.write_table(
        pa.table({"customer_id": [1, 2], "feature": [None, 0.5], "at": early}), tmp_path / "a.parquet"
    )
    (row,) = held(score(tmp_path / "a.parquet", format=form))
    assert "value out of range" in row["at"]
