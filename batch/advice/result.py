"""What an advice found, as plain data for a report."""

from pydantic import computed_field

from batch.proof.result import Frozen, Histogram


class CadenceResult(Frozen):
    """What would have happened, had the recorded events been scored at a cadence.

    A decision is used whenever a customer's event comes: what was in force then is what was last decided of
    that customer, from the events up to the last run before it. Scored in real time, it is the event's own.

    Attributes:
        name: `real time`, `every minute`, `hourly`, `nightly`.
        period: Seconds between two runs; 0 in real time.
        uses: Events that count, at each of which a decision is used; see batch/advice/cadences.py.
        age: How old the decision in force was when it was used, in seconds: since the run began that made it;
            None when none ever was.
        without: Uses at which the customer had no decision yet.
        stale: Uses at which the decision in force was another than the event's own.
        changed_customers: Customers whose decision changed at least once.
        standing: For how long a decision was in force that was not the true one any more, in seconds; None
            when there was no such.
        missed: Changes that were over before the next run: no decision ever told of them.
        runs: Runs in the recorded time.
        cpu_seconds_per_million: CPU seconds per million events, measured on this machine.
        cpu_seconds_per_day: CPU seconds used a day at the recorded rate, starts of runs included.
        reserved_seconds_per_day: Core seconds a day that are held for it, used or not: in real time a process
            is up all day; a batch holds none.
        price_per_day: Of what is held, or of what is used if that is more, at the price given; or None.
        run_seconds: How long a run takes; 0 in real time.
    """

    name: str
    period: float
    uses: int
    age: Histogram | None
    without: int
    stale: int
    changed_customers: int
    standing: Histogram | None
    missed: int
    runs: int
    cpu_seconds_per_million: float
    cpu_seconds_per_day: float
    reserved_seconds_per_day: float = 0.0
    price_per_day: float | None
    run_seconds: float = 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def stale_share(self) -> float:
        """The share of uses with another decision than the event's own, or none."""
        return (self.stale + self.without) / self.uses if self.uses else 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def billed_seconds_per_day(self) -> float:
        """What a day costs, in CPU seconds: those held, or those used if that is more."""
        return max(self.cpu_seconds_per_day, self.reserved_seconds_per_day)


class Advice(Frozen):
    """Batch or real time.

    Attributes:
        source: Where the events come from.
        model: `name@version digest` of the model.
        events: Scored events.
        customers: Customers among them.
        seconds: From the first event to the last.
        tolerated: The share of stale uses that the user accepts.
        price: For a CPU hour, as the user gave it.
        cadences: One entry a cadence of which the recording can tell, from real time on.
        recommended: The name of one of them.
        recommendation: One sentence.
        reasons: The figures behind it, as sentences.
        notes: What limits it, as sentences.
    """

    source: str
    model: str
    events: int
    customers: int
    seconds: float
    tolerated: float
    price: float | None
    cadences: list[CadenceResult]
    recommended: str
    recommendation: str
    reasons: list[str]
    notes: list[str]
