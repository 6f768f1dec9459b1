"""How far a run is: on a terminal a bar below the log, elsewhere a line now and then."""

import io
import logging
import re
import sys

import pytest

from shared import logs
from shared.progress import Meter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set by the test."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("shared.progress.color_wanted", lambda: False)
    return now


def test_a_line_comes_every_five_seconds(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Meter("rows") as meter:
        for second in range(1, 12):
            clock[0] = 100.0 + second
            meter.add(1000, "customers.csv", second / 20)
    assert caplog.messages == [
        "customers.csv: 5,000 rows, 1,000/s, 25%, about 15 s left",
        "customers.csv: 10,000 rows, 1,000/s, 50%, about 10 s left",
    ]


def test_without_an_end_nothing_is_told_of_it(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Meter("events") as meter:
        clock[0] += 5
        meter.add(10, "acknowledged", None)
    assert caplog.messages == ["acknowledged: 10 events, 2/s"]


def test_a_terminal_gets_a_bar_and_no_lines(
    clock: list[float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.progress.color_wanted", lambda: True)
    with caplog.at_level(logging.INFO), Meter() as meter:
        clock[0] += 60
        meter.add(10, "customers.csv", 0.5)
        meter.add(10, "customers.csv", None)
    assert meter.count == 20
    assert not caplog.messages


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 60 columns as standard error, with the log set up for it.

    No fixture: pytest gives each phase of a test another standard error.
    """
    end = Terminal()
    for name, value in {"TERM": "xterm", "COLUMNS": "60", "LINES": "20"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", end)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    logs.set_up("auto", "info")
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    return end


def test_what_is_logged_comes_above_the_bar_in_the_colour_of_its_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = terminal(monkeypatch)
    with Meter() as meter:
        meter.add(10, "customers.csv", 0.5)
        before = end.getvalue()
        logging.getLogger("x").warning("Waiting for [Kafka]")
        said = end.getvalue().removeprefix(before)
    # The bar's line is erased, the entry written in yellow, and the bar drawn again.
    assert said.index("\x1b[2K") < said.index("warning: Waiting for [Kafka]\x1b[0m\n")
    assert "\x1b[33m" in said
    logging.getLogger("x").info("as ever")
    assert end.getvalue().endswith(" as ever\n")


def test_a_bar_shows_a_name_as_it_is_and_obeys_nothing_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    end = terminal(monkeypatch)
    with Meter() as meter:
        meter.add(10, "[red]a\x1b[2J.csv", 0.5)
    assert "[red]a\\x1b[2J.csv" in end.getvalue()


def test_a_bar_never_fills_more_than_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    end = terminal(monkeypatch)
    with Meter() as meter:
        meter.add(123_456_789, "a/" * 60 + "customers.csv", 0.5)
    lines = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", end.getvalue()).replace("\r", "\n").split("\n")
    assert any("123,456,789 rows" in line for line in lines)
    assert max(map(len, lines)) <= 60
