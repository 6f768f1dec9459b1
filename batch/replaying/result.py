"""What a replay found, as plain data for a report."""

from batch.proof.result import Frozen


class Flips(Frozen):
    """Flipped decisions of a segment.

    Attributes:
        feature: The input by which the events are divided; empty for all events.
        segment: Its value or range, as text.
        events: Events that both models scored.
        raised: Decisions that become true.
        lowered: Decisions that become false.
        mean_change: The mean change of the score.
    """

    feature: str
    segment: str
    events: int
    raised: int
    lowered: int
    mean_change: float


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
        before: The model that decided: `name@version digest`.
        after: The model that is tried.
        events: Events read.
        compared: Events that both scored.
        newly_rejected: Events that only the new model rejects, by reason.
        newly_scored: Events that only the old one rejected.
        all: Of all compared events.
        segments: By feature and value, most flipped first within a feature.
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
