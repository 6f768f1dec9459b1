"""A folder in an object store: files appear whole, the journal keeps its order, and one run has the lock."""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from batch.folder import Folder, folder_at
from batch.object_folder import ObjectFolder
from batch.object_lock import STALE_SECONDS
from shared.deadline import Deadline
from shared.errors import InputError
from shared.stores.address import StoreAddress
from tests.support.commands import ROOT
from tests.support.object_store import HELD, REFUSED, Bucket, ObjectStore

MORE_THAN_A_PART = 11 << 20


@pytest.fixture
def folder(bucket: Bucket) -> ObjectFolder:
    return again(bucket)


def again(bucket: Bucket) -> ObjectFolder:
    """The folder as another run sees it."""
    return ObjectFolder(StoreAddress.parse(f"{bucket.address}/out"))


def locks(bucket: Bucket) -> list[str]:
    return [key for key in bucket.keys("out/") if ".lock-" in key]


class TestFiles:
    def test_are_there_once_they_are_whole(self, bucket: Bucket, folder: ObjectFolder) -> None:
        with folder.new_file("part-1") as file:
            file.write(b"one ")
            file.write(b"two")
            assert bucket.keys() == []
            assert bucket.uploads() == []
        assert bucket.get("out/part-1") == b"one two"
        assert file.sha256 == hashlib.sha256(b"one two").hexdigest()
        assert folder.size_of("part-1") == 7
        assert folder.size_of("part-2") is None

    def test_replace_those_of_their_name(self, bucket: Bucket, folder: ObjectFolder) -> None:
        for content in (b"first", b"second"):
            with folder.new_file("churn=true/part") as file:
                file.write(content)
        assert bucket.get("out/churn=true/part") == b"second"

    def test_are_not_there_after_an_error(self, bucket: Bucket, folder: ObjectFolder) -> None:
        def write_half() -> None:
            with folder.new_file("part-1") as file:
                file.write(bytes(MORE_THAN_A_PART))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_half()
        assert bucket.keys() == []
        assert bucket.uploads() == []

    def test_are_not_there_when_the_store_refuses_half_way(
        self, bucket: Bucket, folder: ObjectFolder
    ) -> None:
        said = f"{bucket.address}/out/{REFUSED}: cannot be written: the store refuses"
        with pytest.raises(InputError, match=said), folder.new_file(REFUSED) as file:
            file.write(bytes(MORE_THAN_A_PART))
        assert bucket.keys() == []

    def test_are_not_there_when_the_sender_is_killed_half_way(
        self, bucket: Bucket, object_store: ObjectStore
    ) -> None:
        code = (
            "from batch.folder import folder_at\n"
            f"with folder_at('{bucket.address}/out').new_file('{HELD}') as file:\n"
            f"    file.write(bytes({MORE_THAN_A_PART}))\n"
        )
        sender = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **object_store.variables}
        )
        deadline = Deadline.after(30)
        while not bucket.uploads():
            assert not deadline.passed
            assert sender.poll() is None
        sender.kill()
        sender.wait()
        assert bucket.keys() == []

    def test_that_do_not_fit_into_the_temporary_folder_say_which_it_is(
        self, folder: ObjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no"))
        with (
            pytest.raises(InputError, match=rf"(?s)out/part: .*{tmp_path}/no.*TMPDIR"),
            folder.new_file("part"),
        ):
            pass


class TestTheJournal:
    def test_has_its_lines_in_order_whoever_reads_it(self, bucket: Bucket, folder: ObjectFolder) -> None:
        lines = [b"line %d" % number for number in range(12)]
        for line in lines[:7]:
            folder.append(line)
        later = again(bucket)
        for line in lines[7:]:
            later.append(line)
        assert folder.journal() == b"".join(line + b"\n" for line in lines)
        assert folder.size_of(".journal") == len(folder.journal())

    def test_is_cut_after_its_whole_lines(self, folder: ObjectFolder) -> None:
        for line in (b"one", b"two", b"damaged"):
            folder.append(line)
        folder.mend(len(b"one\ntwo\n"))
        folder.append(b"three")
        assert folder.journal() == b"one\ntwo\nthree\n"

    def test_is_gone_at_the_end(self, bucket: Bucket, folder: ObjectFolder) -> None:
        folder.append(b"one")
        with pytest.raises(InputError, match="--resume goes on"):
            folder.check_empty()
        folder.end()
        assert folder.journal() == b""
        assert folder.names() == []
        assert bucket.keys() == []
        folder.check_empty()

    def test_is_none_in_a_new_folder(self, folder: ObjectFolder) -> None:
        folder.mend(0)
        folder.end()
        assert folder.journal() == b""
        assert folder.size_of(".journal") is None


class TestTheLock:
    def test_keeps_another_run_out_and_says_whose_it_is(self, bucket: Bucket, folder: ObjectFolder) -> None:
        with folder.locked():
            with pytest.raises(InputError, match=rf"another run .*process {os.getpid()} of .*\n.*60 seconds"):
                hold(again(bucket))
            assert len(locks(bucket)) == 1
            assert folder.names() == []
        assert locks(bucket) == []
        hold(again(bucket))

    def test_is_never_given_to_two(self, bucket: Bucket) -> None:
        holders, most = 0, 0
        changing = threading.Lock()

        def try_to_hold(barrier: threading.Barrier) -> None:
            nonlocal holders, most
            barrier.wait()
            with ExitStack() as stack:
                try:
                    stack.enter_context(again(bucket).locked())
                except InputError:
                    barrier.wait()
                    return
                with changing:
                    holders += 1
                    most = max(most, holders)
                barrier.wait()
                with changing:
                    holders -= 1

        with ThreadPoolExecutor(3) as pool:
            for _ in range(5):
                barrier = threading.Barrier(3, timeout=30)
                for future in [pool.submit(try_to_hold, barrier) for _ in range(3)]:
                    future.result()
        assert most <= 1
        assert locks(bucket) == []

    def test_of_a_killed_run_goes_stale_by_the_stores_clock(
        self, bucket: Bucket, folder: ObjectFolder, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ExitStack() as killed:
            killed.enter_context(folder.locked())
            (lock,) = locks(bucket)
            bucket.age(lock, STALE_SECONDS - 5)
            with pytest.raises(InputError, match=r"sign of life is 5[5-9] seconds old"):
                hold(again(bucket))
            bucket.age(lock, 10)
            with caplog.at_level(logging.WARNING):
                hold(again(bucket))
            assert f"process {os.getpid()}" in caplog.text
            assert "takes over" in caplog.text
            assert lock not in locks(bucket)

    def test_that_was_taken_over_lets_nothing_be_written(self, bucket: Bucket, folder: ObjectFolder) -> None:
        with folder.locked():
            (lock,) = locks(bucket)
            bucket.age(lock, STALE_SECONDS + 1)
            with again(bucket).locked():
                wake(folder)
                with pytest.raises(InputError, match="another run has taken over this folder"):
                    folder.append(b"a line")
                with pytest.raises(InputError, match="another run has taken over"), folder.new_file("part"):
                    pass
            assert bucket.keys() == []

    def test_is_renewed_before_a_late_write(self, bucket: Bucket, folder: ObjectFolder) -> None:
        with folder.locked():
            (lock,) = locks(bucket)
            bucket.age(lock, STALE_SECONDS + 1)
            wake(folder)
            folder.append(b"a line")
            with pytest.raises(InputError, match="another run"):
                hold(again(bucket))

    def test_is_renewed_while_it_is_held(
        self, bucket: Bucket, folder: ObjectFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("batch.object_lock.BEAT_SECONDS", 0.01)
        with folder.locked():
            (lock,) = locks(bucket)
            bucket.age(lock, STALE_SECONDS + 1)
            name = lock.removeprefix("out/")
            aged, deadline = folder._folder.entries()[name].changed, Deadline.after(20)
            while folder._folder.entries()[name].changed == aged:
                assert not deadline.passed

    def test_is_left_to_go_stale_when_the_store_is_away(
        self, bucket: Bucket, folder: ObjectFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(name: str) -> None:
            raise InputError(f"{name}: the store does not answer")

        with folder.locked():
            monkeypatch.setattr(folder._folder, "remove", refuse)
        assert len(locks(bucket)) == 1


def hold(folder: Folder) -> None:
    """Takes the lock and gives it back."""
    with folder.locked():
        pass


def wake(folder: ObjectFolder) -> None:
    """Makes a run look as if it had been asleep."""
    lock: Any = folder._lock
    lock._beaten -= STALE_SECONDS


def test_a_bucket_that_is_not_there_is_refused(bucket: Bucket) -> None:
    folder = folder_at(f"{bucket.address}-no/out")
    with pytest.raises(InputError, match=f"there is no bucket {bucket.address}-no"):
        folder.create()


def test_a_folder_that_holds_something_is_refused(bucket: Bucket) -> None:
    bucket.put("out/a.csv", b"x")
    folder = folder_at(f"{bucket.address}/out")
    with pytest.raises(InputError, match="not empty: it holds a"):
        folder.check_empty()
