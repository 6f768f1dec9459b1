"""What the live page is told: the consumer at one moment, and its last minutes, as plain data.

The page (static/) draws what stands here and computes nothing. docs/live-page.md#as-data describes it for
others who want to read it: `GET /page/state`.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from consumer.latest.events import LatestEvents

#: Seconds from one state to the next.
PERIOD: Final = 1.0


class Frozen(BaseModel):
    """Data that nobody changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Worker(Frozen):
    """A worker.

    Attributes:
        number: Its number.
        pid: Its process; None between two of them.
        ready: Whether it is at work.
        why: Why it is not.
        silent: Seconds since it said something.
        started: When it started, as Unix time; None between two processes.
        partitions: How many partitions it reads.
    """

    number: int
    pid: int | None
    ready: bool
    why: list[str]
    silent: float
    started: float | None
    partitions: int


class Partition(Frozen):
    """A partition that a worker of this consumer reads.

    Attributes:
        partition: Its number.
        position: The next offset; all before it is done.
        lag: Offsets from there to its end; None while not known.
        read: Events of it whose outcome this consumer has committed.
    """

    partition: int
    position: int
    lag: int | None
    read: int


class Ledger(Frozen):
    """The books of this consumer since it started.

    Attributes:
        read: Events whose outcome is committed.
        scored: Those with a prediction.
        rejected: Those with a dead letter.
        reasons: The rejected ones by reason; only reasons that occurred.
        balanced: Whether read = scored + rejected.
        undone: Events that were scored and not committed, and came again.
        commits: Transactions that were committed.
        aborts: Transactions that were undone.
    """

    read: int
    scored: int
    rejected: int
    reasons: dict[str, int]
    balanced: bool
    undone: int
    commits: int
    aborts: int


class Latency(Frozen):
    """From the timestamp of an event's record to the commit of its outcome, over the last seconds.

    Attributes:
        seconds: How many seconds are looked at.
        bounds: The upper bounds of the buckets in seconds, rising; the last bucket has none.
        counts: Events in each bucket; one more than the bounds.
        p50: The median, interpolated in its bucket; None without an event.
        p99: The 99th percentile, likewise.
    """

    seconds: float
    bounds: list[float]
    counts: list[int]
    p50: float | None
    p99: float | None


class ModelInUse(Frozen):
    """A model in a role.

    Attributes:
        role: The champion decides; the shadow only scores.
        name: Its name.
        version: Its version.
        kind: Its kind.
        sha256: 12 hexadecimal digits of its digest.
    """

    role: str
    name: str
    version: str
    kind: str
    sha256: str


class Swap(Frozen):
    """A change of a model, or an attempt at one.

    Attributes:
        at: When it was seen, as Unix time.
        role: Of which model; None where that is not known.
        what: The model that was there when the consumer started, one that was swapped in, or one refused.
        model: `name@version`; None for one that was refused: the log says which.
        sha256: 12 hexadecimal digits of its digest; likewise.
    """

    at: float
    role: str | None
    what: Literal["started", "swapped", "refused"]
    model: str | None
    sha256: str | None


class Shadow(Frozen):
    """How the challenger compares with the champion since the consumer started.

    Attributes:
        running: Whether it scores, or failed so often that it is switched off.
        agreed: Events of which both decide the same.
        raised: Events of which the shadow alone says true.
        lowered: Events of which the champion alone says true.
        rejected: Events that only the shadow rejects.
        accepted: Events that only the champion rejects.
        failures: Batches for which it failed.
        agreement: The share of the events scored by both with the same decision; None before the first.
    """

    running: bool
    agreed: int
    raised: int
    lowered: int
    rejected: int
    accepted: int
    failures: int
    agreement: float | None = None


class Sentinel(Frozen):
    """What the sentinel found since the consumer started.

    Attributes:
        events: Events that were scored again by columns.
        disagreements: Events of which the two disagree, by in what; only kinds that occurred.
        left_out: Events that were drawn and not scored again.
    """

    events: int
    disagreements: dict[str, int]
    left_out: int


