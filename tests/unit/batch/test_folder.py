"""An output folder never loses what it holds, and never shows a half-written file."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from batch.folder import LocalFolder
from shared.errors import ExitCode, InputError


def test_a_file_gets_its_name_once_it_is_whole(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path / "a" / "b")
    folder.create()
    with folder.new_file("part") as file:
        file.write(b"one ")
        file.write(memoryview(b"two"))
        assert [item.name for item in folder.path.iterdir()] == [".part.tandem-unfinished"]
    assert (folder.path / "part").read_bytes() == b"one two"
    assert (file.size, file.sha256) == (7, hashlib.sha256(b"one two").hexdigest())


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError), LocalFolder(tmp_path).new_file("part") as file:  # noqa: PT012 - written in part
        file.write(b"half")
        file.write("text")  # type: ignore[arg-type] # on purpose
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_run_is_left_where_it_is(tmp_path: Path) -> None:
    """Two runs that were given one folder at the same moment: the second gives up, the first goes on."""
    with LocalFolder(tmp_path).new_file("part") as first:
        first.write(b"first")
        with pytest.raises(InputError, match="cannot be written"), LocalFolder(tmp_path).new_file("part"):
            pytest.fail("two runs write to one file")
        first.write(b" run")
    assert (tmp_path / "part").read_bytes() == b"first run"


def test_new_folders_are_brought_to_the_disk_with_those_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    LocalFolder(tmp_path / "a" / "b").create()
    assert synced == {tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino}


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught, LocalFolder(tmp_path).new_file("part"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.message == f"{tmp_path / 'part'}: cannot be written: No space left on device"
    assert caught.value.exit_code == ExitCode.UNREADABLE


@pytest.mark.parametrize("name", ["data.csv", ".hidden", "part-00000.parquet"])
def test_a_folder_that_holds_anything_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="the output folder is not empty") as caught:
        LocalFolder(tmp_path).check_empty()
    assert "Nothing is overwritten" in str(caught.value.hint)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(InputError, match="there is a file of that name"):
        LocalFolder(tmp_path / "out").check_empty()


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    LocalFolder(tmp_path).check_empty()
    LocalFolder(tmp_path).create()
