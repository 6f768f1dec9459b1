"""The latest events of several workers as one."""

from consumer.latest.events import LatestEvents, LatestLetter, LatestPrediction, joined
from tests.support.pages import sample_state


def prediction(committed: int) -> LatestPrediction:
    latest = sample_state().latest
    assert latest is not None
    return {**latest["predictions"][0], "committed": committed}


def letter(reason: str, committed: int) -> LatestLetter:
    latest = sample_state().latest
    assert latest is not None
    return {**latest["letters"][0], "reason": reason, "committed": committed}


def test_of_all_workers_the_newest_are_shown_the_newest_first() -> None:
    one = LatestEvents(
        predictions=[prediction(at) for at in (90, 80, 70, 10, 9, 8, 7, 6)],
        letters=[letter("not_json", 50), letter("not_json", 10), letter("tombstone", 1)],
    )
    other = LatestEvents(
        predictions=[prediction(at) for at in (95, 75, 5)],
        letters=[letter("not_json", 60), letter("not_json", 40), letter("too_deep", 2)],
    )
    latest = joined([one, None, other])
    assert [each["committed"] for each in latest["predictions"]] == [95, 90, 80, 75, 70, 10, 9, 8]
    assert [(each["reason"], each["committed"]) for each in latest["letters"]] == [
        ("not_json", 60),
        ("not_json", 50),
        ("not_json", 40),
        ("too_deep", 2),
        ("tombstone", 1),
    ]


def test_of_no_worker_there_is_nothing() -> None:
    assert joined([None]) == {"predictions": [], "letters": []}