class Proof(Frozen):
    """What the last proof found, from its report.

    Attributes:
        at: When it was made, as Unix time.
        holds: Whether all agrees and nothing is lost.
        headline: Its verdict as a sentence.
        events: How many events it covers.
        counts: Events by class; only classes that occur.
        certificate: Its certificate's digest.
        report: Whether there is a page to look at, at /page/report.
    """

    at: float
    holds: bool
    headline: str
    events: int
    counts: dict[str, int]
    certificate: str
    report: bool


class History(Frozen):
    """The last minutes, a column each, with one entry a second; None where nothing is known.

    Attributes:
        at: Unix time, rising.
        events: Events a second whose outcome was committed.
        rejected: Those of them that were rejected.
        lag: Offsets that all partitions are behind.
        p50: The median latency in seconds of that second's events.
        p99: The 99th percentile.
    """

    at: list[float] = Field(default_factory=list)
    events: list[float | None] = Field(default_factory=list)
    rejected: list[float | None] = Field(default_factory=list)
    lag: list[int | None] = Field(default_factory=list)
    p50: list[float | None] = Field(default_factory=list)
    p99: list[float | None] = Field(default_factory=list)


class Second(Frozen):
    """The newest entry of the history, for charts that go on; as in `History`."""

    at: float
    events: float | None
    rejected: float | None
    lag: int | None
    p50: float | None
    p99: float | None


class Commands(Frozen):
    """What to run in a terminal, with this consumer's topics and group where they are not the defaults.

    Attributes:
        send: Sends events that the model accepts.
        prove: Proves what this consumer has answered.
        show_letter: Shows a dead letter, when its position is added.
    """

    send: str
    prove: str
    show_letter: str


class About(Frozen):
    """What does not change while the consumer runs.

    Attributes:
        run: Another for each start of the process that serves the page.
        started: When that was, as Unix time.
        version: Tandem's.
        group: The consumer group.
        input_topic: Where the events come from.
        output_topic: Where predictions go.
        dead_letter_topic: Where rejections go.
        shadow_topic: Where the shadow's predictions go; None without a shadow.
        guarantee: exactly-once or at-least-once.
        shows: events or figures.
        masked: Whether customers' ids are masked.
        send_form: Whether the page may send an event.
        commands: What to run in a terminal.
        reasons: What each reason code of a dead letter means.
    """

    run: str
    started: float
    version: str
    group: str
    input_topic: str
    output_topic: str
    dead_letter_topic: str
    shadow_topic: str | None
    guarantee: str
    shows: Literal["events", "figures"]
    masked: bool
    send_form: bool
    commands: Commands
    reasons: dict[str, str]


class State(Frozen):
    """The consumer at one moment.

    Attributes:
        about: What does not change.
        at: The moment, as Unix time.
        ready: Whether every worker is at work.
        rate: Events a second over the last 5 seconds; None in the first one.
        second: The history's newest entry; None before the first.
        workers: By number.
        partitions: By number.
        lag: Offsets that all partitions are behind; None while not known of each.
        ledger: The books.
        latency: The last minute's.
        models: Those in use.
        swaps: The last changes, the newest first.
        shadow: The challenger; None without one.
        sentinel: The sentinel; None without one.
        proof: The last proof; None without one.
        latest: The latest events of all workers; None where they are not shown.
    """

    about: About
    at: float
    ready: bool
    rate: float | None
    second: Second | None = None
    workers: list[Worker]
    partitions: list[Partition]
    lag: int | None
    ledger: Ledger
    latency: Latency
    models: list[ModelInUse]
    swaps: list[Swap]
    shadow: Shadow | None
    sentinel: Sentinel | None
    proof: Proof | None
    latest: LatestEvents | None
