"""What a proof found, as plain data: its parts add up, go through JSON, and make the section of a report."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from batch.described import described, without_computed
from batch.proof.classes import AGREEING, NOT_CONSERVED, Found
from shared.wording import counted

# How a sentence says of events that they are of a class.
_WRONG: Final = {
    Found.MISSING: "missing",
    Found.DUPLICATED: "duplicated",
    Found.UNKNOWN_MODEL: "by an unknown model",
    Found.NO_ROW: "without a row",
    Found.OTHER_INPUT: "from another input",
    Found.REJECTED_ON_ONE: "rejected on one side",
    Found.REJECTED_OTHERWISE: "rejected for another reason",
    Found.OTHER_DECISION: "with another decision",
    Found.OTHER_BITS: "with other bits",
    Found.MISPLACED: "under another key or partition",
    Found.OUT_OF_ORDER: "out of order",
}


class Frozen(BaseModel):
    """Data that nobody changes, and in which a misspelt field is an error.

    What is computed from the rest is written with it, and made again when it is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=described)

    @model_validator(mode="before")
    @classmethod
    def _without_computed(cls, given: Any) -> Any:
        return without_computed(cls, given)


class Histogram(Frozen):
    """How values are spread.

    Attributes:
        unit: What is counted, such as seconds.
        bounds: The upper bounds of the buckets, rising; the last bucket has none.
        counts: One more than the bounds.
        p50: The median.
        p99: The 99th percentile.
        largest: The largest value.
    """

    unit: str
    bounds: list[float]
    counts: list[int]
    p50: float
    p99: float
    largest: float


class PartitionLedger(Frozen):
    """The books of one partition of the input topic.

    Attributes:
        partition: The partition.
        start: The first offset that the proof covers.
        end: The offset after the last one.
        events: Events there.
        counts: How many of them fall into each class that occurs.
        predictions: Predictions of these events.
        letters: Dead letters of these events that stand for what became of them.
        replayed: Dead letters that were replayed since, and stand for nothing any more.
        of_no_event: Answers for an offset in this range at which no event stands.
        digest: sha256 over all events and answers of the partition, in order.
    """

    partition: int
    start: int
    end: int
    events: int
    counts: dict[Found, int]
    predictions: int
    letters: int
    replayed: int = 0
    of_no_event: int = 0
    digest: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def closes(self) -> bool:
        """Whether each event has one class, answered once, in place and in turn; nothing else was."""
        answered_once = not self.of_no_event and not any(self.counts.get(found) for found in NOT_CONSERVED)
        return answered_once and self.events == sum(self.counts.values()) == self.predictions + self.letters


class Answer(Frozen):
    """What one path said of an event.

    Attributes:
        score: The score.
        bits: Its float64 in hexadecimal, which shows each bit.
        decision: Whether it is above the threshold.
        reason: Why the event was rejected, when it was.
        model: `name@version digest`.
        position: Where the answer stands, for the stream's.
    """

    score: float | None = None
    bits: str | None = None
    decision: bool | None = None
    reason: str | None = None
    model: str | None = None
    position: str | None = None


class Example(Frozen):
    """One event on which the proof failed.

    Attributes:
        found: Its class.
        position: `topic/partition/offset`.
        event: The event, as text; long ones are cut.
        stream: The stream's answers, in the order in which they stand.
        batch: The batch path's; None when it did not score the event.
        field: The first input, or field of the prediction, that differs, if that is known.
        stream_value: What the stream had there, as text.
        batch_value: What the batch path had there.
        detail: In a sentence what is wrong.
    """

    found: Found
    position: str
    event: str | None
    stream: list[Answer]
    batch: Answer | None
    field: str | None = None
    stream_value: str | None = None
    batch_value: str | None = None
    detail: str


class ModelProved(Frozen):
    """A model that is stamped on predictions.

    Attributes:
        id: `name@version`.
        sha256: The 12 hex digits on the predictions.
        predictions: How many carry them.
        known: Whether it was at hand to score with.
    """

    id: str
    sha256: str
    predictions: int
    known: bool


