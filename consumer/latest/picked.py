"""A few events of a committed batch, picked to be shown; some microseconds, however large the batch is."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from consumer.latest.events import MOST_LETTERS, MOST_PREDICTIONS
from consumer.scoring import Given, Scored
from shared.kafka.columns import RecordColumns
from shared.position import position_of
from shared.schema import Reason, Rejection

#: Bytes of a dead letter's key, and of its event, that are kept.
MOST_KEY: Final = 80
MOST_BYTES: Final = 600


class Place(NamedTuple):
    """Where an event stood, and when.

    Attributes:
        topic: The input topic.
        partition: Its partition.
        offset: The event's offset there.
        stamp: Its record's timestamp; negative where it has none.
        committed: When its outcome was committed; both in milliseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int
    stamp: int
    committed: int

    @classmethod
    def of(cls, events: RecordColumns, row: int, committed: int) -> "Place":
        """The place of one of the events of a partition."""
        return cls(events.topic, events.partition, events.offsets[row], events.timestamps[row], committed)

    @property
    def position(self) -> str:
        """`topic/partition/offset`."""
        return position_of(self.topic, self.partition, self.offset)

    @property
    def stamped(self) -> int | None:
        """The record's timestamp; None where it has none."""
        return self.stamp if self.stamp >= 0 else None


class Answer(NamedTuple):
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
        outcome, row = scored.outcome, int(scored.outcome.rows[index])
        # The model was given what it scored, and sometimes rows that are rejected after all.
        alike = len(given.rows) == len(outcome.rows)
        return cls(
            Place.of(scored.events, row, committed),
            outcome.customer_ids[index],
            None if outcome.event_ids is None else outcome.event_ids[index],
            float(outcome.scores[index]),
            bool(outcome.decisions[index]),
            given,
            index if alike else int(np.searchsorted(given.rows, row)),
        )


class Letter(NamedTuple):
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
            Place.of(scored.events, rejection.row, committed),
            rejection,
            given.model.id,
            None if key is None else key[:MOST_KEY],
            None if value is None else value[:MOST_BYTES],
            len(value or b""),
        )


def newest(batch: Sequence[Scored], committed: int) -> list[Answer]:
    """The newest predictions of a batch: the last of each partition, then the one before, until enough."""
    found: list[Answer] = []
    there = [(one, one.given) for one in batch if one.given is not None and len(one.outcome.rows)]
    for back in range(1, MOST_PREDICTIONS + 1):
        for scored, given in there:
            if (index := len(scored.outcome.rows) - back) >= 0:
                found.append(Answer.of(scored, given, index, committed))
                if len(found) == MOST_PREDICTIONS:
                    return found
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
