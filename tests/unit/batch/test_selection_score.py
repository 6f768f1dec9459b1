"""`batch score` of some rows and further columns, as a person runs it, and what options without sense get."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.folder import LocalFolder
from shared.errors import ExitCode, InputError
from shared.sampling import Sample
from tests.support.killed_batch import contents
from tests.support.models import threshold_model
from tests.support.tables import manifest_of, rejected, scored, write_rows

Score = Callable[..., int]

#: Row 3 is rejected, and row 4 has no plan.
ROWS: list[dict[str, Any]] = [
    {"customer_id": 101, "feature": 0.2, "plan": "pro", "months": 24, "tags": "a"},
    {"customer_id": 102, "feature": 0.8, "plan": "free", "months": 3, "tags": "b"},
    {"customer_id": 103, "feature": 0.5, "plan": "pro", "months": 3, "tags": None},
    {"customer_id": 104, "feature": None, "plan": "pro", "months": 36, "tags": "d"},
    {"customer_id": 105, "feature": 0.9, "plan": None, "months": 36, "tags": "a/b"},
]
INPUTS = ["csv", "ndjson", "parquet"]


@pytest.fixture
def score(tmp_path: Path) -> Score:
    """Scores inputs with the lesson's model into `out`, unless said otherwise; gives the exit code."""
    model = threshold_model(tmp_path / "models" / "threshold")

    def run(*inputs: Path | str, **options: Any) -> int:
        given = {"model": model, "output": tmp_path / "out"} | options
        flags = [
            f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
            for name, value in given.items()
        ]
        return main(["score", *map(str, inputs), *flags])

    return run


def ids_in(folder: Path) -> list[str]:
    return [row["prediction_id"].partition("/")[2] for row in scored(folder)]


@pytest.mark.parametrize("form", INPUTS)
def test_only_the_rows_for_which_a_condition_holds_are_scored(
    tmp_path: Path, score: Score, form: str
) -> None:
    path = write_rows(tmp_path, form, ROWS)
    assert score(path, where="plan = 'pro' and months > 12") == ExitCode.DONE
    assert ids_in(tmp_path / "out") == ["0"]
    assert rejected(tmp_path / "out") == {f"{path.name}/3": "missing_field"}
    manifest = manifest_of(tmp_path / "out")
    counts = manifest.counts
    assert (counts.read, counts.scored, counts.rejected, counts.left_out) == (2, 1, {"missing_field": 1}, 3)
    assert manifest.ledger[path.name] == counts


@pytest.mark.parametrize("form", INPUTS)
def test_the_first_selected_rows_are_scored_in_the_order_of_the_inputs(
    tmp_path: Path, score: Score, form: str
) -> None:
    paths = [write_rows(tmp_path, form, ROWS, name) for name in ("b", "a")]
    where = {"where": "plan is not null", "limit": 6}
    runs: dict[str, dict[str, int]] = {
        "one": {},
        "two": {"batch_rows": 1, "workers": 2},
        "three": {"batch_rows": 2, "part_rows": 2},
    }
    for name, more in runs.items():
        assert score(*paths, output=tmp_path / name, **where, **more) == ExitCode.DONE
        found = [row["prediction_id"] for row in scored(tmp_path / name)]
        assert found == [f"b.{form}/0", f"b.{form}/1", f"b.{form}/2", f"a.{form}/0", f"a.{form}/1"]
        counts = manifest_of(tmp_path / name).counts
        # Row 4 of the first file was left out; nothing was read after the last row that was scored.
        assert (counts.read, counts.left_out) == (6, 1)
        assert manifest_of(tmp_path / name).ledger[f"a.{form}"].read == 2


def test_a_limit_beyond_all_rows_changes_nothing(tmp_path: Path, score: Score) -> None:
    path = write_rows(tmp_path, "csv", ROWS)
    assert score(path, limit=100) == ExitCode.DONE
    assert ids_in(tmp_path / "out") == ["0", "1", "2", "4"]


@pytest.mark.parametrize("form", INPUTS)
def test_a_sample_holds_the_same_rows_whatever_the_run(tmp_path: Path, score: Score, form: str) -> None:
    rows = [{"customer_id": number, "feature": 0.5} for number in range(400)]
    path = write_rows(tmp_path, form, rows)
    expected = [row for row in range(400) if Sample(0.25, 9).holds(path.name, pa.array([row]).to_numpy())[0]]
    for name, more in (("one", {}), ("two", {"batch_rows": 7, "part_rows": 50, "workers": 2})):
        assert score(path, output=tmp_path / name, sample=0.25, seed=9, **more) == ExitCode.DONE
        assert ids_in(tmp_path / name) == list(map(str, expected))
        counts = manifest_of(tmp_path / name).counts
        assert (counts.read, counts.left_out) == (len(expected), 400 - len(expected))


