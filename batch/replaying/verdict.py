"""What a replay has found, in words: one verdict for the terminal and for the page of a report."""

from collections.abc import Iterator
from typing import Literal

from batch.replaying.result import Replay
from shared.wording import counted, percent

#: Whether nothing would change, something would, or nothing can be said.
Tone = Literal["same", "changed", "nothing to compare"]


def tone(replay: Replay) -> Tone:
    """How a verdict sounds: nothing to compare is no success."""
    if not replay.compared:
        return "nothing to compare"
    return "changed" if replay.all.flipped or replay.lost else "same"


def verdict(replay: Replay) -> str:
    """What flips, and what is lost, in a sentence or a few."""
    return " ".join(_sentences(replay))


def _sentences(replay: Replay) -> Iterator[str]:
    total = replay.all
    if not replay.compared:
        yield "Nothing to compare: no event has a decision of both."
    elif not total.flipped:
        has = "has" if replay.compared == 1 else "have"
        yield f"No decision flips: {counted(replay.compared, 'event')} {has} one of both."
    else:
        yield (
            f"{total.flipped:,} of {counted(replay.compared, 'decision')}"
            f" {'flips' if total.flipped == 1 else 'flip'} ({percent(total.share)}):"
            f" {_become(total.raised)} true, {_become(total.lowered)} false."
        )
    if total.flipped and _scores_stay(replay):
        yield "Their scores stay: only the threshold is another."
    if replay.lost:
        is_lost, events = ("is", "this event") if replay.lost == 1 else ("are", "these events")
        lost = f"{counted(replay.lost, 'decision')} {is_lost} lost"
        yield f"{lost}: only the tried model rejects {events}."


def _become(decisions: int) -> str:
    return f"{decisions:,} {'becomes' if decisions == 1 else 'become'}"


def _scores_stay(replay: Replay) -> bool:
    """Whether flipped decisions have the score that they had; those whose score changes most come first."""
    return bool(replay.affected) and replay.affected[0].before == replay.affected[0].after
