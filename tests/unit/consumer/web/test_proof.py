"""The proof that the page shows: read from its report, again when that changes, and from nothing else."""

import json
import logging
import os
import threading
from pathlib import Path

import pytest
from starlette.applications import Starlette

from batch.report.write import write_report
from consumer.settings import ConsumerSettings
from consumer.web.proof import REPORT_POLICY, ProofFolder, routes
from consumer.web.state import Proof
from shared.settings import load
from tests.support import reports
from tests.support.asgi import ask


def settings(*arguments: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", "models/threshold", *arguments], "python -m consumer")


def test_a_proof_is_told_as_its_report_has_it(tmp_path: Path) -> None:
    report = reports.holding()
    write_report(tmp_path, report)
    found, proof = ProofFolder(tmp_path).look(), report.proof
    assert found is not None
    assert proof is not None
    assert (found.holds, found.events, found.report) == (True, 1_000_000, True)
    assert found.headline == "Identical and conserved: 1,000,000 events, to the bit, on both paths."
    assert found.counts == {"identical": 989_947, "rejected_alike": 10_053}
    assert found.certificate == proof.certificate


def test_a_folder_that_is_not_there_yet_is_no_proof_until_it_is(tmp_path: Path) -> None:
    folder = ProofFolder(tmp_path / "proof")
    assert (folder.look(), folder.report()) == (None, None)
    write_report(tmp_path / "proof", reports.holding())
    assert folder.look() is not None
    assert folder.report() == tmp_path / "proof" / "report.html"


def test_a_report_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    folder = ProofFolder(tmp_path)
    write_report(tmp_path, reports.holding())
    assert folder.look() == folder.look()
    path = tmp_path / "report.json"
    known = path.stat()
    path.write_bytes(b"x" * known.st_size)
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    found = folder.look()
    assert found is not None
    assert found.holds
    write_report(tmp_path, reports.failing())
    found = folder.look()
    assert found is not None
    assert not found.holds
    assert found.headline.startswith("Not proved: ")


def test_the_last_proof_is_handed_over_at_once_however_long_the_disk_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path, reports.holding())
    begun, answers, look = threading.Semaphore(0), threading.Semaphore(0), ProofFolder.look

    def slow(folder: ProofFolder) -> Proof | None:
        begun.release()
        assert answers.acquire(timeout=10)
        return look(folder)

    monkeypatch.setattr(ProofFolder, "look", slow)
    folder = ProofFolder(tmp_path)
    # However often it is asked, one look is under way.
    assert [folder.latest() for _ in range(3)] == [None] * 3
    assert begun.acquire(timeout=10)
    assert not begun.acquire(blocking=False)
    [looking] = [thread for thread in threading.enumerate() if thread.name == "proof"]
    assert looking.daemon
    answers.release()
    looking.join(10)
    write_report(tmp_path, reports.failing())
    assert [found and found.holds for found in (folder.latest(), folder.latest())] == [True, True]
    answers.release()


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_what_is_no_regular_file_or_too_large_is_not_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_report(tmp_path, reports.holding())
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    folder, app = ProofFolder(tmp_path), Starlette(routes=routes(settings("--proof", str(tmp_path))))

    def shown() -> tuple[bool, bool]:
        found = folder.look()
        return found is not None, found is not None and found.report

    refused = (name == "report.html", False)
    assert shown() == shown() == refused
    assert ask(app, "/page/report").status == (404 if name == "report.html" else 200)
    (tmp_path / name).unlink()
    write_report(tmp_path, reports.holding())
    assert shown() == (True, True)
    monkeypatch.setattr("consumer.web.proof._MOST_BYTES", (tmp_path / name).stat().st_size - 1)
    (tmp_path / "report.json").touch()
    assert not shown()[1]
    assert [line for line in caplog.messages if "no regular file" in line] == (
        [] if name == "report.html" else [f"{tmp_path / name} cannot be read: it is no regular file"]
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"version": 1, "made": "2026-03-14T09', "Invalid JSON"),
        (b"[]", "should be an object"),
        (b'{"version": 2, "made": "2026-03-14T09:26:53+00:00", "proof": null}', "version: "),
        (b'{"version": 1, "made": "2026-03-14T09:26:53+00:00"}', "proof: Field required"),
        (b"\xff\xfe", "Invalid JSON"),
    ],
    ids=["half", "array", "version", "foreign", "bytes"],
)
def test_what_is_no_report_is_no_proof_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, said: str
) -> None:
    (tmp_path / "report.json").write_bytes(content)
    folder = ProofFolder(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [folder.look(), folder.look()] == [None, None]
    (warning,) = caplog.messages
    assert said in warning
    assert str(tmp_path / "report.json") in warning
    write_report(tmp_path, reports.holding())
    assert folder.look() is not None


def test_a_report_of_an_older_version_says_to_write_it_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_report(tmp_path, reports.holding())
    path = tmp_path / "report.json"
    report = json.loads(path.read_bytes())
    del report["proof"]["verdict"]
    path.write_text(json.dumps(report), encoding="utf-8")
    assert ProofFolder(tmp_path).look() is None
    assert "proof.verdict: Field required" in caplog.text
    assert "prove --report" in caplog.text


def test_a_report_that_cannot_be_read_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "report.json").mkdir()
    folder = ProofFolder(tmp_path)
    assert [folder.look(), folder.look()] == [None, None]
    (warning,) = caplog.messages
    assert "cannot be read" in warning


def test_a_report_of_something_else_is_no_proof_and_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_report(tmp_path, reports.replayed())
    assert ProofFolder(tmp_path).look() is None
    assert caplog.messages == []


def test_the_reports_page_is_served_with_a_policy_under_which_nothing_is_run_or_fetched(
    tmp_path: Path,
) -> None:
    write_report(tmp_path, reports.holding())
    answer = ask(Starlette(routes=routes(settings("--proof", str(tmp_path)))), "/page/report")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.body == (tmp_path / "report.html").read_bytes()
    assert answer.headers["content-security-policy"] == REPORT_POLICY
    assert "script" not in REPORT_POLICY
    assert REPORT_POLICY.startswith("default-src 'none'")


def test_a_report_that_is_not_there_yet_is_404_with_what_makes_one(tmp_path: Path) -> None:
    answer = ask(Starlette(routes=routes(settings("--proof", str(tmp_path)))), "/page/report")
    assert answer.status == 404
    assert b"prove --report" in answer.body


def test_without_a_folder_there_is_no_route() -> None:
    assert routes(settings()) == []
    assert ProofFolder.of(settings()) is None


@pytest.mark.parametrize("option", ["--page=figures", "--mask-customers"])
def test_where_no_event_may_be_shown_neither_is_the_report_which_quotes_some(
    tmp_path: Path, option: str
) -> None:
    write_report(tmp_path, reports.failing())
    chosen = settings("--proof", str(tmp_path), option)
    folder = ProofFolder.of(chosen)
    assert folder is not None
    found = folder.look()
    assert found is not None
    assert not found.report
    assert ask(Starlette(routes=routes(chosen)), "/page/report").status == 404
