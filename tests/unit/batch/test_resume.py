"""A run that was broken off goes on from its journal, and only when it is still the same run."""

import errno
import fcntl
import json
import os
import shutil
import threading
import zlib
from pathlib import Path
from typing import BinaryIO

import pytest

from batch import durable
from batch.__main__ import main
from batch.folder import JOURNAL_FILE, LocalFolder
from batch.journal import Begun, Digested, InputSeen, Journal, read_journal
from batch.manifest import MANIFEST_FILE
from shared.errors import ExitCode, InputError
from tests.support.commands import ROOT
from tests.support.killed_batch import contents
from tests.support.models import threshold_model
from tests.support.object_store import Bucket
from tests.support.tables import write_rows

ROWS = [{"customer_id": n, "feature": None if n % 5 == 0 else n / 64} for n in range(64)]
BEGUN = Begun(
    tandem="1",
    model="m@1",
    model_sha256="a" * 64,
    settings={"format": "csv"},
    inputs=[InputSeen(name="a", size=9)],
)


def score(source: Path, output: Path, *more: str, model: Path = ROOT / "models/threshold") -> int:
    arguments = ["score", str(source), "--model", str(model), "--output", str(output), "--part-rows", "10"]
    return main([*arguments, *more])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path, "csv", ROWS)


