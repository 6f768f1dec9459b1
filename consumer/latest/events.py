"""The latest events that a worker has answered, for people to look at: a few, and what mattered in them."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from typing_extensions import TypedDict

#: How many predictions are shown, and how many dead letters of each reason.
MOST_PREDICTIONS: Final = 8
MOST_LETTERS: Final = 3


class Contributed(TypedDict):
    """An input of an event, and what it added to the raw score.

    Attributes:
        input: Its name.
        value: What the model was given for it, as a short text; `missing` where that is nothing.
        contribution: What it added; None where the model's kind cannot say.
    """

    input: str
    value: str
    contribution: float | None


class LatestPrediction(TypedDict):
    """A committed prediction.

    Attributes:
        position: `topic/partition/offset` of its event.
        customer: The customer's id; masked, a mark that is the same for the same customer while the worker
            runs.
        event: The event's id; None where it has none, or it is masked.
        score: The score.
        decision: Whether it is above the threshold.
        model: `name@version` of what scored it.
        stamped: The event's record timestamp, in milliseconds since the epoch; None where it has none.
        committed: When it was committed, likewise.
        inputs: Those that contributed most, the largest first; where the model's kind cannot say which they
            are, those that are declared first.
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
        field: The field at fault; None where none is, or it is masked.
        detail: The same as a sentence; masked, it says nothing of the event's content.
        model: `name@version` of what rejected it.
        stamped: The event's record timestamp, in milliseconds since the epoch; None where it has none.
        committed: When it was committed, likewise.
        size: How many bytes the event has.
        key: The record's key as text; None where it has none, or it is masked.
        value: The beginning of the event's bytes as text, with an escape for each byte and character that
            is not to be printed; None for a tombstone, or where it is masked.
        cut: Whether `value` leaves out the event's end.
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
    cut: bool


class LatestEvents(TypedDict):
    """What is shown of the latest events, the newest first.

    Attributes:
        predictions: A few of the latest predictions.
        letters: A few of the latest dead letters of each reason.
    """

    predictions: list[LatestPrediction]
    letters: list[LatestLetter]


def joined(several: Iterable[LatestEvents | None]) -> LatestEvents:
    """The latest of what several workers show; None shows nothing."""
    there = [latest for latest in several if latest is not None]
    predictions = [prediction for latest in there for prediction in latest["predictions"]]
    letters = [letter for latest in there for letter in latest["letters"]]
    predictions.sort(key=lambda prediction: prediction["committed"], reverse=True)
    letters.sort(key=lambda letter: letter["committed"], reverse=True)
    of_reason: Counter[str] = Counter()
    kept = []
    for letter in letters:
        of_reason[letter["reason"]] += 1
        if of_reason[letter["reason"]] <= MOST_LETTERS:
            kept.append(letter)
    return LatestEvents(predictions=predictions[:MOST_PREDICTIONS], letters=kept)
