"""`python -m batch compare` on files, as a person runs it."""

import json
from pathlib import Path

import pytest

from batch.__main__ import main
from batch.manifest import MANIFEST_FILE
from shared.errors import ExitCode
from tests.support.models import threshold_model
from tests.support.tables import LESSON, Rows, write_rows

ROWS: Rows = [
    *({"customer_id": n, "feature": n / 10, "event_id": f"e{n}"} for n in range(8)),
    {"customer_id": 9},
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


def score(tmp_path: Path, model: Path, rows: Rows, name: str, output_format: str = "ndjson") -> Path:
    """A batch run over rows; all runs call their file by the same name."""
    path = write_rows(tmp_path / f"{name}-input", "ndjson", rows)
    arguments = ["--model", str(model), "--output", str(tmp_path / name), "--format", output_format]
    assert main(["score", str(path), *arguments]) == ExitCode.DONE
    return tmp_path / name


def change(folder: Path, old: str, new: str) -> None:
    """Replaces a text of the same length in a run's first part."""
    path = folder / "part-00000-0000.ndjson"
    text = path.read_text()
    assert text.count(old) == 1
    assert len(old) == len(new)
    path.write_text(text.replace(old, new))


def compare(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> tuple[int, dict[str, int]]:
    """The exit code and the classes that are not empty."""
    capsys.readouterr()
    code = main(["compare", *map(str, arguments), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["agrees"] == (code == ExitCode.DONE)
    return code, {name: count for name, count in answer["counts"].items() if count}


def test_two_runs_over_the_same_rows_are_identical(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = score(tmp_path, model, ROWS, "one"), score(tmp_path, model, ROWS, "two", "parquet")
    assert compare(capsys, one, two) == (ExitCode.DONE, {"identical": 8, "rejected_alike": 1})
    assert main(["compare", str(one), str(two)]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert f"Identical to the bit: {one} holds 8 predictions and 1 rejection, {two} holds" in shown


def test_a_flipped_bit_ends_with_exit_1(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = score(tmp_path, model, ROWS, "one"), score(tmp_path, model, ROWS, "two")
    change(two, '"score":0.7,', '"score":0.3,')
    assert compare(capsys, one, two) == (
        ExitCode.ANSWER_IS_NO,
        {"identical": 7, "different": 1, "rejected_alike": 1},
    )
    assert main(["compare", str(one), str(two)]) == ExitCode.ANSWER_IS_NO
    shown = capsys.readouterr().out
    assert "rows.ndjson/7" in shown
    assert "0.7 true" in shown


def test_missing_extra_and_another_reason(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = score(tmp_path, model, [*ROWS[:8], {"customer_id": 9, "feature": "x"}], "one")
    two = score(tmp_path, model, [*ROWS, *LESSON[:1]], "two")
    assert compare(capsys, one, two)[1] == {"identical": 8, "missing": 1, "rejected_differently": 1}
    assert compare(capsys, two, one)[1] == {"identical": 8, "extra": 1, "rejected_differently": 1}


def test_ids_of_the_customers_and_events_can_join(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows in another order have other positions, and the same customers."""
    one, two = score(tmp_path, model, ROWS, "one"), score(tmp_path, model, ROWS[::-1], "two", "csv")
    assert compare(capsys, one, two)[0] == ExitCode.ANSWER_IS_NO
    identical = (ExitCode.DONE, {"identical": 8, "rejected_alike": 1})
    assert compare(capsys, one, two, "--on", "customer_id") == identical
    # The rejected row has no event id, so that its counterpart is not known.
    assert compare(capsys, one, two, "--on", "event_id")[1] == {"identical": 8, "rejected_on_one": 2}


def test_a_customer_who_stands_there_twice_is_duplicated(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = score(tmp_path, model, ROWS, "one")
    two = score(tmp_path, model, [*ROWS, ROWS[0]], "two")
    found = compare(capsys, one, two, "--on", "customer_id")[1]
    assert found == {"identical": 7, "duplicated": 1, "rejected_alike": 1}


def test_a_folder_has_its_own_rejections_whatever_topic_the_consumers_use(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = score(tmp_path, model, ROWS, "one"), score(tmp_path, model, ROWS, "two")
    monkeypatch.setenv("TANDEM_DEAD_LETTER_TOPIC", "dead-letters")
    monkeypatch.setenv("TANDEM_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert compare(capsys, one, two) == (ExitCode.DONE, {"identical": 8, "rejected_alike": 1})


def test_another_model_is_named(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = threshold_model(tmp_path / "newer", version="2")
    one, two = score(tmp_path, model, ROWS, "one"), score(tmp_path, newer, ROWS, "two")
    assert main(["compare", str(one), str(two)]) == ExitCode.DONE
    assert "The models differ: threshold@1" in capsys.readouterr().out


def test_a_file_of_predictions_is_a_side(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (score(tmp_path, model, ROWS, name, name) for name in ("ndjson", "parquet"))
    files = (one / "part-00000-0000.ndjson", two / "part-00000-0000.parquet")
    assert compare(capsys, *files) == (ExitCode.DONE, {"identical": 8})


BAD_SIDES = {
    "nowhere": "there is no such file",
    "rows.ndjson": "not a prediction",
    "rows.csv": "not a file of predictions",
    "empty": "no manifest.json is in it",
    "notes.txt": "the format is unknown",
}


@pytest.mark.parametrize("bad", BAD_SIDES)
def test_a_side_that_cannot_be_read_is_named(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    one = score(tmp_path, model, ROWS, "one")
    write_rows(tmp_path, "ndjson", LESSON)
    write_rows(tmp_path, "csv", LESSON)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")
    capsys.readouterr()
    assert main(["compare", str(one), str(tmp_path / bad)]) == ExitCode.UNREADABLE
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {tmp_path / bad}")
    assert BAD_SIDES[bad] in errors


def test_a_part_that_is_not_listed_does_not_count(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = score(tmp_path, model, ROWS, "one"), score(tmp_path, model, ROWS, "two")
    (two / "part-00001-0000.ndjson").write_bytes((two / "part-00000-0000.ndjson").read_bytes())
    assert compare(capsys, one, two)[0] == ExitCode.DONE


def test_a_manifest_of_another_version_is_refused(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = score(tmp_path, model, ROWS, "one")
    manifest = json.loads((one / MANIFEST_FILE).read_text())
    (one / MANIFEST_FILE).write_text(json.dumps(manifest | {"version": 2}))
    assert main(["compare", str(one), str(one)]) == ExitCode.UNREADABLE
    assert "version" in capsys.readouterr().err


def test_what_is_no_tolerance_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path), "--tolerance", "much"]) == ExitCode.USAGE
    assert "--tolerance" in capsys.readouterr().err


def test_no_broker_is_a_sentence_with_the_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reach = ["--bootstrap-servers", "127.0.0.1:1", "--broker-timeout", "0.2"]
    assert main(["compare", "topic:predictions", str(tmp_path), *reach]) == ExitCode.BROKER_UNREACHABLE
    assert "127.0.0.1:1" in capsys.readouterr().err
    assert (
        main(["export", "customers", "--output", str(tmp_path / "out"), *reach])
        == ExitCode.BROKER_UNREACHABLE
    )
    assert not (tmp_path / "out").exists()


def test_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main([])
    assert exited.value.code == ExitCode.USAGE
    listing = capsys.readouterr().err
    assert all(name in listing for name in ("score", "export", "compare"))
