"""The log of replays: the newest entry of an event decides, and what is no entry is refused."""

import msgspec
import pytest

from shared import replay_log
from shared.dead_letters import Origin, headers_for, told_by
from shared.errors import InputError
from shared.kafka.columns import RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import Extent
from shared.replay_log import Entry, Replayed, ReplayLog, Standing, log_topic
from shared.schema import Reason, Rejection

ORIGIN = Origin("events", 3, 42, 1_700_000_000_000)


def entry(attempt: int, outcome: str) -> Entry:
    return msgspec.convert(
        {
            "position": ORIGIN.position,
            "timestamp": ORIGIN.timestamp,
            "attempt": attempt,
            "outcome": outcome,
            "letter": "letters/3/1",
            "model": "m@2",
        },
        Entry,
    )


def standings(replayed: Replayed) -> list[Standing]:
    """What became of the event's first three letters."""
    rejection = Rejection(0, Reason.NOT_JSON, None, "junk")
    told = [told_by(headers_for(rejection, ORIGIN, "m@1", attempt=attempt)) for attempt in (1, 2, 3)]
    return [replayed.standing(one) for one in told]


WAITING, SCORED, AGAIN = Standing.WAITING, Standing.SCORED, Standing.REJECTED_AGAIN


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([], [WAITING, WAITING, WAITING]),
        ([entry(1, "rejected")], [AGAIN, WAITING, WAITING]),
        ([entry(1, "rejected"), entry(2, "rejected")], [AGAIN, AGAIN, WAITING]),
        ([entry(1, "rejected"), entry(2, "scored")], [AGAIN, SCORED, WAITING]),
        ([entry(1, "scored")], [SCORED, WAITING, WAITING]),
    ],
)
def test_the_newest_entry_of_an_event_decides_which_of_its_letters_waits(
    entries: list[Entry], found: list[Standing]
) -> None:
    together, singly = Replayed(), Replayed()
    together.enter(entries)
    for one in entries:
        singly.enter([one])
    assert standings(together) == standings(singly) == found


def test_the_log_is_named_after_the_letters_unless_told_otherwise() -> None:
    assert (log_topic("letters"), log_topic("letters", "mine")) == ("letters-replayed", "mine")


def test_a_refresh_reads_only_what_came_since(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[int, Extent]] = []
    ends = iter((5, 9))
    monkeypatch.setattr(replay_log, "extents", lambda *_: {3: Extent(2, next(ends))})

    def nothing(_settings: KafkaSettings, _topic: str, wanted: dict[int, Extent]) -> list[RecordColumns]:
        asked.append(wanted)
        return []

    monkeypatch.setattr(replay_log, "read_to_end", nothing)
    log = ReplayLog(KafkaSettings(), "log")
    log.refresh()
    log.refresh()
    assert asked == [{3: Extent(2, 5)}, {3: Extent(5, 9)}]


@pytest.mark.parametrize("value", [None, b"", b"{}", b"junk"])
def test_a_topic_of_something_else_is_refused(monkeypatch: pytest.MonkeyPatch, value: bytes | None) -> None:
    columns = RecordColumns("log", 0, [0], [0], [None], [value])
    monkeypatch.setattr(replay_log, "extents", lambda *_: {0: Extent(0, 1)})
    monkeypatch.setattr(replay_log, "read_to_end", lambda *_: [columns])
    with pytest.raises(InputError, match="is no log of replays"):
        ReplayLog(KafkaSettings(), "log").refresh()


def test_a_position_is_known_once_its_event_was_replayed() -> None:
    """And none that only begins or ends like it."""
    replayed = Replayed()
    assert (replayed.empty, replayed.times_of("events/3/42")) == (True, [])
    replayed.enter([entry(1, "rejected")])
    others = ["events/3/4", "events/3/420", "events/3/43", "events/3", "", "other/3/42"]
    assert replayed.times_of("events/3/42") == [ORIGIN.timestamp]
    assert not any(map(replayed.times_of, others))
    replayed.enter([msgspec.structs.replace(entry(1, "scored"), timestamp=-1)])
    assert replayed.times_of("events/3/42") == [-1, ORIGIN.timestamp]
    assert not replayed.empty
