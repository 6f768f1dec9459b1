"""A log line is short on a terminal and one JSON object elsewhere."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from shared.logs import LogFormat, set_up

logger = logging.getLogger("tandem.test")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leaves logging as it was."""
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    handlers, level, kafka_level = root.handlers[:], root.level, kafka.level
    yield
    root.handlers[:], root.level = handlers, level
    kafka.setLevel(kafka_level)


def test_elsewhere_than_on_a_terminal_a_line_is_a_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("auto")
    logger.info("scored %d", 5, extra={"partition": 3, "model": "churn@1"})
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", entry.pop("time"))
    assert entry == {
        "level": "info",
        "logger": "tandem.test",
        "message": "scored 5",
        "partition": 3,
        "model": "churn@1",
    }


def test_a_message_of_several_lines_stays_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json")
    problem = ValueError("line one\nline two")
    logger.error("it broke\nbadly", exc_info=problem, extra={"odd": object})
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["message"] == "it broke\nbadly"
    assert entry["exception"].endswith("ValueError: line one\nline two")
    assert entry["odd"] == "<class 'object'>"


def test_a_terminal_gets_a_short_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    set_up("auto")
    logger.info("scored %d", 5)
    logger.warning("slow", extra={"seconds": 2})
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d scored 5", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d warning: slow  seconds=2", second)


@pytest.mark.parametrize("style", ["human", "json"])
def test_the_client_s_chatter_is_left_out(style: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(style, "info")
    logging.getLogger("kafka.conn").info("connecting")
    logger.debug("too fine")
    assert capsys.readouterr().err == ""
    logging.getLogger("kafka.conn").warning("refused")
    assert "refused" in capsys.readouterr().err
    set_up(style, "ERROR")
    logging.getLogger("kafka.conn").warning("again")
    assert "again" not in capsys.readouterr().err


def test_a_terminal_is_never_told_what_an_event_would_have_it_do(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("human")
    hostile = "\x1b]0;owned\x07 \u202e \udcff"
    try:
        int(hostile)
    except ValueError:
        logger.exception("broken by %s", hostile, extra={"field": hostile})
    said = capsys.readouterr().err
    assert r"\x1b]0;owned\x07 \u202e \udcff" in said
    assert all(line.isprintable() for line in said.splitlines())
    assert "Traceback" in said.splitlines()[1]


def test_the_client_library_is_never_heard_at_debug_where_it_tells_passwords(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up("json", "debug")
    logger.debug("heard")
    logging.getLogger("kafka.admin.client").debug("Starting with sasl_plain_password=%s", "secret")
    logging.getLogger("kafka.net.connection").info("request %s", "secret")
    said = capsys.readouterr().err
    assert "heard" in said
    assert "secret" not in said


def test_fields_of_the_process_stand_in_every_line_that_has_none_of_the_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up("json", worker=2)
    logger.info("its own")
    logger.info("another's", extra={"worker": 1})
    assert [json.loads(line)["worker"] for line in capsys.readouterr().err.splitlines()] == [2, 1]


def test_what_a_closed_client_did_not_end_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    class Cancelled(Exception):  # noqa: N818 - the client's own name
        pass

    set_up("human")
    logging.getLogger("kafka.cluster").error("Metadata refresh: failed %s", Cancelled())
    logging.getLogger("kafka.cluster").error("Metadata refresh: failed %s", OSError("away"))
    said = capsys.readouterr().err
    assert "away" in said
    assert "Cancelled" not in said


def test_a_batch_that_is_sent_again_as_the_broker_verified_the_offsets_first_is_no_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up("human")
    said_by_the_client = "Got error produce response on %s, retrying (%s attempts left): %s"
    sender = logging.getLogger("kafka.producer.sender")
    again = "NotEnoughReplicasError. Unable to verify the partition has been added to the transaction."
    sender.warning(said_by_the_client, "p-0", "inf", again)
    sender.warning(said_by_the_client, "p-0", "inf", "NotEnoughReplicasError")
    assert capsys.readouterr().err.count("retrying") == 1