@pytest.mark.parametrize("output_format", ["parquet", "csv", "ndjson", "arrow"])
@pytest.mark.parametrize("form", INPUTS)
def test_columns_go_along_with_the_predictions(
    tmp_path: Path, score: Score, form: str, output_format: str
) -> None:
    path = write_rows(tmp_path, form, ROWS)
    assert score(path, columns="plan,feature,tags", format=output_format) == ExitCode.DONE
    found = [
        {name: value for name, value in row.items() if name in ("plan", "feature", "tags") and value != ""}
        for row in scored(tmp_path / "out")
    ]
    assert found == [
        {name: row[name] for name in ("plan", "feature", "tags") if row[name] is not None}
        for row in ROWS
        if row["feature"] is not None
    ]
    names = [column.name for column in manifest_of(tmp_path / "out").columns]
    assert names[-3:] == ["plan", "feature", "tags"]


def test_an_input_is_read_from_the_column_that_is_mapped_to_it(tmp_path: Path, score: Score) -> None:
    rows = [
        {"Customer_ID": row["customer_id"], "value": row["feature"], "feature": "no number"} for row in ROWS
    ]
    for form in ("csv", "parquet"):
        path = write_rows(tmp_path, form, rows)
        options = {"map": "feature=value", "ignore_case": True, "columns": "VALUE", "where": "value > 0.4"}
        assert score(path, output=tmp_path / form, **options) == ExitCode.DONE
        assert [(row["customer_id"], row["VALUE"]) for row in scored(tmp_path / form)] == [
            ("102", 0.8),
            ("103", 0.5),
            ("105", 0.9),
        ]


@pytest.mark.parametrize("output_format", ["parquet", "csv", "ndjson", "arrow"])
def test_predictions_are_parted_into_folders(tmp_path: Path, score: Score, output_format: str) -> None:
    path = write_rows(tmp_path, "parquet", ROWS)
    options = {"columns": "plan", "partition_by": "plan,churn", "format": output_format}
    assert score(path, **options) == ExitCode.DONE
    manifest = manifest_of(tmp_path / "out")
    assert [(part.file, part.rows) for part in manifest.parts] == [
        (f"plan={plan}/part-00000-0000.{output_format}", rows)
        for plan, rows in (
            ("__HIVE_DEFAULT_PARTITION__/churn=true", 1),
            ("free/churn=true", 1),
            ("pro/churn=false", 2),
        )
    ]
    assert manifest.partition_by == ["plan", "churn"]


def test_no_row_is_lost_where_values_would_share_a_file(tmp_path: Path, score: Score) -> None:
    rows = [
        {"customer_id": n, "feature": 0.5, "plan": plan}
        for n, plan in enumerate(["__HIVE_DEFAULT_PARTITION__", None, "", "Pro", "pro"])
    ]
    assert score(write_rows(tmp_path, "parquet", rows), columns="plan", partition_by="plan") == ExitCode.DONE
    manifest = manifest_of(tmp_path / "out")
    assert sum(part.rows for part in manifest.parts) == manifest.counts.scored == len(rows)
    assert len({part.file.casefold() for part in manifest.parts}) == 3


def test_a_manifest_that_lists_a_file_twice_is_refused(tmp_path: Path, score: Score) -> None:
    assert score(write_rows(tmp_path, "csv", ROWS)) == ExitCode.DONE
    manifest = tmp_path / "out" / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"parts": told["parts"] * 2}))
    with pytest.raises(InputError, match=r"the file part-00000-0000\.parquet is listed twice"):
        manifest_of(tmp_path / "out")


def test_hive_readers_find_the_columns_of_the_folders(tmp_path: Path, score: Score) -> None:
    path = write_rows(tmp_path, "csv", [{**row, "plan": f"{row['plan']}/é ="} for row in ROWS])
    assert score(path, columns="plan", partition_by="plan,churn") == ExitCode.DONE
    files = [str(tmp_path / "out" / part.file) for part in manifest_of(tmp_path / "out").parts]
    found = ds.dataset(files, partitioning="hive")
    rows = found.to_table(columns=["customer_id", "plan", "churn"]).sort_by("customer_id").to_pylist()
    assert rows == [
        {"customer_id": 101, "plan": "pro/é =", "churn": "false"},
        {"customer_id": 102, "plan": "free/é =", "churn": "true"},
        {"customer_id": 103, "plan": "pro/é =", "churn": "false"},
        {"customer_id": 105, "plan": "None/é =", "churn": "true"},
    ]


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
@pytest.mark.parametrize("output_format", ["csv", "ndjson"])
def test_parts_of_text_can_be_compressed(
    tmp_path: Path, score: Score, output_format: str, compress: str
) -> None:
    path = write_rows(tmp_path, "csv", ROWS)
    for name in ("one", "two"):
        options = {"output": tmp_path / name, "format": output_format, "compress": compress}
        assert score(path, **options) == ExitCode.DONE
    assert score(path, output=tmp_path / "plain", format=output_format) == ExitCode.DONE
    parts = [manifest_of(tmp_path / name).parts for name in ("one", "two")]
    assert parts[0] == parts[1]
    (part,) = parts[0]
    assert part.file == f"part-00000-0000.{output_format}.{'gz' if compress == 'gzip' else 'zst'}"
    content = (tmp_path / "one" / part.file).read_bytes()
    plain = (tmp_path / "plain" / f"part-00000-0000.{output_format}").read_bytes()
    stream = pa.CompressedInputStream(pa.BufferReader(content), compress)
    assert stream.read() == plain
    if compress == "gzip":
        assert gzip.decompress(content) == plain
        # No time is in the header.
        assert content[4:8] == b"\0\0\0\0"


