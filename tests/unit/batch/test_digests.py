"""The digests of inputs are found beside the scoring, and never hold up a run that has failed."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from batch.__main__ import main
from batch.digests import Digests
from batch.folder import LocalFolder
from batch.journal import Begun, Digested, Journal, read_journal
from batch.pieces import FinishedPart
from batch.run import BatchRun
from batch.sources import FileRows, Reading
from shared.errors import ExitCode, InputError
from shared.files import Source
from tests.support.commands import ROOT
from tests.support.tables import write_rows


@pytest.fixture
def source(tmp_path: Path) -> FileRows:
    path = write_rows(tmp_path, "csv", [{"customer_id": n, "feature": n / 64} for n in range(64)])
    return FileRows(Source(path, path.name), Reading())


def test_an_error_gives_up_what_is_not_yet_found(source: FileRows) -> None:
    begun, ended = threading.Event(), list[int]()

    def endless(number: int, stopped: Callable[[], bool]) -> str:
        begun.set()
        while not stopped():
            pass
        ended.append(number)
        raise CancelledError

    def fail() -> None:
        assert begun.wait(60)
        raise InputError("the disk is full")

    with pytest.raises(InputError, match="the disk is full"), Digests([source, source], endless):
        fail()
    assert ended == [0], "the second is not even begun"


def test_a_file_is_not_read_to_its_end_for_a_run_that_has_failed(source: FileRows) -> None:
    assert len(source.digest(lambda: False)) == 64
    with pytest.raises(CancelledError):
        source.digest(lambda: True)


def test_an_input_that_is_another_is_noticed_before_all_is_scored(
    tmp_path: Path,
    source: FileRows,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    noticed, note, add = threading.Event(), Digests._note, Journal.add

    def other(*_: object) -> str:
        raise InputError("rows.csv: another file")

    def noting(digests: Digests, found: Future[str]) -> None:
        note(digests, found)
        noticed.set()

    def waiting(journal: Journal, entry: Begun | Digested | FinishedPart) -> None:
        assert not isinstance(entry, FinishedPart) or noticed.wait(60)
        add(journal, entry)

    monkeypatch.setattr(BatchRun, "_find_digest", other)
    monkeypatch.setattr(Digests, "_note", noting)
    monkeypatch.setattr(Journal, "add", waiting)
    given = ["score", str(source.file), "--model", str(ROOT / "models/threshold"), "--workers", "1"]
    output = tmp_path / "out"
    assert main([*given, "--output", str(output), "--part-rows", "10"]) == ExitCode.UNREADABLE
    assert "rows.csv: another file" in capsys.readouterr().err
    assert len(read_journal(LocalFolder(output)).parts.get(0, [])) <= 1, "of seven parts"
