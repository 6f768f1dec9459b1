"""The latest events that a worker has answered, for people to look at: a few, and what mattered in them."""

from typing_extensions import TypedDict


class Contributed(TypedDict):
    """An input of an event, and what it added to the raw score.

    Attributes:
        input: Its name.
        value: What the event holds, as a short text.
        contribution: What it added; None where the model's kind cannot say.
    """

    input: str
    value: str
    contribution: float | None


class LatestPrediction(TypedDict):
    """A committed prediction.

    Attributes:
        position: `topic/partition/offset` of its event.
        customer: The customer's id, masked when that is asked for.
        event: The event's id; None where it has none.
        score: The score.
        decision: Whether it is above the threshold.
        model: `name@version` of what scored it.
        stamped: The event's record timestamp, in milliseconds since the epoch; None where it has none.
        committed: When it was committed, likewise.
        inputs: Those that mattered most, the most important first.
    """

    position: str
    customer: str
    event: str | None
    score: float
    decision: bool
    model: str
    stamped: int | None
    committed: int
    inputs: list[Contributed]


class LatestLetter(TypedDict):
    """A committed dead letter.

    Attributes:
        position: `topic/partition/offset` of its event.
        reason: The reason's code.
        field: The field at fault; None where none is.
        detail: The same as a sentence; masked, it says nothing of the event's content.
        model: `name@version` of what rejected it.
        stamped: The event's record timestamp, in milliseconds since the epoch; None where it has none.
        committed: When it was committed, likewise.
        size: How many bytes the event has.
        key: The record's key as text; None where it has none, or it is masked.
        value: The beginning of the event's bytes as text; None for a tombstone, or where it is masked.
    """

    position: str
    reason: str
    field: str | None
    detail: str
    model: str
    stamped: int | None
    committed: int
    size: int
    key: str | None
    value: str | None


class LatestEvents(TypedDict):
    """What a worker shows of its latest events, the newest first.

    Attributes:
        predictions: A few of the latest predictions.
        letters: A few of the latest dead letters of each reason.
    """

    predictions: list[LatestPrediction]
    letters: list[LatestLetter]