REFUSED: dict[str, tuple[dict[str, Any], ExitCode, str]] = {
    "no condition": ({"where": "plan ="}, ExitCode.USAGE, "a value is expected"),
    "a column that is nowhere": ({"where": "size = 1"}, ExitCode.UNREADABLE, "the column 'size' is missing"),
    "a type that does not fit": (
        {"where": "plan > 1"},
        ExitCode.USAGE,
        "rows.parquet: --where compares plan with a number, but its type is string",
    ),
    "a column that predictions have": (
        {"columns": "score"},
        ExitCode.USAGE,
        "every prediction has a column of that name",
    ),
    "a column twice": ({"columns": "plan,plan"}, ExitCode.USAGE, "stands there twice"),
    "no column to go along": ({"columns": "size"}, ExitCode.UNREADABLE, "the column 'size' is missing"),
    "an unknown input": ({"map": "size=plan"}, ExitCode.USAGE, "the model has no input size"),
    "no column to read from": (
        {"map": "feature=size"},
        ExitCode.UNREADABLE,
        "the column 'size', which 'feature' is to be read from, is missing",
    ),
    "no such folders": (
        {"partition_by": "plan"},
        ExitCode.USAGE,
        "the predictions have no column of that name",
    ),
    "folders of numbers": ({"partition_by": "score"}, ExitCode.USAGE, "which makes no names of folders"),
    "compressed twice": ({"compress": "gzip"}, ExitCode.USAGE, "parquet files are compressed already"),
    "no sample": ({"sample": 0}, ExitCode.USAGE, "--sample"),
    "no rows": ({"limit": 0}, ExitCode.USAGE, "--limit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_without_sense_are_refused_before_anything_is_written(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    options, code, said = REFUSED[case]
    assert score(write_rows(tmp_path, "parquet", ROWS), **options) == code
    errors = capsys.readouterr().err
    assert said in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_a_column_whose_type_changes_between_files_is_refused(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_rows(tmp_path, "parquet", ROWS, "one")
    two = write_rows(tmp_path, "parquet", [{**row, "months": "x"} for row in ROWS], "two")
    assert score(one, two, columns="months") == ExitCode.UNREADABLE
    assert "its type is int64 in one.parquet and string in two.parquet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_nested_column_cannot_go_into_text(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"customer_id": [1], "feature": [0.5], "list": [[1, 2]]}), path)
    assert score(path, columns="list", format="csv") == ExitCode.USAGE
    assert "its type is list<element: int64>, which csv has no form for" in capsys.readouterr().err
    assert score(path, columns="list") == ExitCode.DONE
    assert scored(tmp_path / "out")[0]["list"] == [1, 2]


def test_events_are_scored_as_they_stand(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(write_rows(tmp_path, "ndjson", ROWS), map="feature=months") == ExitCode.USAGE
    assert "rows.ndjson: --map cannot rename the fields of JSON events" in capsys.readouterr().err


def test_what_cannot_be_read_is_rejected_whatever_the_condition(tmp_path: Path, score: Score) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("customer_id,feature,plan\n1,0.5,pro\n2,0.5\n3,0.9,free\n")
    assert score(path, where="plan = 'pro'") == ExitCode.DONE
    assert rejected(tmp_path / "out") == {"rows.csv/1": "ragged_row"}
    path = tmp_path / "rows.ndjson"
    path.write_bytes(b'{"customer_id":1,"feature":0.5,"plan":"pro"}\n{"plan":\n{"plan":"free"}\n')
    assert score(path, where="plan = 'pro'", output=tmp_path / "two") == ExitCode.DONE
    assert rejected(tmp_path / "two") == {"rows.ndjson/1": "truncated"}


def test_a_condition_that_selects_nothing_writes_no_part(tmp_path: Path, score: Score) -> None:
    assert score(write_rows(tmp_path, "parquet", ROWS), where="plan = 'none'") == ExitCode.DONE
    manifest = manifest_of(tmp_path / "out")
    assert (manifest.parts, manifest.rejected, manifest.counts.left_out) == ([], [], 5)


def test_predictions_with_further_columns_are_compared(tmp_path: Path, score: Score) -> None:
    path = write_rows(tmp_path, "csv", ROWS)
    assert score(path) == ExitCode.DONE
    for name, options in (
        ("along", {"columns": "plan,months", "format": "ndjson"}),
        ("parted", {"columns": "plan", "partition_by": "churn,plan"}),
        ("lines", {"partition_by": "churn", "format": "ndjson"}),
        ("cells", {"partition_by": "churn", "format": "csv", "compress": "gzip"}),
    ):
        assert score(path, output=tmp_path / name, **options) == ExitCode.DONE
        assert main(["compare", str(tmp_path / "out"), str(tmp_path / name)]) == ExitCode.DONE


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_rows(tmp_path, "parquet", ROWS)
    assert score(good, dry_run=True, where="months < 36 or plan = 'pro'") == ExitCode.DONE
    told = capsys.readouterr().out
    assert "rows.parquet: parquet, " in told
    assert "5 rows, 1 piece" in told
    assert "first rows: 3 scored, 1 rejected, 1 left out" in told
    assert "missing_field 1, first row 3: feature is missing or null" in told
    assert "1 part of up to 524,288 rows read" in told
    assert not (tmp_path / "out").exists()


def test_a_dry_run_names_every_input_that_cannot_be_read(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_rows(tmp_path, "ndjson", ROWS)
    (tmp_path / "bad.csv").write_text("customer_id,other\n1,2\n")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    assert score(tmp_path / "bad.csv", good, tmp_path / "bad.parquet", dry_run=True) == ExitCode.UNREADABLE
    told = capsys.readouterr()
    assert "bad.csv: cannot be scored: " in told.out
    assert "the column 'feature' is missing" in told.out
    assert "bad.parquet: cannot be scored: " in told.out
    assert "first rows: 4 scored, 1 rejected" in told.out
    assert "2 of 3 inputs cannot be scored" in told.err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_looks_at_the_first_thousand_rows(
    tmp_path: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"customer_id": number, "feature": 0.5} for number in range(3000)]
    for form in INPUTS:
        assert score(write_rows(tmp_path, form, rows), dry_run=True) == ExitCode.DONE
        assert "first rows: 1,000 scored, 0 rejected" in capsys.readouterr().out


def test_lines_hold_the_bytes_of_the_stream_and_then_the_columns(tmp_path: Path, score: Score) -> None:
    path = write_rows(tmp_path, "csv", ROWS)
    assert score(path, format="ndjson", output=tmp_path / "plain") == ExitCode.DONE
    assert score(path, format="ndjson", columns="plan,months") == ExitCode.DONE
    plain, whole = (
        (tmp_path / name / "part-00000-0000.ndjson").read_bytes().splitlines() for name in ("plain", "out")
    )
    ends = [b',"plan":"pro","months":"24"}', b',"plan":"free","months":"3"}', b',"plan":"pro","months":"3"}']
    assert whole[:3] == [line[:-1] + end for line, end in zip(plain, ends, strict=False)]
    assert json.loads(whole[3])["months"] == "36"
    assert "plan" not in json.loads(whole[3])


@pytest.mark.parametrize(
    "options",
    [
        {"where": "feature < 0.8 or feature is null", "limit": 37},
        {"sample": 0.5, "columns": "feature", "format": "csv", "compress": "gzip"},
        {"columns": "group", "partition_by": "group,churn"},
    ],
)
def test_a_run_that_was_broken_off_selects_the_same_rows(
    tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    rows = [
        {"customer_id": n, "feature": None if n % 9 == 0 else n / 64, "group": "ab"[n % 2]} for n in range(64)
    ]
    paths = [write_rows(tmp_path, form, rows, name) for form, name in (("csv", "a"), ("parquet", "b"))]
    options |= {"part_rows": 10}
    append = LocalFolder.append
    assert score(*paths, output=tmp_path / "whole", **options) == ExitCode.DONE
    for lines in (2, 5, 9):
        left = iter(range(lines))

        def failing(folder: LocalFolder, line: bytes, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise InputError("the power is gone")
            append(folder, line)

        output = tmp_path / f"out-{lines}"
        with monkeypatch.context() as patched:
            patched.setattr(LocalFolder, "append", failing)
            score(*paths, output=output, **options)
        assert score(*paths, output=output, resume=True, batch_rows=7, **options) == ExitCode.DONE
        assert contents(output) == contents(tmp_path / "whole")
