"""`python -m batch score`, as a person runs it: what it writes, and what bad input gets."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.manifest import MANIFEST_FILE, Counts, read_manifest
from batch.score import ScoreSettings
from shared.deadline import Deadline
from shared.errors import ExitCode, InputError
from shared.storage import FileState, LocalFile
from tests.support.commands import ROOT, environment
from tests.support.models import linear_model, threshold_model
from tests.support.tables import (
    LESSON,
    LESSON_DECISIONS,
    manifest_of,
    rejected,
    scored,
    write_rows,
)

Score = Callable[..., int]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The lesson's model."""
    return threshold_model(tmp_path / "models" / "threshold")


@pytest.fixture
def score(tmp_path: Path, model: Path) -> Score:
    """Scores inputs with the lesson's model into `out`, unless said otherwise; gives the exit code."""

    def run(*inputs: Path | str, **options: Any) -> int:
        given = {"model": model, "output": tmp_path / "out"} | options
        flags = [
            f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
            for name, value in given.items()
        ]
        return main(["score", *map(str, inputs), *flags])

    return run


@pytest.mark.parametrize("output_format", ["parquet", "csv", "ndjson"])
@pytest.mark.parametrize("input_format", ["csv", "ndjson", "parquet"])
def test_the_lesson(tmp_path: Path, score: Score, input_format: str, output_format: str) -> None:
    path = write_rows(tmp_path, input_format, LESSON, "customers")
    assert score(path, format=output_format) == ExitCode.DONE
    found = scored(tmp_path / "out")
    assert [row["churn"] for row in found] == LESSON_DECISIONS
    assert [row["score"] for row in found] == [row["feature"] for row in LESSON]
    assert [row["prediction_id"] for row in found] == [f"customers.{input_format}/{n}" for n in range(4)]
    assert [row["customer_id"] for row in found] == ["101", "102", "103", "104"]


def test_the_command_says_what_it_did(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*LESSON, {"customer_id": 105}, {"customer_id": 106, "feature": "x"}]
    assert score(write_rows(tmp_path, "csv", rows)) == ExitCode.DONE
    told = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if line}
    assert {name: told[name] for name in ("rows", "scored", "rejected", "missing_field", "wrong_type")} == {
        "rows": "6",
        "scored": "4",
        "rejected": "2",
        "missing_field": "1",
        "wrong_type": "1",
    }
    assert told["model"] == "threshold@1"


def test_the_manifest_says_what_was_read_scored_and_written(tmp_path: Path, score: Score) -> None:
    write_rows(tmp_path / "data" / "a", "csv", [*LESSON, {"customer_id": 105}])
    write_rows(tmp_path / "data" / "b", "ndjson", LESSON)
    write_rows(tmp_path / "data" / "c", "ndjson", [])
    assert score(tmp_path / "data", part_rows=5) == ExitCode.DONE
    manifest = manifest_of(tmp_path / "out")
    assert [(entry.name, entry.format, entry.rows) for entry in manifest.inputs] == [
        ("a/rows.csv", "csv", 5),
        ("b/rows.ndjson", "ndjson", 4),
        ("c/rows.ndjson", "ndjson", 0),
    ]
    assert manifest.inputs[0].size == (tmp_path / "data/a/rows.csv").stat().st_size
    assert manifest.counts == Counts(read=9, scored=8, rejected={"missing_field": 1})
    assert manifest.ledger["a/rows.csv"].rejected == {"missing_field": 1}
    assert manifest.ledger["c/rows.ndjson"].read == 0
    assert [(part.file, part.rows) for part in manifest.parts] == [
        ("part-00000-0000.parquet", 4),
        ("part-00001-0000.parquet", 4),
    ]
    assert manifest.model.id == "threshold@1"
    assert [column.name for column in manifest.columns][:2] == ["prediction_id", "customer_id"]
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "part-00000-0000.parquet",
        "part-00001-0000.parquet",
        "rejected-00000-0000.parquet",
    ]


