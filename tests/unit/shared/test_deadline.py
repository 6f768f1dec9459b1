"""One deadline is handed down, and nobody waits past it."""

import pytest

from shared import deadline as module
from shared.deadline import Deadline


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_what_remains_shrinks_to_zero_and_no_further(clock: Clock) -> None:
    deadline = Deadline.after(2)
    assert (deadline.remaining, deadline.passed) == (2, False)
    clock.now += 1.5
    assert (deadline.remaining, deadline.passed) == (0.5, False)
    clock.now += 1
    assert (deadline.remaining, deadline.passed) == (0, True)


def test_a_deadline_that_is_due_has_passed(clock: Clock) -> None:
    deadline = Deadline.after(0)
    assert deadline.passed
    assert clock.now == deadline.at


def test_a_pause_ends_at_the_deadline(clock: Clock) -> None:
    deadline = Deadline.after(2)
    deadline.pause(0.5)
    assert clock.now == 100.5
    deadline.pause(60)
    assert clock.now == 102
    deadline.pause(60)
    assert clock.now == 102
