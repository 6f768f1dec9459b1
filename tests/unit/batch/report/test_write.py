"""A report is written whole or not at all, and reads back as what it was."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, SecretStr

from batch import durable
from batch.__main__ import main
from batch.report.document import Report
from batch.report.write import check_report_folder, new_report, write_report
from shared.errors import ExitCode, InputError
from shared.settings import CommandSettings
from tests.support import reports


class Settings(CommandSettings):
    """Settings with secrets."""

    address: str = Field("sqlite://someone:hidden@place/", description="An address.")
    sasl_password: SecretStr = Field(SecretStr("hidden"), description="A secret.")
    group: str = Field("tandem", description="No secret.")


@pytest.mark.parametrize("report", [reports.holding(), reports.failing(), reports.replayed()])
def test_a_report_reads_back_as_it_was(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "report", report)
    written = (tmp_path / "new" / "report" / "report.json").read_text(encoding="utf-8")
    assert Report.model_validate_json(written) == report


def test_what_is_computed_is_written_too(tmp_path: Path) -> None:
    report = reports.failing()
    assert report.proof is not None
    write_report(tmp_path, report)
    written = json.loads((tmp_path / "report.json").read_bytes())
    proof = written["proof"]
    assert (proof["holds"], proof["identical"], proof["conserved"]) == (False, False, False)
    assert proof["events"] == 1_000_000
    assert [one["closes"] for one in proof["ledger"]] == [one.closes for one in report.proof.ledger]
    write_report(tmp_path, reports.holding())
    cadences = json.loads((tmp_path / "report.json").read_bytes())["advice"]["cadences"]
    assert cadences[0]["stale_share"] == 0.0
    assert cadences[3]["stale_share"] > 0.18


def test_a_field_that_is_not_declared_is_still_an_error(tmp_path: Path) -> None:
    write_report(tmp_path, reports.holding())
    document = json.loads((tmp_path / "report.json").read_bytes())
    document["proof"]["hold"] = True
    with pytest.raises(ValueError, match="hold"):
        Report.model_validate(document)


def test_a_folder_for_the_report_is_made_before_the_work(tmp_path: Path) -> None:
    check_report_folder(tmp_path / "new" / "report")
    check_report_folder(tmp_path / "new" / "report")
    assert (tmp_path / "new" / "report").is_dir()


def test_a_report_cannot_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("stays", encoding="utf-8")
    with pytest.raises(InputError, match="is a file") as refused:
        check_report_folder(tmp_path / "file")
    assert "Name a folder" in str(refused.value.hint)
    with pytest.raises(InputError, match="file"):
        check_report_folder(tmp_path / "file" / "report")


@pytest.mark.parametrize(
    "command",
    [
        ["advise", "nothing.ndjson", "--model", "nothing"],
        ["replay", "nothing", "nothing.ndjson", "--against", "nothing"],
        ["prove", "--model", "nothing"],
    ],
    ids=lambda command: command[0],
)
def test_each_command_checks_the_report_s_folder_before_it_works(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main([*command, "--report", str(tmp_path / "file")]) == ExitCode.UNREADABLE
    assert "Name a folder" in capsys.readouterr().err


def test_an_older_report_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("stays", encoding="utf-8")
    write_report(tmp_path, reports.failing())
    write_report(tmp_path, reports.holding())
    assert sorted(item.name for item in tmp_path.iterdir()) == ["other", "report.html", "report.json"]
    assert "Identical and conserved" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("step", ["write", "sync", "rename"])
def test_a_report_that_cannot_be_written_leaves_the_older_one(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path, reports.holding())
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable, step, full)
    with pytest.raises(InputError, match=r"report\.json: cannot be written: No space left") as caught:
        write_report(tmp_path, reports.failing())
    assert caught.value.hint
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


def test_each_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def noting(name: str) -> None:
        step = getattr(durable, name)

        def noted(*arguments: Any) -> None:
            steps.append(arguments[1].name if name == "rename" else name)
            step(*arguments)

        monkeypatch.setattr(durable, name, noted)

    for name in ("sync", "rename", "sync_folder"):
        noting(name)
    write_report(tmp_path, reports.holding())
    assert steps[-6:] == ["sync", "report.json", "sync_folder", "sync", "report.html", "sync_folder"]


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "report", reports.holding())


def test_half_a_character_does_not_keep_a_report_from_being_written(tmp_path: Path) -> None:
    write_report(tmp_path, reports.failing("half \ud83d"))
    report = Report.model_validate_json((tmp_path / "report.json").read_bytes())
    assert report.proof is not None
    assert report.proof.topics["events"] == "customers half ?"


def test_a_new_report_says_where_it_was_made_and_keeps_secrets() -> None:
    report = new_report(Settings(), 1.23456, advice=reports.advice())
    assert report.seconds == 1.235
    assert report.made.endswith("+00:00")
    assert report.command == {
        "address": "sqlite://someone:***@place/",
        "sasl_password": "***",
        "group": "tandem",
    }
    assert {"numpy", "pyarrow", "msgspec"} <= set(report.environment.libraries)
    assert report.environment.cores == os.cpu_count()
    assert (report.proof, report.replay) == (None, None)