@pytest.mark.parametrize("output_format", ["parquet", "csv", "ndjson"])
def test_two_runs_write_the_same_bytes(tmp_path: Path, score: Score, output_format: str) -> None:
    """Whatever the batch size; only the manifest's `run` depends on the clock."""
    rows = [{"customer_id": n, "feature": None if n % 7 == 0 else n / 1000} for n in range(500)]
    path = write_rows(tmp_path, "csv", rows)
    outputs = [tmp_path / "one", tmp_path / "two", tmp_path / "in-small-batches"]
    for output, batch_rows in zip(outputs, (65_536, 65_536, 13), strict=True):
        options = {"output": output, "batch_rows": batch_rows, "part_rows": 100, "format": output_format}
        assert score(path, **options) == ExitCode.DONE
    contents = []
    for output in outputs:
        content = {item.name: item.read_bytes() for item in output.iterdir()}
        manifest = json.loads(content.pop(MANIFEST_FILE))
        del manifest["run"]
        contents.append((content, manifest))
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0][0]) == 10  # five parts, each with its rejected rows


def test_every_bad_row_is_set_aside_with_its_reason(tmp_path: Path, score: Score) -> None:
    deep = b'{"customer_id": 6, "feature": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    bad = {
        b"not json": "not_json",
        b"[1, 2]": "not_object",
        b'{"customer_id": 3, "feature"': "truncated",
        b'{"customer_id": 4, "feature": "high"}': "wrong_type",
        b'{"customer_id": 5, "feature": NaN}': "not_finite",
        b'{"customer_id": 5, "feature": -Infinity}': "not_finite",
        b'{"customer_id": 6}': "missing_field",
        b'{"customer_id": 7, "feature": 0.5, "note": "\xff"}': "invalid_utf8",
        deep: "too_deep",
        b'{"customer_id": 8, "note": "' + b"x" * 10_000_000 + b'"}': "too_large",
    }
    good = b'{"customer_id": 1, "feature": 0.7}'
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(line for value in bad for line in (value, good)))
    assert score(path) == ExitCode.DONE
    assert rejected(tmp_path / "out") == {
        f"events.ndjson/{2 * place}": reason for place, reason in enumerate(bad.values())
    }
    assert [row["churn"] for row in scored(tmp_path / "out")] == [True] * len(bad)


def test_rejected_rows_name_their_customer_when_they_have_one(tmp_path: Path, score: Score) -> None:
    csv_path, lines = tmp_path / "a.csv", tmp_path / "b.ndjson"
    csv_path.write_bytes(b"customer_id,feature,event_id\n1,,e1\n2\n")
    lines.write_bytes(b'{"customer_id": 3, "event_id": "e3"}\nnot json\n{"customer_id": [4]}\n')
    assert score(csv_path, lines) == ExitCode.DONE
    parts = manifest_of(tmp_path / "out").rejected
    rows = [row for part in parts for row in pq.read_table(tmp_path / "out" / part.file).to_pylist()]
    assert [(row["position"], row["customer_id"], row["event_id"]) for row in rows] == [
        ("a.csv/0", "1", "e1"),
        ("a.csv/1", None, None),
        ("b.ndjson/0", "3", "e3"),
        ("b.ndjson/1", None, None),
        ("b.ndjson/2", None, None),
    ]
    assert rows[1]["detail"] == "the row has 1 field; the header has 3"


def test_a_csv_file_with_a_byte_order_mark_is_read(tmp_path: Path, score: Score) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfcustomer_id,feature\r\n1,0.7\r\n")
    assert score(path) == ExitCode.DONE
    assert [row["churn"] for row in scored(tmp_path / "out")] == [True]


