"""Logs go to standard error: lines for people, JSON for machines, and no flood from the client."""

import json
import logging
from collections.abc import Iterator

import pytest

from shared import logs


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Puts the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_hold_the_message_and_what_was_added(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json")
    logging.getLogger("consumer").warning("Lag is %d", 7, extra={"topic": "customers"})
    captured = capsys.readouterr()
    assert captured.out == ""
    line = json.loads(captured.err)
    assert (line["level"], line["logger"], line["message"]) == ("warning", "consumer", "Lag is 7")
    assert line["topic"] == "customers"


def test_people_get_a_short_line_and_no_level_for_what_is_normal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("human")
    logging.getLogger("consumer").info("Ready", extra={"lag": 3})
    logging.getLogger("consumer").warning("Slow")
    first, second = capsys.readouterr().err.splitlines()
    assert first[8:] == " Ready  lag=3"
    assert second[8:] == " warning: Slow"


def test_what_is_not_a_terminal_gets_json_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("auto")
    logging.getLogger("consumer").info("Ready")
    assert json.loads(capsys.readouterr().err)["message"] == "Ready"


def test_the_client_says_the_same_thing_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("human")
    client, ours = logging.getLogger("kafka.producer.sender"), logging.getLogger("consumer")
    for partition in range(100):
        client.warning("No leader for partition %d", partition)
        ours.warning("Ours %d", partition)
    client.warning("Something else")
    said = capsys.readouterr().err.splitlines()
    assert [line[8:] for line in said if "Ours" not in line] == [
        " warning: No leader for partition 0",
        " warning: Something else",
    ]
    assert len(said) == 102


def test_errors_of_the_client_are_never_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("human")
    for _ in range(3):
        logging.getLogger("kafka.net").error("Broken")
    assert capsys.readouterr().err.count("Broken") == 3
