"""Commands that the tests run: what one says is whole once it has ended."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.commands import Running


@contextmanager
def shell(line: str) -> Iterator[Running]:
    """Runs a line of shell."""
    with subprocess.Popen(["sh", "-c", line], stderr=subprocess.PIPE, text=True) as process:
        yield Running(process)


def test_the_exit_code_comes_with_all_that_was_said() -> None:
    with shell("(sleep 0.5; echo last >&2) & exit 3") as started:
        assert (started.wait(), started.lines) == (3, ["last\n"])


def test_the_exit_code_after_a_signal_comes_with_all_that_was_said() -> None:
    with shell("(sleep 0.5; echo last >&2) & echo first >&2; wait") as started:
        started.wait_for("first")
        assert (started.end(signal.SIGKILL), started.lines) == (-signal.SIGKILL, ["first\n", "last\n"])


def test_a_line_that_is_read_after_the_exit_has_come() -> None:
    with shell("(sleep 0.5; echo last >&2) & exit 3") as started:
        started.process.wait()
        started.wait_for("last")


def test_a_line_that_can_no_longer_come_is_not_waited_for() -> None:
    with shell("echo another >&2") as started, pytest.raises(AssertionError, match="ended before 'last'"):
        started.wait_for("last")


def test_a_child_that_is_left_behind_is_not_waited_for_without_end() -> None:
    with shell("sleep 2 & exit 3") as started, pytest.raises(AssertionError, match="is still open"):
        started.wait(0.2)
