"""The consumer over time: samples of what its workers say, once a second, as a State and a History."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from consumer.operations import measures
from consumer.operations.telemetry import WorkerSnapshot
from consumer.settings import ConsumerSettings
from consumer.web.commands import commands_of
from consumer.web.settings import Page
from consumer.web.state import PERIOD, About, History, Latency, Proof, Second, State, Swap
from consumer.web.states import (
    LATE,
    lag_of,
    latest_of,
    ledger_of,
    models_of,
    partitions_of,
    sentinel_of,
    shadow_of,
    workers_of,
)
from shared.metrics import Snapshot, buckets, merge, numbers, quantile
from shared.schema import MEANINGS
from shared.version import tandem_version

#: How many seconds a History holds, and the latencies of a State.
KEPT_SECONDS: Final = 600
LATENCY_SECONDS: Final = 60.0
# Over how many seconds the rate of a State is taken.
_RATE_SECONDS: Final = 5.0
_MOST_SWAPS: Final = 20


class ProofSource(Protocol):
    """Where the last proof is to be had (consumer/web/proof.py)."""

    def latest(self) -> Proof | None:
        """The last proof, at once: health waits for it; None where there is none yet."""


class Watch:
    """Samples the workers, and tells their state and their last minutes. Any thread may call any method.

    Args:
        settings: What the consumer was told.
        snapshots: Gives what each worker says of itself.
        proof: Where the last proof is to be had; None: there is none.
    """

    def __init__(
        self,
        settings: ConsumerSettings,
        snapshots: Callable[[], Sequence[WorkerSnapshot]],
        proof: ProofSource | None = None,
    ) -> None:
        self._settings = settings
        self._snapshots = snapshots
        self._proof = proof
        self._about = _about(settings)
        self._lock = threading.Lock()
        self._flows: dict[int, _Flow] = {}
        self._swaps = _Swaps()
        self._seconds: deque[Second] = deque(maxlen=KEPT_SECONDS)
        self._state: State | None = None

    def tick(self, at: float | None = None, now: float | None = None) -> State:
        """Takes a sample; to be called every PERIOD seconds, and right also when that comes late.

        Args:
            at: The moment, as Unix time; None: this one.
            now: The same on the monotonic clock.
        """
        proof = self._proof.latest() if self._proof is not None else None
        with self._lock:
            at, now = time.time() if at is None else at, time.monotonic() if now is None else now
            snapshots = self._snapshots()
            merged = merge(measures.FAMILIES, [snapshot["metrics"] for snapshot in snapshots])
            for snapshot in snapshots:
                self._flows.setdefault(snapshot["worker"], _Flow()).put(snapshot)
            self._swaps.look(at, snapshots, merged)
            self._seconds.append(self._second(at, now, lag_of(snapshots, now)))
            self._state = self._state_of(at, now, snapshots, merged, proof)
            return self._state

    def state(self) -> State:
        """The consumer when the last sample was taken."""
        return self._state or self.tick()

    def history(self) -> History:
        """The last minutes, up to the last sample."""
        with self._lock:
            seconds = list(self._seconds)
        return History(
            at=[second.at for second in seconds],
            events=[second.events for second in seconds],
            rejected=[second.rejected for second in seconds],
            lag=[second.lag for second in seconds],
            p50=[second.p50 for second in seconds],
            p99=[second.p99 for second in seconds],
        )

    def _second(self, at: float, now: float, lag: int | None) -> Second:
        passed = [flow.over(PERIOD) for flow in self._flows.values() if not flow.late(now)]
        known = [one for one in passed if one is not None]
        ages = _added([one.ages for one in known])
        return Second(
            at=round(at, 3),
            events=round(sum(one.read / one.seconds for one in known), 1) if known else None,
            rejected=round(sum(one.rejected / one.seconds for one in known), 1) if known else None,
            lag=lag,
            p50=_quantile(ages, 0.5),
            p99=_quantile(ages, 0.99),
        )

    def _state_of(
        self,
        at: float,
        now: float,
        snapshots: Sequence[WorkerSnapshot],
        merged: Snapshot,
        proof: Proof | None,
    ) -> State:
        settings, workers = self._settings, workers_of(snapshots, now)
        return State(
            about=self._about,
            at=round(at, 3),
            ready=bool(workers) and all(worker.ready for worker in workers),
            rate=self._rate(now),
            second=self._seconds[-1],
            workers=workers,
            partitions=partitions_of(merged),
            lag=self._seconds[-1].lag,
            ledger=ledger_of(merged),
            latency=self._latency(),
            models=models_of(merged),
            swaps=self._swaps.latest(),
            shadow=shadow_of(merged) if settings.shadow is not None else None,
            sentinel=sentinel_of(merged) if settings.sentinel is not None else None,
            proof=proof,
            latest=latest_of(snapshots) if settings.shows is Page.EVENTS else None,
        )

    def _rate(self, now: float) -> float | None:
        passed = [flow.over(_RATE_SECONDS) for flow in self._flows.values() if not flow.late(now)]
        rates = [one.read / one.seconds for one in passed if one is not None]
        return round(sum(rates), 1) if rates else None

    def _latency(self) -> Latency:
        passed = [flow.over(LATENCY_SECONDS) for flow in self._flows.values()]
        known = [one for one in passed if one is not None]
        ages = _added([one.ages for one in known])
        return Latency(
            seconds=round(max((one.seconds for one in known), default=0.0), 1),
            bounds=list(measures.EVENT_AGE.bounds),
            counts=[round(count) for count in ages],
            p50=_quantile(ages, 0.5),
            p99=_quantile(ages, 0.99),
        )


def _about(settings: ConsumerSettings) -> About:
    return About(
        run=secrets.token_hex(4),
        started=round(time.time(), 3),
        version=tandem_version(),
        group=settings.group,
        input_topic=settings.input_topic,
        output_topic=settings.output_topic,
        dead_letter_topic=settings.dead_letter_topic,
        shadow_topic=None if settings.shadow is None else settings.shadow_topic,
        guarantee=settings.guarantee.value,
        shows="events" if settings.shows is Page.EVENTS else "figures",
        masked=settings.mask_customers,
        send_form=settings.send_form,
        commands=commands_of(settings),
        reasons={reason.value: meaning for reason, meaning in MEANINGS.items()},
    )


@dataclass(frozen=True, slots=True)
class _Report:
    """What a worker has counted.

    Attributes:
        at: When it said so, on the monotonic clock.
        read: Events whose outcome is committed.
        rejected: Those that were rejected.
        ages: Events by bucket of their age.
    """

    at: float
    read: float
    rejected: float
    ages: list[float]


@dataclass(frozen=True, slots=True)
class _Passed:
    """What a worker did in so many seconds; a counter that fell counts as one that stood still."""

    seconds: float
    read: float
    rejected: float
    ages: list[float]


class _Flow:
    """The reports of a worker over the last minute.

    A worker reports when it comes to it, and of two ticks one may see two of its reports and the other none:
    its rate is taken from its own times, from report to report.
    """

    def __init__(self) -> None:
        self._reports: deque[_Report] = deque()

    def put(self, snapshot: WorkerSnapshot) -> None:
        """Takes in what the worker says, unless it was heard before."""
        reports, metrics = self._reports, snapshot["metrics"]
        if reports and snapshot["at"] <= reports[-1].at:
            return
        read, rejected = numbers(metrics, measures.READ), numbers(metrics, measures.REJECTED)
        ages = buckets(metrics, measures.EVENT_AGE)
        reports.append(_Report(snapshot["at"], sum(read.values()), sum(rejected.values()), ages))
        # One that is older than the longest window is where that begins.
        while len(reports) > 1 and reports[-1].at - reports[1].at >= LATENCY_SECONDS:
            reports.popleft()

    def late(self, now: float) -> bool:
        """Whether it has said nothing for so long that its last seconds are not known."""
        return not self._reports or now - self._reports[-1].at > LATE

    def over(self, seconds: float) -> _Passed | None:
        """What it did in about the last seconds before its last report; None while it has reported once."""
        last = self._reports[-1]
        earlier = [report for report in self._reports if last.at - report.at >= seconds - PERIOD / 2]
        first = earlier[-1] if earlier else self._reports[0]
        if first is last:
            return None
        return _Passed(
            last.at - first.at,
            max(0.0, last.read - first.read),
            max(0.0, last.rejected - first.rejected),
            [max(0.0, after - before) for after, before in zip(last.ages, first.ages, strict=True)],
        )


def _added(ages: Sequence[Sequence[float]]) -> list[float]:
    nothing = [0.0] * (len(measures.EVENT_AGE.bounds) + 1)
    return [sum(counts) for counts in zip(nothing, *ages, strict=True)]


def _quantile(ages: Sequence[float], share: float) -> float | None:
    found = quantile(measures.EVENT_AGE.bounds, ages, share)
    return None if found is None else round(found, 6)


class _Swaps:
    """The changes of models, as the workers' metrics show them."""

    def __init__(self) -> None:
        self._latest: deque[Swap] = deque(maxlen=_MOST_SWAPS)
        #: By role the digests in use, when there last were any, and the one that was told last.
        self._in_use: dict[str, set[str]] = {}
        self._newest: dict[str, str] = {}
        self._refused = 0.0

    def look(self, at: float, snapshots: Sequence[WorkerSnapshot], merged: Snapshot) -> None:
        """Notes what has changed.

        Args:
            at: The moment, as Unix time.
            snapshots: What each worker says of itself.
            merged: Their metrics together.
        """
        found: dict[str, dict[str, str]] = {}
        for model in models_of(merged):
            found.setdefault(model.role, {})[model.sha256] = f"{model.name}@{model.version}"
        used = [{role for role, *_ in numbers(one["metrics"], measures.MODEL)} for one in snapshots]
        for role, models in found.items():
            self._look_at(at, role, models, by_all=all(role in roles for roles in used))
        # Each worker refuses the same model by itself: that is told once.
        refused = max((_refused_by(snapshot) for snapshot in snapshots), default=0.0)
        for _ in range(min(_MOST_SWAPS, round(refused - self._refused))):
            self._latest.append(Swap(at=round(at, 3), role=None, what="refused", model=None, sha256=None))
        self._refused = max(self._refused, refused)

    def _look_at(self, at: float, role: str, models: Mapping[str, str], *, by_all: bool) -> None:
        before, alone = self._in_use.get(role), by_all and len(models) == 1
        what: Literal["started", "swapped"] = "started" if before is None else "swapped"
        for sha256, model in models.items():
            # A worker that comes back with the newest model swaps nothing; once all have gone back to an
            # older one, which some may never have left, that one is swapped in again.
            if sha256 != self._newest.get(role) and (alone or sha256 not in (before or ())):
                self._newest[role] = sha256
                self._latest.append(Swap(at=round(at, 3), role=role, what=what, model=model, sha256=sha256))
        self._in_use[role] = set(models)

    def latest(self) -> list[Swap]:
        """The last changes, the newest first."""
        return list(reversed(self._latest))


def _refused_by(snapshot: WorkerSnapshot) -> float:
    return numbers(snapshot["metrics"], measures.SWAPS).get(("refused",), 0.0)
