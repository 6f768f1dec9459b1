"""What the page is told of an event that it sends: one step after the other, each with its time."""

import time
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from consumer.web.state import Frozen

StepName: TypeAlias = Literal["received", "connected", "stored", "scored", "published", "waiting", "failed"]

#: The steps after which none comes.
LAST: Final[frozenset[StepName]] = frozenset({"published", "waiting", "failed"})


class Predicted(Frozen):
    """The prediction that came of the event.

    Attributes:
        text: The prediction as it stands on the output topic.
        score: Its score.
        decision: The name of its decision.
        decided: The decision.
        threshold: A score above it makes the decision true.
        model: `name@version` of what scored it.
    """

    text: str
    score: float
    decision: str
    decided: bool
    threshold: float
    model: str


class Rejected(Frozen):
    """The dead letter that came of the event.

    Attributes:
        reason: The reason's code.
        field: The field at fault; None where none is.
        detail: The same as a sentence.
        model: `name@version` of what rejected it.
    """

    reason: str
    field: str | None
    detail: str
    model: str


class Step(Frozen):
    """One step of an event.

    Attributes:
        step: `received` by the page's server; `connected`: it has opened connections for this event, and
            reads both topics from their ends; `stored`: acknowledged by the broker; `scored`, as the record
            that came of it is stamped; `published`: seen by a reader of committed records only. Instead of
            the last ones `waiting`: nobody has taken it yet; instead of any `failed`. None comes after these.
        at: When, as Unix time. Of `scored` it is told by the clock of the worker that scored it, in whole
            milliseconds, and so may come before `stored`.
        since: Milliseconds since the first step.
        took: Milliseconds since the step before; None where they tell nothing.
        answered: When published, milliseconds since it was stored.
        text: What happened, as a sentence.
        hint: What to do about it; None where there is nothing to do.
        position: `topic/partition/offset` of the record that the step tells of.
        predicted: The prediction, when published.
        rejected: The dead letter, when published.
    """

    step: StepName
    at: float
    since: float
    took: float | None
    answered: float | None = None
    text: str
    hint: str | None = None
    position: str | None = None
    predicted: Predicted | None = None
    rejected: Rejected | None = None


class Steps:
    """Tells steps with their times; the first has happened when this is made.

    Args:
        say: Is given each step.

    Attributes:
        began: When that was, as Unix time.
    """

    def __init__(self, say: Callable[[Step], None]) -> None:
        self._say = say
        self.began, self._counting_from = time.time(), time.monotonic()
        self._last = 0.0
        self._stored: float | None = None

    def happened(self, step: StepName, text: str, *, at: float | None = None, **more: object) -> None:
        """Tells a step.

        Args:
            step: Which.
            text: What happened, as a sentence.
            at: When, as Unix time; now unless given.
            more: Further fields of the step.
        """
        now = time.monotonic() - self._counting_from
        since = now if at is None else at - self.began
        took = since - self._last
        self._last = max(self._last, since)
        if step == "stored":
            self._stored = since
        answered = since - self._stored if step == "published" and self._stored is not None else None
        told = {
            "step": step,
            "at": self.began + since,
            "since": round(since * 1000, 1),
            "took": round(took * 1000, 1) if took > 0 else None,
            "answered": None if answered is None else round(answered * 1000, 1),
            "text": text,
        }
        self._say(Step.model_validate(told | more))
