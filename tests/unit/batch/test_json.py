"""Closing summaries for scripts: one JSON object on standard output, and nothing else there."""

import json
from pathlib import Path
from typing import Any

import pytest

from batch.__main__ import main
from tests.support.models import threshold_model
from tests.support.sqlite import address

ROWS = "customer_id,feature\n101,0.2\n102,0.8\n103,\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_score_tells_what_it_did(
    model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, "score", rows, "--model", model, "--output", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert told == {
        "rows": 3,
        "scored": 2,
        "rejected": 1,
        "rejected_by_reason": {"missing_field": 1},
        "left_out": 0,
        "seconds": manifest["run"]["seconds"],
        "rows_per_second": manifest["run"]["rows_per_second"],
        "model": manifest["model"]["id"],
        "model_sha256": manifest["model"]["sha256"],
        "output": str(tmp_path / "out"),
        "delivered": None,
    }


def test_too_many_rejections_are_told_with_all_figures_and_the_exit_status(
    model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", model, "--output", tmp_path / "out", "--max-error-rate", "0.1"]
    assert said(capsys, "score", rows, *options, code=1)["rejected"] == 1


def test_a_delivery_tells_what_was_added(
    model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = address(tmp_path / "results.db")
    options = ["--output", database, "--output-table", "p"]
    told = said(capsys, "score", rows, "--model", model, *options, "--work-folder", tmp_path / "out")
    assert told["delivered"] == {
        "place": told["delivered"]["place"],
        "predictions": 2,
        "rejected": 1,
        "replaced": 0,
        "already_there": False,
    }
    assert said(capsys, "deliver", tmp_path / "out", *options) == told["delivered"]


def test_retry_tells_what_became_of_the_fixed_rows(
    model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    said(capsys, "score", rows, "--model", model, "--output", folder, "--format", "csv")
    manifest = json.loads((folder / "manifest.json").read_text())
    (rejected,) = (folder / entry["file"] for entry in manifest["rejected"])
    fixed = tmp_path / "fixed.csv"
    fixed.write_text(rejected.read_text())
    told = said(capsys, "retry", folder, fixed)
    figures = ("retried", "scored", "rejected_again", "rejected_by_reason", "rejected_in_all")
    assert [told[name] for name in figures] == [1, 0, 1, {"missing_field": 1}, 1]


def test_a_plan_is_for_people(
    model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(model), "--output", str(tmp_path / "out"), "--dry-run", "--json"]
    assert main(["score", str(rows), *options]) == 2
    assert "--json: what --dry-run prints is for people" in capsys.readouterr().err


def test_a_run_is_gone_on_with_whoever_reads_its_summary(
    model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", model, "--output", tmp_path / "out"]
    first = said(capsys, "score", rows, *options)
    assert said(capsys, "score", rows, *options, "--resume") == first
    assert main(["score", str(rows), *map(str, options), "--resume"]) == 0