@pytest.fixture
def broken_off(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that failed after some of its parts."""
    output = tmp_path / "out"
    append, left = LocalFolder.append, iter(range(5))

    def failing(folder: LocalFolder, line: bytes) -> None:
        if next(left, None) is None:
            raise InputError("the power is gone")
        append(folder, line)

    with monkeypatch.context() as patched:
        patched.setattr(LocalFolder, "append", failing)
        assert score(source, output) == ExitCode.UNREADABLE
    assert (output / JOURNAL_FILE).exists()
    assert not (output / MANIFEST_FILE).exists()
    return output


@pytest.mark.parametrize("more", [[], ["--resume"], ["--dry-run"]])
def test_an_output_inside_a_folder_that_is_read_is_refused(
    tmp_path: Path,
    source: Path,
    more: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The next run would score its own results."""
    folder = source.parent
    assert score(folder, folder / "a" / "out", *more) == ExitCode.USAGE
    assert f"{folder}/a/out: the output is inside the input {folder}" in capsys.readouterr().err
    monkeypatch.chdir(folder)
    assert score(Path(), Path("out"), *more) == ExitCode.USAGE
    assert not list(folder.rglob("out"))
    # Beside it, or where no file is read.
    assert score(folder, tmp_path.parent / f"{tmp_path.name}-out", *more) == ExitCode.DONE
    assert score(folder, folder / "_scored", *more) == ExitCode.DONE


def test_an_output_inside_a_folder_of_a_store_that_is_read_is_refused(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.put("in/a.csv", b"customer_id,feature\n1,0.5\n")
    options = ["--model", str(ROOT / "models/threshold")]
    given = ["score", f"{bucket.address}/in", *options, "--output", f"{bucket.address}/in/out"]
    assert main(given) == ExitCode.USAGE
    assert "/in/out: the output is inside the input " in capsys.readouterr().err
    assert bucket.keys() == ["in/a.csv"]


def test_a_resumed_run_writes_what_an_uninterrupted_one_writes(
    tmp_path: Path, source: Path, broken_off: Path
) -> None:
    assert score(source, tmp_path / "whole") == ExitCode.DONE
    finished = {path: path.stat().st_mtime_ns for path in broken_off.glob("[pr]*")}
    assert score(source, broken_off, "--resume") == ExitCode.DONE
    assert contents(broken_off) == contents(tmp_path / "whole")
    kept = [path for path, changed in finished.items() if path.stat().st_mtime_ns == changed]
    assert len(kept) >= 2, "finished parts are made again"


def test_without_resume_the_folder_is_refused_with_a_word_about_it(
    source: Path, broken_off: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(source, broken_off) == ExitCode.UNREADABLE
    assert "--resume goes on with it" in capsys.readouterr().err


def test_resume_begins_where_there_is_nothing_yet(tmp_path: Path, source: Path) -> None:
    assert score(source, tmp_path / "new", "--resume") == ExitCode.DONE


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_resume_leaves_a_folder_alone_in_which_no_run_was_begun(
    tmp_path: Path, source: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is named by mistake, with files that are like those of a run."""
    own = tmp_path / "own"
    for name in ("part-00000-0000.parquet", "notes/.draft.tmp", "a/.b.tandem-unfinished"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text("mine")
    before = contents(own)
    assert score(source, own, "--resume", *more) == ExitCode.UNREADABLE
    assert "the output folder is not empty" in capsys.readouterr().err
    assert contents(own) == before


def test_only_unfinished_files_of_a_run_are_removed(source: Path, broken_off: Path) -> None:
    left = broken_off / "churn=true" / ".part-00000-0000.parquet.tandem-unfinished"
    left.parent.mkdir()
    left.write_text("half")
    (broken_off / ".mine.tmp").write_text("mine")
    (broken_off / ".folder.tandem-unfinished").mkdir()
    assert score(source, broken_off, "--resume") == ExitCode.DONE
    assert not left.exists()
    assert (broken_off / ".mine.tmp").read_text() == "mine"
    assert (broken_off / ".folder.tandem-unfinished").is_dir()


def test_resuming_a_finished_run_changes_nothing(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert score(source, output) == ExitCode.DONE
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in output.iterdir()}
    assert score(source, output, "--resume") == ExitCode.DONE
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in output.iterdir()} == before
    assert score(source, output, "--resume", "--format", "csv") == ExitCode.UNREADABLE
    assert "cannot be resumed: --format was parquet and is csv" in capsys.readouterr().err


def test_a_finished_run_is_not_taken_for_one_of_other_rows_or_another_model(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A nightly job that always gives one folder and --resume is told so, and not given its first night."""
    output = tmp_path / "out"
    assert score(source, output) == ExitCode.DONE
    other = threshold_model(tmp_path / "other", threshold=0.5)
    assert score(source, output, "--resume", model=other) == ExitCode.UNREADABLE
    assert "the model was threshold@1 (" in capsys.readouterr().err
    source.write_bytes(source.read_bytes().replace(b"0.25", b"0.75"))
    assert score(source, output, "--resume") == ExitCode.UNREADABLE
    assert f"the input {source.name} has other content" in capsys.readouterr().err
    source.write_bytes(source.read_bytes() + b"99,0.5\n")
    assert score(source, output, "--resume") == ExitCode.UNREADABLE
    assert f"the input {source.name} had " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--format", "csv"], "--format was parquet and is csv"),
        (["--part-rows", "11"], "--part-rows was 10 and is 11"),
        (["--where", "feature > 0.5"], "--where was not given and is feature > 0.5"),
    ],
)
def test_another_setting_is_named(
    source: Path, broken_off: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(source, broken_off, "--resume", *more) == ExitCode.UNREADABLE
    assert said in capsys.readouterr().err
    assert (broken_off / JOURNAL_FILE).exists()


def test_settings_that_change_no_result_may_change(source: Path, broken_off: Path) -> None:
    assert score(source, broken_off, "--resume", "--workers", "3", "--batch-rows", "7") == ExitCode.DONE


def test_model_and_inputs_are_known_by_their_content_and_may_have_moved(
    tmp_path: Path, source: Path, broken_off: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(ROOT / "models/threshold", moved / "model")
    shutil.copy(source, moved / source.name)
    for _ in ("broken off", "finished"):
        more = ("--resume", "--max-error-rate", "0.5")
        assert score(moved / source.name, broken_off, *more, model=moved / "model") == ExitCode.DONE


def test_another_model_is_named(
    tmp_path: Path, source: Path, broken_off: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = threshold_model(tmp_path / "other", threshold=0.5)
    assert score(source, broken_off, "--resume", model=other) == ExitCode.UNREADABLE
    assert "the model was threshold@1 (" in capsys.readouterr().err


def test_other_content_of_the_same_length_is_found(
    source: Path, broken_off: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, state = source.read_bytes(), source.stat()
    source.write_bytes(content.replace(b"0.25", b"0.75"))
    os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert score(source, broken_off, "--resume") == ExitCode.UNREADABLE
    assert f"the input {source.name} has other content" in capsys.readouterr().err


def test_a_longer_and_a_missing_input_are_named(
    source: Path, broken_off: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_bytes(source.read_bytes() + b"99,0.5\n")
    assert score(source, broken_off, "--resume") == ExitCode.UNREADABLE
    assert f"the input {source.name} had " in capsys.readouterr().err


def test_a_part_that_has_gone_is_made_again(tmp_path: Path, source: Path, broken_off: Path) -> None:
    assert score(source, tmp_path / "whole") == ExitCode.DONE
    (broken_off / "part-00000-0000.parquet").unlink()
    assert score(source, broken_off, "--resume") == ExitCode.DONE
    assert contents(broken_off) == contents(tmp_path / "whole")


def test_two_runs_in_one_folder_are_refused(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = LocalFolder(tmp_path / "out")
    output.create()
    with output.locked():
        assert score(source, output.path, "--resume") == ExitCode.UNREADABLE
        assert "another run is writing to this folder" in capsys.readouterr().err
    assert score(source, output.path) == ExitCode.DONE
    assert not list(output.path.glob(".*"))


def test_a_lock_that_a_killed_run_left_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_bytes(b"")
    with LocalFolder(tmp_path).locked(), (tmp_path / ".lock").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not (tmp_path / ".lock").exists()


def written(folder: Path) -> LocalFolder:
    journal = Journal(LocalFolder(folder))
    journal.add(BEGUN)
    journal.add(Digested(source=0, sha256="b" * 64))
    return LocalFolder(folder)


def test_a_journal_says_what_was_written_to_it(tmp_path: Path) -> None:
    done = read_journal(written(tmp_path))
    assert (done.begun, done.digests, done.parts) == (BEGUN, {0: "b" * 64}, {})
    assert done.whole == (tmp_path / JOURNAL_FILE).stat().st_size


def test_a_last_line_that_was_cut_short_counts_for_nothing(tmp_path: Path) -> None:
    folder = written(tmp_path)
    content = (tmp_path / JOURNAL_FILE).read_bytes()
    first = content.index(b"\n") + 1
    for cut in range(first, len(content)):
        (tmp_path / JOURNAL_FILE).write_bytes(content[:cut])
        done = read_journal(folder)
        assert (done.begun, done.digests, done.whole) == (BEGUN, {}, first)
        folder.mend(done.whole)
        assert (tmp_path / JOURNAL_FILE).read_bytes() == content[:first]


def test_a_line_for_which_there_was_no_room_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other workers go on to write to the journal; a piece of a line between theirs could not be read."""
    for name in "abcdefgh":
        write_rows(tmp_path / "in", "csv", ROWS, name)
    monkeypatch.setattr("batch.job.PACK_BYTES", 1)
    write, rename = durable.write, durable.rename
    finished, cut, other = iter(range(100)), list[int](), threading.Event()

    def full(file: BinaryIO, content: bytes | memoryview) -> None:
        if str(file.name).endswith(JOURNAL_FILE) and b'"finished"' in bytes(content) and next(finished) == 2:
            cut.append(threading.get_ident())
            assert other.wait(60), "no other worker has a line to write"
            write(file, bytes(content)[:50])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, content)

    def noting(unfinished: Path, path: Path) -> None:
        rename(unfinished, path)
        if cut and threading.get_ident() not in cut:
            other.set()

    output = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(durable, "write", full)
        patched.setattr(durable, "rename", noting)
        assert score(tmp_path / "in", output, "--workers", "3") == ExitCode.UNREADABLE
    assert sum(map(len, read_journal(LocalFolder(output)).parts.values())) > 2, "no line followed"
    assert score(tmp_path / "in", output, "--resume") == ExitCode.DONE
    assert score(tmp_path / "in", tmp_path / "whole") == ExitCode.DONE
    assert contents(output) == contents(tmp_path / "whole")


def test_no_line_follows_one_that_cannot_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path)
    before = folder.journal()

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", failing)
        patched.setattr(durable, "sync", failing)
        with pytest.raises(InputError, match="Input/output error"):
            folder.append(b"half")
    with pytest.raises(InputError, match="a line of it is cut short, and no other may follow"):
        folder.append(b"whole")
    assert folder.journal() == before + b"half\n"


@pytest.mark.parametrize("damage", ["flipped", "unknown"])
def test_a_damaged_line_before_the_last_is_refused(tmp_path: Path, damage: str) -> None:
    folder = written(tmp_path)
    lines = (tmp_path / JOURNAL_FILE).read_bytes().splitlines(keepends=True)
    if damage == "flipped":
        lines[0] = lines[0].replace(b"m@1", b"m@2")
    else:
        content = json.dumps({"kind": "later"}).encode()
        lines[0] = b"%08x %s\n" % (zlib.crc32(content), content)
    (tmp_path / JOURNAL_FILE).write_bytes(b"".join(lines))
    with pytest.raises(InputError, match="line 1 is damaged"):
        read_journal(folder)