class Explaining(Frozen):
    """A property that the events of a class have more often than all events have.

    Attributes:
        found: The class.
        feature: The input.
        value: Its value, or range of values, as text.
        share: Of the events of the class, how many have it, from 0 to 1.
        share_of_all: Of all events.
    """

    found: Found
    feature: str
    value: str
    share: float
    share_of_all: float


class FeatureParity(Frozen):
    """How one input of the batch side's rows compares with that of the stream's events.

    Attributes:
        feature: The input.
        compared: Pairs of event and row.
        mismatched: Pairs that both have a value, and another one.
        missing: Pairs in which the event has none, and the row has one.
        extra: Pairs in which the event has one, and the row has none.
    """

    feature: str
    compared: int
    mismatched: int
    missing: int
    extra: int


class Proof(Frozen):
    """A verdict with its evidence.

    Attributes:
        topics: By role (events, predictions, dead-letters) the topic.
        rows: The batch side, when it is not the topic's own events.
        rows_without_event: Rows of the batch side that no event that the proof covers has the id of.
        certificate: An id that another proof of the same data by the same models gives again.
        counts: Events by class; every class is there.
        ledger: The books of each partition.
        pending: Events that the group had not committed when the proof began; they are not part of it.
        foreign: Records on the topics of predictions and dead letters that are neither.
        matrix: By the stream's answer (true, false, rejected, several, none), by the batch path's (true,
            false, rejected, not scored), the number of events.
        models: The models stamped on predictions.
        latency: From the event's record timestamp to that of its answer.
        stream_rate: Events a second that the stream answered at its busiest; None when that is not known.
        batch_rate: Events a second that the batch path scored in this run.
        examples: A few of each class in which something is wrong.
        explaining: What the differing events have in common.
        features: How inputs compare, when the batch side is not the topic's own events.
        notes: What limits the proof, as sentences.
    """

    topics: dict[str, str]
    rows: str | None = None
    rows_without_event: int = 0
    certificate: str
    counts: dict[Found, int]
    ledger: list[PartitionLedger]
    pending: int = 0
    foreign: int = 0
    matrix: dict[str, dict[str, int]]
    models: list[ModelProved]
    latency: Histogram | None = None
    stream_rate: float | None = None
    batch_rate: float | None = None
    examples: list[Example] = Field(default_factory=list)
    explaining: list[Explaining] = Field(default_factory=list)
    features: list[FeatureParity] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def events(self) -> int:
        """Events that the proof covers."""
        return sum(self.counts.values())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def identical(self) -> bool:
        """Whether there is anything, and all that was compared agrees to the bit."""
        compared = self.events - self.counts[Found.NOT_SAMPLED]
        return 0 < compared == sum(self.counts[found] for found in AGREEING)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def conserved(self) -> bool:
        """Whether the books of every partition close, and neither side has anything of no event."""
        strays = self.foreign + self.rows_without_event
        return not strays and all(ledger.closes for ledger in self.ledger)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def holds(self) -> bool:
        """Whether all is identical and conserved."""
        return self.identical and self.conserved

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        if not self.events:
            return "Nothing is proved: there are no events."
        if self.holds:
            compared = self.events - self.counts[Found.NOT_SAMPLED]
            told = f"{compared:,} of {self.events:,}" if compared < self.events else f"{self.events:,}"
            return f"Identical and conserved: {told} events, to the bit, on both paths."
        wrong = [
            f"{count:,} {_WRONG[found]}" for found, count in self.counts.items() if count and found in _WRONG
        ]
        if self.foreign:
            wrong.append(f"{counted(self.foreign, 'record')} of strangers")
        if self.rows_without_event:
            wrong.append(f"{counted(self.rows_without_event, 'row')} without an event")
        if strays := sum(ledger.of_no_event for ledger in self.ledger):
            wrong.append(f"{counted(strays, 'answer')} of no event")
        if not wrong:
            wrong = ["no event was compared" if not self.identical else "the books do not close"]
        return f"Not proved: {', '.join(wrong)}, of {self.events:,} events."
