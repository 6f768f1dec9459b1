"""What a replay found, as plain data for a report."""

from batch.proof.result import Frozen


class Flips(Frozen):
    """Flipped decisions of a segment.

    Attributes:
        feature: The input by which the events are divided; empty for all events.
        segment: Its value or range, as text.
        events: Events with a decision of both models.
        raised: Decisions that become true.
        lowered: Decisions that become false.
        mean_change: The mean change of the score.
        beyond_chance: Whether a larger or smaller share of decisions flips than among the other events, by
            more than chance would give.
    """

    feature: str
    segment: str
    events: int
    raised: int
    lowered: int
    mean_change: float
    beyond_chance: bool = False

    @property
    def flipped(self) -> int:
        """Decisions that flip."""
        return self.raised + self.lowered

    @property
    def share(self) -> float:
        """How many of the decisions flip, from 0 to 1."""
        return self.flipped / self.events if self.events else 0.0


class Affected(Frozen):
    """A customer whose decision flips.

    Attributes:
        customer: The customer's id.
        position: Of the event.
        before: The score that was.
        after: The score that would be.
        decision: What the decision becomes.
    """

    customer: str
    position: str
    before: float
    after: float
    decision: bool


class Replay(Frozen):
    """A model against history.

    Attributes:
        source: Where the events come from.
        before: What decided: a model as `name@version digest`, or those of the predictions that were made.
        after: The model that is tried, likewise.
        events: Events read.
        compared: Events with a decision of both.
        newly_rejected: Events that only the new model rejects, by reason.
        newly_scored: Events that only the new model scores: the old one rejected them, or there is no
            prediction of them.
        all: Of all compared events.
        segments: By feature and value: the feature with the most flipped segment first, and within a feature
            the most flipped first.
        affected: The customers whose score changes most among the flipped, most first.
        notes: What limits it, as sentences.
    """

    source: str
    before: str
    after: str
    events: int
    compared: int
    newly_rejected: dict[str, int]
    newly_scored: int
    all: Flips
    segments: list[Flips]
    affected: list[Affected]
    notes: list[str]

    @property
    def lost(self) -> int:
        """Decisions that would not be made any more: events that only the new model rejects."""
        return sum(self.newly_rejected.values())
