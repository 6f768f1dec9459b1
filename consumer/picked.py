"""A few events of a committed batch, picked to be shown; some microseconds, however large the batch is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from consumer.latest import MOST_LETTERS, MOST_PREDICTIONS
from consumer.scoring import Given, Scored
from shared.schema import Reason, Rejection

#: Bytes of a dead letter's key, and of its event, that are kept.
MOST_KEY: Final = 80
MOST_BYTES: Final = 600


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stood, and when.

    Attributes:
        position: `topic/partition/offset`.
        stamped: Its record's timestamp; None where it has none.
        committed: When its outcome was committed; both in milliseconds since the epoch.
    """

    position: str
    stamped: int | None
    committed: int

    @classmethod
    def of(cls, scored: Scored, row: int, committed: int) -> "Place":
        """The place of one of the events of a partition."""
        events = scored.events
        stamp = events.timestamps[row]
        position = f"{events.topic}/{events.partition}/{events.offsets[row]}"
        return cls(position, stamp if stamp >= 0 else None, committed)


@dataclass(frozen=True, slots=True)
class Answer:
    """A committed prediction.

    Attributes:
        place: Of its event.
        customer: The customer's id.
        event: The event's id.
        score: Its score.
        decision: Its decision.
        given: What the model was given of the event's partition.
        row: Which row of that the event is.
    """

    place: Place
    customer: int | str | None
    event: int | str | None
    score: float
    decision: bool
    given: Given
    row: int

    @classmethod
    def of(cls, scored: Scored, given: Given, index: int, committed: int) -> "Answer":
        """One of the predictions of a partition, by its index."""
        outcome = scored.outcome
        row = int(outcome.rows[index])
        return cls(
            Place.of(scored, row, committed),
            outcome.customer_ids[index],
            None if outcome.event_ids is None else outcome.event_ids[index],
            float(outcome.scores[index]),
            bool(outcome.decisions[index]),
            given,
            int(np.searchsorted(given.rows, row)),
        )


@dataclass(frozen=True, slots=True)
class Letter:
    """A committed dead letter: of the event's key and bytes no more than is shown.

    Attributes:
        place: Of its event.
        rejection: Why it is one.
        model: `name@version`.
        key: The beginning of its key.
        value: The beginning of its bytes.
        size: How many bytes there are.
    """

    place: Place
    rejection: Rejection
    model: str
    key: bytes | None
    value: bytes | None
    size: int

    @classmethod
    def of(cls, scored: Scored, given: Given, rejection: Rejection, committed: int) -> "Letter":
        """One of the rejections of a partition."""
        key, value = scored.events.keys[rejection.row], scored.events.values[rejection.row]
        return cls(
            Place.of(scored, rejection.row, committed),
            rejection,
            given.model.id,
            None if key is None else key[:MOST_KEY],
            None if value is None else value[:MOST_BYTES],
            len(value or b""),
        )


def newest(batch: Sequence[Scored], committed: int) -> list[Answer]:
    """The newest predictions of a batch: the last of each partition, then the one before, until enough."""
    found: list[Answer] = []
    for back in range(1, MOST_PREDICTIONS + 1):
        there = [(one, one.given) for one in batch if one.given and len(one.outcome.rows) >= back]
        found += [
            Answer.of(scored, given, len(scored.outcome.rows) - back, committed)
            for scored, given in there[: MOST_PREDICTIONS - len(found)]
        ]
        if not there or len(found) == MOST_PREDICTIONS:
            break
    return found


def refused(batch: Sequence[Scored], committed: int) -> dict[Reason, list[Letter]]:
    """The last dead letters of a batch, by their reason."""
    found: dict[Reason, list[Letter]] = {}
    # By identity, which tells members of an enum apart many times as fast as their hash: of a batch that is
    # all bad, every rejection is looked at.
    full: set[int] = set()
    for scored in batch:
        if scored.given is None:
            continue
        for rejection in reversed(scored.outcome.rejections):
            if id(rejection.reason) in full:
                continue
            some = found.setdefault(rejection.reason, [])
            some.append(Letter.of(scored, scored.given, rejection, committed))
            if len(some) == MOST_LETTERS:
                full.add(id(rejection.reason))
    return found