@pytest.mark.parametrize("delimiter", [";", "tab", "|"])
def test_another_delimiter_can_be_given(tmp_path: Path, score: Score, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("customer_id,feature\n1,0.7\n".replace(",", "\t" if delimiter == "tab" else delimiter))
    assert score(path) == ExitCode.UNREADABLE
    assert score(path, delimiter=delimiter) == ExitCode.DONE
    assert [row["score"] for row in scored(tmp_path / "out")] == [0.7]


def test_columns_match_in_any_case_when_told_so(tmp_path: Path, score: Score) -> None:
    path = write_rows(tmp_path, "parquet", [{"CUSTOMER_ID": 1, "Feature": 0.7}])
    assert score(path) == ExitCode.UNREADABLE
    assert score(path, ignore_case=True) == ExitCode.DONE
    assert [row["churn"] for row in scored(tmp_path / "out")] == [True]


def test_columns_of_a_strict_model_match_in_any_case_too(tmp_path: Path, score: Score) -> None:
    inputs = [{"name": "feature", "type": "number", "default": 0.1}]
    strict = threshold_model(tmp_path / "strict", inputs=inputs, strict=True)
    path = write_rows(tmp_path, "csv", [{"CUSTOMER_ID": 1, "Feature": 0.7}])
    assert score(path, model=strict, ignore_case=True) == ExitCode.DONE
    assert [row["score"] for row in scored(tmp_path / "out")] == [0.7]


def test_a_column_with_a_default_may_be_missing(tmp_path: Path, score: Score) -> None:
    model = linear_model(tmp_path / "linear")
    rows = [{"customer_id": 1, "tenure": 3, "partner": True, "contract": "é"}]
    assert score(write_rows(tmp_path, "csv", rows), model=model) == ExitCode.DONE
    assert manifest_of(tmp_path / "out").counts.scored == 1


def test_a_strict_model_sees_unknown_columns(tmp_path: Path, score: Score) -> None:
    model = threshold_model(tmp_path / "strict", strict=True)
    path = write_rows(tmp_path, "csv", [{"customer_id": 1, "feature": 0.7, "other": "x"}])
    assert score(path, model=model) == ExitCode.DONE
    assert list(rejected(tmp_path / "out").values()) == ["unknown_field"]


BAD_FILES = {
    "a missing column": ("a.csv", b"customer_id,other\n1,2\n", "the column 'feature' is missing"),
    "another delimiter": ("a.csv", b"customer_id;feature\n1;2\n", "separated by ';', not by ','"),
    "a column twice": ("a.csv", b"customer_id,feature,feature\n", "'feature' is there more than once"),
    "an empty CSV": ("a.csv", b"", "the file is empty"),
    "no Parquet": ("a.parquet", b"customer_id,feature\n1,2\n", "not a whole Parquet file"),
    "an unknown format": ("a.xlsx", b"", "the format is unknown"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_an_input_that_cannot_be_read_is_named(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    name, content, said = BAD_FILES[case]
    good = write_rows(tmp_path, "ndjson", LESSON)
    (tmp_path / name).write_bytes(content)
    assert score(good, tmp_path / name) == ExitCode.UNREADABLE
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {tmp_path / name}: ")
    assert said in errors
    assert "Traceback" not in errors
    # It was found before anything was written.
    assert not (tmp_path / "out").exists()


def test_a_parquet_file_cut_short_is_named(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write_rows(tmp_path, "parquet", LESSON)
    whole.write_bytes(whole.read_bytes()[:-10])
    assert score(whole) == ExitCode.UNREADABLE
    assert "not a whole Parquet file" in capsys.readouterr().err


def test_a_file_damaged_inside_ends_the_run_without_a_manifest(tmp_path: Path, score: Score) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"customer_id,feature\n" + b"1,0.5\n" * 1000 + b'2,"0.5\n' + b"3,0.5\n" * 1000)
    assert score(path, batch_rows=100, part_rows=100) == ExitCode.UNREADABLE
    assert not (tmp_path / "out" / MANIFEST_FILE).exists()
    with pytest.raises(InputError, match=r"no manifest\.json"):
        read_manifest(tmp_path / "out")
    assert score(path) == ExitCode.UNREADABLE


def test_an_unreadable_folder_is_named(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is made up: root, as which tests may run, may read everything."""
    folder = tmp_path / "locked"
    folder.mkdir()

    def refuse(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    assert score(folder) == ExitCode.UNREADABLE
    assert f"{folder}: cannot be read: Permission denied" in capsys.readouterr().err


def test_an_output_folder_that_holds_something_stays_as_it_is(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "csv", LESSON)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    assert score(path) == ExitCode.UNREADABLE
    assert "the output folder is not empty: it holds precious" in capsys.readouterr().err
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["precious"]


def test_too_many_rejections_are_the_answer_no_and_all_is_written(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "csv", [*LESSON, {"customer_id": 1}])
    assert score(path, max_error_rate=0.2) == ExitCode.DONE
    assert score(path, max_error_rate=0.19, output=tmp_path / "two") == ExitCode.ANSWER_IS_NO
    assert "1 of 5 rows (20.00%) were rejected, more than --max-error-rate 0.19" in capsys.readouterr().err
    assert manifest_of(tmp_path / "two").counts.read == 5


def test_a_model_that_cannot_be_loaded_is_named(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "csv", LESSON)
    assert score(path, model=tmp_path / "nowhere") == ExitCode.UNREADABLE
    assert f"{tmp_path / 'nowhere'}: no model.json found there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_error_rate", 1.5), ("delimiter", ";;"), ("delimiter", '"'), ("batch_rows", 0), ("format", "xml")],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, score: Score, option: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "csv", LESSON)
    try:
        code = score(path, **{option: value})
    except SystemExit as exited:
        code = int(str(exited.code))
    assert code == ExitCode.USAGE
    assert f"--{option.replace('_', '-')}" in capsys.readouterr().err


def test_predictions_are_not_scored_again(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(write_rows(tmp_path, "csv", LESSON)) == ExitCode.DONE
    assert score(tmp_path / "out", output=tmp_path / "two") == ExitCode.UNREADABLE
    assert "it holds predictions, not rows to score" in capsys.readouterr().err


def test_a_file_that_changes_while_it_is_read_ends_the_run(
    tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "csv", LESSON)
    states = (FileState(1, str(version)) for version in count())
    monkeypatch.setattr(LocalFile, "state", lambda _: next(states))
    assert score(path) == ExitCode.UNREADABLE
    assert "the file was changed while it was read" in capsys.readouterr().err
    assert not (tmp_path / "out" / MANIFEST_FILE).exists()


def test_a_killed_run_lists_nothing(tmp_path: Path, model: Path, score: Score) -> None:
    """Killed while it writes, a run leaves no manifest, and its folder is not used again."""
    path, output = tmp_path / "a.csv", tmp_path / "out"
    path.write_bytes(b"customer_id,feature\n" + b"1,0.5\n" * 1_000_000)
    arguments = ["score", str(path), "--model", str(model), "--output", str(output), "--part-rows", "1000"]
    process = subprocess.Popen([sys.executable, "-m", "batch", *arguments], cwd=ROOT, env=environment())
    deadline = Deadline.after(60)
    while not list(output.glob("part-*")) and not deadline.passed:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert list(output.glob("part-*"))
    with pytest.raises(InputError, match=r"no manifest\.json"):
        read_manifest(output)
    assert score(path, output=output) == ExitCode.UNREADABLE


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["score", "--help"])
    assert exited.value.code == ExitCode.DONE
    assert "python -m batch score customers.csv --model models/churn" in capsys.readouterr().out
    assert all(field.description for field in ScoreSettings.model_fields.values())


def test_categories_come_by_their_codes_from_dictionaries_too(tmp_path: Path, score: Score) -> None:
    model = linear_model(tmp_path / "linear")
    rows = {
        "customer_id": np.arange(6),
        "tenure": np.arange(6),
        "partner": [True, False] * 3,
        "contract": ["monthly", "é", "yearly", "unknown", None, "monthly"],
    }
    for name, contract in (
        ("plain", pa.array(rows["contract"])),
        ("dictionary", pa.array(rows["contract"]).dictionary_encode()),
        ("large", pa.array(rows["contract"], pa.large_string())),
    ):
        pq.write_table(pa.table(rows | {"contract": contract}), tmp_path / "a.parquet")
        assert score(tmp_path / "a.parquet", model=model, output=tmp_path / name) == ExitCode.DONE
    expected = {"a.parquet/3": "unknown_category", "a.parquet/4": "missing_field"}
    for name in ("plain", "dictionary", "large"):
        assert rejected(tmp_path / name) == expected
        assert scored(tmp_path / name) == scored(tmp_path / "plain")
