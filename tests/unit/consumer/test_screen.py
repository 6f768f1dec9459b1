"""The figures on a terminal: what they say, their place, and that no line of the log is lost."""

import io
import logging
import os
import re
import sys
import threading

import pytest
from rich.console import Console

from consumer.faces import facing, on_screen
from consumer.operations.telemetry import Telemetry, WorkerSnapshot
from consumer.screen import Screen, figures_of, lines_of, shown
from consumer.settings import ConsumerSettings
from consumer.web.state import State
from shared import logs
from shared.deadline import Deadline
from shared.settings import load
from tests.support.pages import Look, sample_state

ADDRESS = "http://127.0.0.1:9464/"


class Terminal(io.StringIO):
    """What a process writes to a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        """Without colours and movements; each drawing is a line of its own."""
        return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", self.getvalue()).replace("\r", "\n")


def console(width: int = 100, height: int = 30) -> tuple[Console, Terminal]:
    end = Terminal()
    return Console(file=end, force_terminal=True, width=width, height=height, highlight=False), end


def wait_for(end: Terminal, text: str) -> None:
    deadline = Deadline.after(10)
    while text not in end.text:
        assert not deadline.passed, end.text
        deadline.pause(0.01)


def told(look: Look) -> dict[str, str]:
    return {name or told.split(":")[0]: told for name, told, _ in lines_of(sample_state(look), ADDRESS)}


def test_it_says_where_the_page_is_and_all_that_matters_of_the_state() -> None:
    assert told("watched") == {
        "ready": "group tandem, exactly-once, up 2 h 15 min",
        "live page": ADDRESS,
        "events/s": "999",
        "latency": "p50 21.7 ms, p99 89.7 ms over 1 min",
        "lag": "12 over 6 partitions",
        "ledger": "604,806 read = 598,170 scored + 6,636 rejected: it balances",
        "dead letters": "6,636: 4,021 not_json, 2,210 missing_field, 388 out_of_range, 17 unknown_category",
        "model": "churn@3 (xgboost, sha256 9f31c2a7d004)",
        "shadow": "churn-linear@1 (linear, sha256 02c4aa81be19)",
        "agrees on 95.52% of 597,995 events": "agrees on 95.52% of 597,995 events: 14,801 true for it alone,"
        " 11,990 for the model alone",
        "sentinel": "6,011 events scored again: no disagreement",
        "proof": "Identical and conserved: 300,000 events, to the bit, on both paths.",
    }


def test_a_worker_that_is_not_ready_says_why() -> None:
    said = told("failing")
    assert "not ready" in said
    assert said["worker 0"] == "worker 0: its process ended with exit code -9"
    assert said["worker 1"] == "worker 1: no broker has answered for 21 s"
    assert said["lag"] == "not known of all of 3 partitions"


def test_what_is_not_known_yet_is_said_to_be_that() -> None:
    said = told("empty")
    assert [said[name] for name in ("events/s", "latency", "lag")] == ["not known yet"] * 3


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"balanced": False}, "it DOES NOT BALANCE"),
        ({"reasons": dict.fromkeys("abcdef", 1)}, "6,636: 1 a, 1 b, 1 c, 1 d and 2 more reasons"),
    ],
)
def test_a_ledger_tells_what_is_wrong_and_the_reasons_that_come_most(
    change: dict[str, object], line: str
) -> None:
    state = sample_state()
    changed = state.model_copy(update={"ledger": state.ledger.model_copy(update=change)})
    assert any(line in text for _, text, _ in lines_of(changed))


def test_what_is_found_wrong_is_not_calm() -> None:
    wrong = {name for name, _, well in lines_of(sample_state("broken")) if not well}
    assert {"sentinel", "proof"} <= wrong
    assert all(well for _, _, well in lines_of(sample_state("watched")))


@pytest.mark.parametrize(("width", "height"), [(40, 24), (100, 8), (20, 5), (80, 2)])
def test_a_narrow_or_low_terminal_gets_fewer_and_shorter_lines(width: int, height: int) -> None:
    where, end = console(width, height)
    with Screen(where, lambda: sample_state("watched"), sample_state, ADDRESS, period=60):
        wait_for(end, "ready")
        drawn = end.text.strip("\n").split("\n")
    assert max(map(len, drawn)) < width
    assert len(drawn) <= max(1, height - 4)


def test_what_is_logged_meanwhile_comes_above_and_none_of_it_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = Terminal()
    monkeypatch.setattr(sys, "stderr", end)
    monkeypatch.setenv("TERM", "xterm")
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    logs.set_up("human", "info")
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    with shown(sample_state, lambda: sample_state("busy"), None) as errors:

        def write(thread: int) -> None:
            for number in range(20):
                logging.getLogger("x").warning("own %d-%d", thread, number)
                os.write(errors, f"12:00:00 error: of a worker {thread}-{number}\n".encode())

        threads = [threading.Thread(target=write, args=[number]) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.write(errors, b"an unfinished line")
    lines = end.text.split("\n")
    expected = [(thread, number) for thread in range(3) for number in range(20)]
    # Each on a line of its own, behind the time.
    own = {line[9:] for line in lines if re.match(r"\d\d:\d\d:\d\d warning", line)}
    assert own == {f"warning: own {a}-{b}" for a, b in expected}
    assert all(f"12:00:00 error: of a worker {a}-{b}" in lines for a, b in expected)
    assert "an unfinished line" in lines
    # The figures are those of the end, below all that was said.
    closing = [f"{name:<14}{text}" for name, text, _ in figures_of(sample_state("busy"))]
    assert lines[-len(closing) - 1 : -1] == closing
    assert logging.getLogger().handlers[0].__class__ is logging.StreamHandler


def test_what_workers_had_that_are_gone_by_the_end_is_told_as_it_was() -> None:
    where, end = console()
    with Screen(where, lambda: sample_state("busy"), lambda: sample_state("empty")):
        wait_for(end, "18,204 over 6 partitions")
    closing = end.text.split("\n")[-6:]
    assert any(line.endswith("18,204 over 6 partitions") for line in closing)
    assert any(line.startswith("model         churn@") for line in closing)
    assert any(line.endswith("0 read = 0 scored + 0 rejected: it balances") for line in closing)


@pytest.mark.parametrize("before", [True, False], ids=["while figures are drawn", "at the very end"])
def test_a_terminal_that_stands_still_holds_up_no_end(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.screen._PATIENCE", 0.01)
    where, end = console()
    stands, writing, goes_on = threading.Event(), threading.Event(), threading.Event()
    write = end.write

    def slow(text: str) -> int:
        if stands.is_set():
            writing.set()
            assert goes_on.wait(10)
        return write(text)

    monkeypatch.setattr(end, "write", slow)
    earlier = threading.enumerate()
    with Screen(where, sample_state, sample_state, period=0.01 if before else 60):
        wait_for(end, "12 over 6 partitions")
        stands.set()
        assert not before or writing.wait(10)
    assert writing.wait(10)
    [screen] = [thread for thread in threading.enumerate() if thread not in earlier]
    goes_on.set()
    screen.join(10)
    assert not screen.is_alive()


def test_figures_that_cannot_be_had_stop_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> State:
        raise ZeroDivisionError

    where, _ = console()
    with Screen(where, failing, failing):
        pass
    assert "The figures on the terminal are given up" in caplog.text


def settings(*options: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", "models/threshold", *options], "python -m consumer")


@pytest.fixture
def a_terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Standard error that says it is a terminal, whatever pytest makes of it."""
    monkeypatch.setattr("consumer.faces.color_wanted", lambda: True)
    return monkeypatch


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], True),
        (["--no-screen"], False),
        (["--log-format", "json"], False),
        (["--log-format", "human"], True),
    ],
)
def test_figures_are_for_people_who_did_not_say_no(
    options: list[str], wanted: bool, a_terminal: pytest.MonkeyPatch
) -> None:
    assert on_screen(settings(*options)) is wanted
    a_terminal.setattr("consumer.faces.color_wanted", lambda: False)
    assert not on_screen(settings(*options))


@pytest.mark.parametrize(
    ("options", "who"),
    [
        (["--no-http"], "screen"),
        (["--http-port", "0", "--page", "off"], "screen"),
        (["--http-port", "0"], "http"),
    ],
)
def test_where_a_page_looks_at_the_consumer_the_screen_shows_what_it_saw(
    options: list[str], who: str, a_terminal: pytest.MonkeyPatch
) -> None:
    end = Terminal()
    a_terminal.setattr(sys, "stderr", end)
    a_terminal.setenv("TERM", "xterm")
    a_terminal.setenv("COLUMNS", "100")
    telemetry, looks = Telemetry(0, lambda: False), []

    def snapshots() -> list[WorkerSnapshot]:
        looks.append(threading.current_thread().name)
        return [telemetry.snapshot()]

    with facing(settings(*options), snapshots):
        wait_for(end, "0 read = 0 scored + 0 rejected")
        # Twice: before the page's first look, the screen takes one.
        deadline = Deadline.after(10)
        while looks.count(who) < 2:
            assert not deadline.passed, looks
            deadline.pause(0.01)
    assert ("live page" in end.text) is (who == "http")
    # Its first look and its last.
    assert looks.count("screen") <= 2 or who == "screen"
