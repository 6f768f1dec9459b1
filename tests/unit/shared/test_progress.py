"""How far a run is, without a terminal: a line now and then."""

import logging

import pytest

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
