"""Letters are read from their headers, chosen by filters, and listed."""

import json
from typing import Any

import pytest

from consumer.dead_letters.filters import Filter
from consumer.dead_letters.letters import letter_at, place_from
from consumer.dead_letters.listing import Newest, Summary, as_row
from consumer.dead_letters.settings import ListSettings, ReplaySettings, ShowSettings
from shared.errors import ConfigurationError
from shared.moments import moment, shown_time
from shared.replay_log import Standing
from shared.schema import Reason
from shared.settings import load
from tests.support.letters import NOW, letter, letter_columns


def chosen(*arguments: str) -> Filter:
    """The filter of a command line."""
    return Filter.of(load(ListSettings, arguments, "list"), NOW)


LETTER = letter(
    b"x", 7, partition=2, reason=Reason.WRONG_TYPE, field="feature", model="churn@3", written=NOW - 60_000
)


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        ("", True),
        ("--reason wrong_type", True),
        ("--reason not_json --reason wrong_type", True),
        ("--reason not_json", False),
        ("--since 1m", True),
        ("--since 59s", False),
        ("--until 1m", False),
        ("--until 59s", True),
        ("--since 2027-01-15T07:59:00Z", True),
        ("--since 2027-01-15T09:59:00.001+02:00", False),
        ("--by-model churn", True),
        ("--by-model churn@3", True),
        ("--by-model churn@4 --by-model chur", False),
        ("--field feature", True),
        ("--field other", False),
        ("--position customers/2/7", True),
        ("--position customers/2/8", False),
        ("--reason wrong_type --field other", False),
    ],
)
def test_a_filter_takes_a_letter_when_all_of_its_parts_do(arguments: str, taken: bool) -> None:
    assert chosen(*arguments.split()).takes(LETTER) == taken


@pytest.mark.parametrize(
    "arguments",
    [
        *("--since yesterday", "--until 2026-02-30T00:00:00Z", "--reason bad", "--limit 0", "--since 2"),
        "--since 99999999999d",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(arguments: str) -> None:
    with pytest.raises(ConfigurationError, match=arguments.split(maxsplit=1)[0]):
        chosen(*arguments.split())


def test_times_are_read_and_shown() -> None:
    assert moment("2h", 7_200_001) == 1
    for ago in ("3h", "99999999999d", "999999999999999999w"):
        with pytest.raises(ValueError, match="reaches before 1970"):
            moment(ago, 7_200_001)
    assert moment("2027-01-15T08:00:00Z", 0) == NOW
    assert moment("2016-12-31t23:59:60z", 0) == moment("2016-12-31T23:59:59Z", 0)
    assert shown_time(NOW) == "2027-01-15T08:00:00.000Z"
    assert (shown_time(-1), shown_time(2**62)) == ("-", "-")


def test_a_letter_on_another_partition_than_its_event_s_is_none_of_tandem_s() -> None:
    columns = letter_columns([b"x"], partition=3)
    columns.partition = 2
    with pytest.raises(ValueError, match="partition 3"):
        letter_at(columns, 0)


def test_a_record_without_headers_is_no_letter() -> None:
    columns = letter_columns([b"x"])
    columns.headers = {}
    with pytest.raises(ValueError, match="is missing"):
        letter_at(columns, 0)


def test_a_listed_letter_has_these_names() -> None:
    row = as_row(letter(b"abc", 7, at=3, stub=True), Standing.WAITING)
    assert json.loads(json.dumps(row)) == {
        "position": "customers/0/7",
        "letter": "dead-letters/0/3",
        "time": "2027-01-15T08:00:00.000Z",
        "event_time": "2027-01-15T07:59:59.999Z",
        "reason": "not_json",
        "field": None,
        "detail": "what is wrong with 7",
        "model": "threshold@1",
        "attempt": 1,
        "replay": "waiting",
        "bytes": 3,
        "has_bytes": False,
    }


def test_the_newest_are_kept_in_the_order_of_their_time_and_no_more_of_them() -> None:
    newest = Newest(3)
    for offset, written in enumerate([5, 1, 4, 9, 2, 4]):
        newest.add(letter(b"x", offset, written=written), Standing.WAITING)
    assert [row["position"][-1] for row in newest.rows] == ["5", "0", "3"]


def test_the_summary_counts_by_reason_and_model_the_largest_first() -> None:
    summary = Summary()
    for offset in range(3):
        summary.add(letter(b"x", offset, model="b@1"), Standing.SCORED)
    summary.add(letter(b"x", model="a@1"), Standing.WAITING)
    first, second = summary.groups
    assert first == {
        "reason": "not_json", "model": "b@1", "letters": 3, "waiting": 0, "scored": 3, "rejected_again": 0,
    }  # fmt: skip
    assert (second["model"], summary.total(), summary.total("waiting")) == ("a@1", 4, 1)


@pytest.mark.parametrize(
    "text", ["customers", "customers/1", "customers/a/1", "/1/2", "c/1/-2", "c/1/\u0661", ""]
)
def test_a_position_that_is_none_is_refused(text: str) -> None:
    for kind, named in ((ListSettings, "--position"), (ReplaySettings, "--position"), (ShowSettings, "")):
        told = [f"{named}={text}" if named else text]
        if kind is ReplaySettings:
            told += ["--model", "models/threshold"]
        with pytest.raises(ConfigurationError, match=r"(?i)position.*: a position such as customers/3/1042"):
            load(kind, told, "program")


def test_a_position_is_told_in_one_way() -> None:
    assert load(ListSettings, ["--position=c/03/007"], "program").position == ["c/3/7"]
    assert load(ShowSettings, ["c/03/007"], "program").position == "c/3/7"


def test_a_position_is_read() -> None:
    place: Any = place_from("a.b-c_d/3/1042")
    assert place == ("a.b-c_d", 3, 1042)
