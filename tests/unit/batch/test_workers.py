"""What worker processes report reaches the run, whatever becomes of it there."""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from batch.__main__ import main
from batch.journal import Begun, Digested, Journal
from batch.pieces import FinishedPart
from shared.errors import ExitCode, InputError
from tests.support.commands import ROOT
from tests.support.killed_batch import contents
from tests.support.tables import write_rows

Entry = Begun | Digested | FinishedPart


def score(source: Path, output: Path, *more: str) -> int:
    arguments = ["score", str(source), "--model", str(ROOT / "models/threshold"), "--output", str(output)]
    return main([*arguments, "--workers", "2", "--memory", "4096", *more])


@pytest.fixture
def by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little there is to do: a process for each worker, and a piece for each file."""
    monkeypatch.setattr("batch.workers._BYTES_WORTH_A_PROCESS", 1)
    monkeypatch.setattr("batch.job.PACK_BYTES", 1)


def events(folder: Path, files: int, rows: int = 8) -> Path:
    for number in range(files):
        values = [{"customer_id": n, "feature": n / 64} for n in range(rows)]
        write_rows(folder, "ndjson", values, f"{number:03d}")
    return folder


@pytest.mark.usefixtures("by_processes")
def test_the_error_of_a_report_is_what_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers have more to say than a pipe holds: they are heard out, and told to stop."""
    source, output = events(tmp_path / "in", files=6, rows=100), tmp_path / "out"
    add, finished = Journal.add, iter(range(1000))

    def failing(journal: Journal, entry: Entry) -> None:
        if isinstance(entry, FinishedPart) and next(finished) == 1:
            raise InputError("the disk is gone")
        add(journal, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", failing)
        assert score(source, output, "--part-rows", "5") == ExitCode.UNREADABLE
    assert "error: the disk is gone" in capsys.readouterr().err
    assert not multiprocessing.active_children()
    assert score(source, output, "--part-rows", "5", "--resume") == ExitCode.DONE
    assert score(source, tmp_path / "whole", "--part-rows", "5", "--workers", "1") == ExitCode.DONE
    assert contents(output) == contents(tmp_path / "whole")


@pytest.mark.usefixtures("by_processes")
def test_a_disk_that_is_slower_than_the_workers_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, add, ended = events(tmp_path / "in", files=4), Journal.add, threading.Event()

    class Pool(ProcessPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait, cancel_futures=cancel_futures)
            ended.set()

    def slow(journal: Journal, entry: Entry) -> None:
        assert not isinstance(entry, FinishedPart) or ended.wait(60)
        add(journal, entry)

    monkeypatch.setattr("batch.workers.ProcessPoolExecutor", Pool)
    monkeypatch.setattr(Journal, "add", slow)
    assert score(source, tmp_path / "out") == ExitCode.DONE
