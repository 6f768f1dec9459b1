"""Batch or real time: the recorded events, as they would have fared at each cadence, and what that costs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batch.advice.cadences import History, changes_since, observe
from batch.advice.costs import STREAM_SECONDS, Start, batch_seconds, events_in, start_of_run, stream_seconds
from batch.advice.latency import Written, latency_of
from batch.advice.recommend import (
    REAL_TIME,
    Facts,
    LeftOut,
    choose,
    reasons,
    recommendation,
)
from batch.advice.recording import SAMPLED, Recorded, record
from batch.advice.result import Advice, CadenceResult
from batch.advice.runs import Daily, Every, Runs
from batch.advice.settings import Wishes
from batch.proof.result import Histogram
from batch.proof.spread import Latencies
from batch.sources import Scorable
from shared.predict import Predictor
from shared.progress import Meter
from shared.wording import digits, duration, percent

_DAY: Final = 86_400.0
_MILLION: Final = 1_000_000
#: With fewer runs in the recorded time nothing can be told of a cadence.
_FEWEST_RUNS: Final = 2
_UNIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Question:
    """What advice is asked on.

    Attributes:
        name: What to call the source.
        sources: The events.
        model: The model's directory.
        predictor: That model, loaded.
        wishes: Which cadences, and what counts.
    """

    name: str
    sources: Sequence[Scorable]
    model: Path
    predictor: Predictor
    wishes: Wishes


def advise(
    question: Question,
    meter: Meter,
    *,
    predictions: Iterable[Written] | None = None,
    latency: Histogram | None = None,
) -> Advice:
    """Reads and scores the events, and compares the cadences.

    Args:
        question: What is asked.
        meter: Is told of progress.
        predictions: The stream's predictions of these events, to measure how late they were.
        latency: How late they were, when that is known already.

    Raises:
        TandemError: A source cannot be read, nothing says when its events happened, or a run that was
            started to measure it failed.
    """
    recorded = record(
        question.sources,
        question.predictor,
        meter,
        question.wishes.sample,
        positions=predictions is not None,
    )
    if predictions is not None:
        latency = latency_of(predictions, recorded, "--predictions")
    return _Comparison(question, recorded, latency, meter).advice()


class _Comparison:
    """The cadences over one recording.

    Args:
        question: What is asked.
        recorded: The events.
        latency: Of the stream, if it was measured.
        meter: Is told of progress.
    """

    def __init__(
        self, question: Question, recorded: Recorded, latency: Histogram | None, meter: Meter
    ) -> None:
        self._question, self._recorded, self._latency, self._meter = question, recorded, latency, meter
        self._wishes, history = question.wishes, recorded.history
        self._first, self._last = history.first, history.last
        self._seconds = (self._last - self._first) / _UNIT
        # A moment has no rate: events of one second or less count as those of one.
        self._per_day = recorded.read * _DAY / max(1.0, self._seconds)
        warm_up = self._seconds / 2 if self._wishes.warm_up is None else self._wishes.warm_up
        self._since = self._first + round(warm_up * _UNIT)
        self._left_out: list[LeftOut] = []

    def advice(self) -> Advice:
        """Compares them."""
        start = start_of_run(self._question.model, self._question.predictor)
        cadences = [self._real_time(), *self._batches(start)]
        history, model = self._recorded.history, self._question.predictor.model
        facts = Facts(
            cadences=cadences,
            tolerated=self._wishes.tolerate,
            seconds=self._seconds,
            events=len(history.times),
            customers=len(history.starts),
            per_day=self._per_day,
            changes=changes_since(history, self._since)[0],
            measured=self._latency is not None,
            left_out=self._left_out,
        )
        return Advice(
            source=self._question.name,
            model=f"{model.id} {model.short_sha256}",
            events=facts.events,
            customers=facts.customers,
            seconds=self._seconds,
            tolerated=facts.tolerated,
            price=self._wishes.price,
            cadences=cadences,
            recommended=choose(facts).name,
            recommendation=recommendation(facts),
            reasons=reasons(facts),
            notes=self._notes(start),
        )

    def _batches(self, start: Start) -> Iterator[CadenceResult]:
        cadences = list(_cadences(self._wishes, self._recorded.history))
        for number, (name, runs) in enumerate(cadences):
            self._meter.add(0, name, number / len(cadences))
            found = self._batch(name, runs, start)
            if found is not None:
                yield found

    def _batch(self, name: str, runs: Runs, start: Start) -> CadenceResult | None:
        """A cadence's figures; None, and a sentence why, when the recording cannot tell them."""
        count = runs.count(self._first, self._last)
        if count < _FEWEST_RUNS:
            few = "no run" if not count else "one run"
            why = f"{duration(self._seconds)} of recorded events hold {few} of it; two are needed"
            self._left_out.append(LeftOut(name, why, too_short=True))
            return None
        period = runs.period / _UNIT
        each, rows = self._cost_of(period)
        takes = start.seconds + rows * each if self._wishes.run_seconds is None else self._wishes.run_seconds
        if takes > period:
            why = f"a run takes {duration(takes)}, and the next would begin before it has ended"
            self._left_out.append(LeftOut(name, why))
            return None
        seen = observe(self._recorded.history, runs, round(takes * _UNIT), self._since)
        if not seen.uses:
            why = "no event comes after its first run has ended and the warm-up is over"
            self._left_out.append(LeftOut(name, why))
            return None
        cpu = self._per_day * each + _DAY / period * start.cpu
        return CadenceResult(
            name=name,
            period=period,
            uses=seen.uses,
            age=Latencies().with_times(seen.ages).histogram(),
            without=seen.without,
            stale=seen.stale,
            changed_customers=seen.changed_customers,
            standing=Latencies().with_times(seen.standing).histogram(),
            missed=seen.missed,
            runs=count,
            cpu_seconds_per_million=each * _MILLION,
            cpu_seconds_per_day=cpu,
            price_per_day=self._price_of(cpu),
            run_seconds=takes,
        )

    def _cost_of(self, period: float) -> tuple[float, float]:
        """The CPU seconds of a row in runs of this period, and how many rows such a run has."""
        rows = self._per_day * period / _DAY
        together = max(1, min(SAMPLED, round(rows)))
        return batch_seconds(self._recorded.sample, self._question.predictor, together), rows

    def _real_time(self) -> CadenceResult:
        history = self._recorded.history
        uses = int((history.times >= self._since).sum())
        each = self._stream_cost()
        used, held = self._per_day * each, _DAY * self._wishes.stream_cores
        at_once = Latencies(counts={0: uses}).histogram() if uses else None
        return CadenceResult(
            name=REAL_TIME,
            period=0.0,
            uses=uses,
            age=self._latency or at_once,
            without=0,
            stale=0,
            changed_customers=changes_since(history, self._since)[1],
            standing=None,
            missed=0,
            runs=0,
            cpu_seconds_per_million=each * _MILLION,
            cpu_seconds_per_day=used,
            reserved_seconds_per_day=held,
            price_per_day=self._price_of(max(used, held)),
        )

    def _stream_cost(self) -> float:
        """The CPU seconds of an event in the stream."""
        if self._wishes.stream_cpu is not None:
            return self._wishes.stream_cpu / _MILLION
        predictor = self._question.predictor
        together = max(1, min(SAMPLED, round(self._per_day / _DAY * STREAM_SECONDS)))
        return stream_seconds(events_in(self._recorded.sample, predictor), predictor, together)

    def _price_of(self, seconds: float) -> float | None:
        return None if self._wishes.price is None else seconds / 3_600 * self._wishes.price

    def _notes(self, start: Start) -> list[str]:
        """What limits the advice."""
        recorded, wishes = self._recorded, self._wishes
        notes = [f"{left.name[0].upper()}{left.name[1:]} is left out: {left.why}." for left in self._left_out]
        if self._since > self._first:
            notes.append(
                f"Uses in the first {duration((self._since - self._first) / _UNIT)} are not counted: until"
                " then a run learns whom it decides of."
            )
        notes.append(
            "A customer's first event counts as without a decision, also when he had one from before the"
            " recording, or from a batch that scores a table of all customers."
        )
        if self._latency is None:
            notes.append("Real time's age is taken for 0: --predictions measures how late they were.")
        notes.append(_on_costs(wishes, start))
        if recorded.rejected:
            notes.append(
                f"{recorded.rejected:,} of {recorded.read:,} events were rejected, and are left out."
            )
        if recorded.timeless:
            notes.append(f"{recorded.timeless:,} events do not say when they happened, and are left out.")
        if recorded.strays:
            notes.append(
                f"{recorded.strays:,} events lie far from all others in time, as by a wrong clock: they are"
                " left out."
            )
        if wishes.sample < 1:
            share = percent(wishes.sample)
            notes.append(f"{share} of the customers were drawn, each with all events; costs are for all.")
        return notes


def _on_costs(wishes: Wishes, start: Start) -> str:
    stream = (
        "The stream's CPU seconds are those that you gave"
        if wishes.stream_cpu is not None
        else "The stream's leave out Kafka's own reading and writing, which --stream-cpu brings in"
    )
    return (
        "CPU seconds were measured on this machine, from an event or row in memory to its encoded prediction;"
        f" a batch's leave out its files but for a run's start ({digits(start.cpu)} CPU seconds)."
        f" {stream}. A day of the stream is priced by the cores held for it ({digits(wishes.stream_cores)}),"
        " a batch by what it uses."
    )


def _cadences(wishes: Wishes, history: History) -> Iterator[tuple[str, Runs]]:
    """The names of the cadences and their runs, from the most frequent to the rarest."""
    named: dict[int, str] = {60_000: "every minute", 3_600_000: "hourly"}
    for seconds in wishes.every:
        named.setdefault(round(seconds * _UNIT), f"every {duration(seconds)}")
    nightly = Daily(wishes.nightly_at, wishes.zone, history.first, history.last)
    found: list[tuple[str, Runs]] = [("nightly", nightly)]
    found += [(name, Every(period)) for period, name in named.items()]
    yield from sorted(found, key=lambda pair: pair[1].period)
