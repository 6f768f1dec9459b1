"""What one worker knows of itself: told by the loop and the probe, read by the watchdog and by HTTP."""

import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from consumer.latest.events import LatestEvents
from consumer.models.comparison import Comparison
from consumer.operations import measures
from consumer.operations.view import Step, View
from consumer.scoring import Scored
from consumer.second_opinion import Kind
from shared.metrics import Metrics, Snapshot
from shared.models.directory import Model
from shared.schema import Reason
from shared.version import tandem_version

#: A broker that answered within so many seconds is there: longer than the probe's pause and patience.
LATELY: Final = 8.0
# After so many seconds without an answer, an end says nothing of the lag any more.
_FORGOTTEN: Final = 30.0
_OF_THE_LOOP: Final = ("poll", "score")
# A poll that takes longer had to wait; one beside a commit is short, and says nothing when it is empty.
_A_WAIT: Final = 0.1
_STATM: Final = Path("/proc/self/statm")

Role: TypeAlias = Literal["champion", "shadow"]


class WorkerSnapshot(TypedDict):
    """What a worker says of itself; JSON can carry it.

    Attributes:
        worker: Its number.
        pid: Its process.
        started: When it started, as Unix time.
        at: When this was said, on the machine's monotonic clock.
        unready: Why it is not ready; empty when it is.
        tripped: What its watchdog found; None while all is well.
        metrics: The values of all metrics.
        latest: Its latest events; None where nobody is to see them.
    """

    worker: int
    pid: int
    started: float
    at: float
    unready: list[str]
    tripped: str | None
    metrics: Snapshot
    latest: LatestEvents | None


class Telemetry:
    """Keeps what a worker measures and where it stands. Any thread may call any method.

    Args:
        worker: The worker's number.
        stopping: Whether the worker was told to stop.
        clock: The monotonic clock, in seconds.
    """

    def __init__(
        self,
        worker: int = 0,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._worker = worker
        self._stopping = stopping
        self._started = time.time()
        self._lock = threading.Lock()
        self._metrics = Metrics(measures.FAMILIES)
        self._steps: dict[int, Step] = {}
        self._begun = self._empty_polls = self._assignments = 0
        # Whether the last step of the loop was a poll that waited, with nothing else under way.
        self._waited = False
        self._thread: int | None = None
        self._assigned: frozenset[int] = frozenset()
        # Whether anything was told of the partitions since they were assigned.
        self._reading = False
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._ends_at: float | None = None
        self._contact: float | None = None
        self._tripped: str | None = None
        self._models: dict[Role, tuple[str, ...]] = {}
        self._latest: Callable[[], LatestEvents | None] = lambda: None
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Lets the series that are known beforehand appear, so that a rate sees their first rise."""
        for reason in Reason:
            self._metrics.add(measures.REJECTED, 0, reason.value)
        for family, outcomes in (
            (measures.TRANSACTIONS, ("committed", "aborted")),
            (measures.SWAPS, ("swapped", "refused")),
            (measures.SHADOW_DECISIONS, ("agreed", "raised", "lowered")),
        ):
            for outcome in outcomes:
                self._metrics.add(family, 0, outcome)
        self._metrics.add(measures.UNDONE, 0)
        self._metrics.add(measures.SHADOW_ACCEPTED, 0)
        self._metrics.add(measures.SHADOW_FAILURES, 0)
        self._metrics.set(measures.BUILD, 1, tandem_version(), platform.python_version())

    # What the loop tells.

    @contextmanager
    def step(self, name: str, places: Mapping[int, int]) -> Iterator[None]:
        """Holds while a step is taken: the watchdog limits its time, and its duration is measured.

        Args:
            name: poll, score, commit, abort or rewind.
            places: By partition, the offset that the step is about; for the log when it hangs.
        """
        step, began = Step(name, places, threading.get_ident()), self._clock()
        with self._lock:
            self._begun += 1
            number = self._begun
            if name == "poll" and self._waited:
                # Had the last poll brought something, it would be scored by now.
                self._empty_polls += 1
            if name in _OF_THE_LOOP:
                self._waited, self._thread = False, step.thread
            self._steps[number] = step
        try:
            yield
        finally:
            seconds = self._clock() - began
            with self._lock:
                del self._steps[number]
                if name == "poll":
                    self._waited = seconds >= _A_WAIT and not self._steps
            self._metrics.observe(measures.STEP_DURATION, seconds, name)

    def assigned(self, partitions: Collection[int]) -> None:
        """Notes the partitions that the group has given to this worker; none is an answer, too."""
        with self._lock:
            self._assignments += 1
            self._reading = not partitions
            self._assigned = frozenset(partitions)
            self._positions = {p: offset for p, offset in self._positions.items() if p in self._assigned}

    def positions(self, positions: Mapping[int, int]) -> None:
        """Notes the next offset of partitions; all before it is done: committed, or no event at all."""
        with self._lock:
            self._move(positions)

    def _move(self, positions: Mapping[int, int]) -> None:
        self._positions |= {p: offset for p, offset in positions.items() if p in self._assigned}
        self._reading = True

    def committed(self, batch: Sequence[Scored], polled_at: float) -> None:
        """Counts a batch that is committed.

        Args:
            batch: The events and what became of them.
            polled_at: When they were polled, on the monotonic clock.
        """
        now, wall = self._clock(), time.time_ns() // 1_000_000
        ages = _ages([stamp for scored in batch for stamp in scored.events.timestamps], wall)
        reasons = Counter(rejection.reason for scored in batch for rejection in scored.outcome.rejections)
        metrics = self._metrics
        # All at once: a snapshot never shows a part of a batch.
        with self._lock:
            self._contact = now
            self._move({scored.events.partition: scored.events.next_offset for scored in batch})
            metrics.add(measures.TRANSACTIONS, 1, "committed")
            metrics.observe(measures.BATCH_DURATION, max(0.0, now - polled_at))
            metrics.observe(measures.BATCH_EVENTS, sum(len(scored.events) for scored in batch))
            metrics.observe_all(measures.EVENT_AGE, ages)
            for scored in batch:
                partition = str(scored.events.partition)
                metrics.add(measures.READ, len(scored.events), partition)
                metrics.add(measures.SCORED, len(scored.outcome.rows), partition)
                if scored.comparison is not None:
                    self._compared(scored.comparison)
            for reason, count in reasons.items():
                metrics.add(measures.REJECTED, count, reason.value)

    def undone(self, events: int) -> None:
        """Counts a batch that is not committed, and its events."""
        with self._lock:
            self._metrics.add(measures.TRANSACTIONS, 1, "aborted")
            self._metrics.add(measures.UNDONE, events)

    # What the models tell.

    def model(self, model: Model, role: Role = "champion") -> None:
        """Names the model that is in use in a role from now on."""
        declared = model.declaration
        with self._lock:
            self._models[role] = (role, declared.name, declared.version, declared.kind, model.short_sha256)
            self._metrics.replace(measures.MODEL, dict.fromkeys(self._models.values(), 1.0))

    def swap(self, outcome: str) -> None:
        """Counts a new model that was `swapped` in or `refused`."""
        self._metrics.add(measures.SWAPS, 1, outcome)

    def shadow_running(self, running: bool) -> None:
        """Notes whether the shadow scores, or is switched off."""
        self._metrics.set(measures.SHADOW_RUNNING, float(running), str(self._worker))

    def shadow_failed(self) -> None:
        """Counts a batch for which the shadow failed."""
        self._metrics.add(measures.SHADOW_FAILURES, 1)

    def _compared(self, comparison: Comparison) -> None:
        """Counts what a shadow said beside the champion."""
        metrics = self._metrics
        metrics.add(measures.SHADOW_DECISIONS, comparison.agreed, "agreed")
        metrics.add(measures.SHADOW_DECISIONS, comparison.raised, "raised")
        metrics.add(measures.SHADOW_DECISIONS, comparison.lowered, "lowered")
        metrics.observe_all(measures.SHADOW_DIFFERENCE, comparison.differences)
        for reason, count in comparison.rejected.items():
            metrics.add(measures.SHADOW_REJECTED, count, reason.value)
        metrics.add(measures.SHADOW_ACCEPTED, comparison.accepted)

    # What the sentinel tells.

    def sentinel_on(self) -> None:
        """Lets the sentinel's series appear: without one there is nothing that could disagree."""
        self.sentinel_judged(0, {kind.value: 0 for kind in Kind})
        for why in ("busy", "failed"):
            self.sentinel_left_out(0, why)
        self.sentinel_spent(0)

    def sentinel_judged(self, events: int, disagreements: Mapping[str, int]) -> None:
        """Counts events that were scored again, and by kind those of which it disagrees with the stream."""
        with self._lock:
            self._metrics.add(measures.SENTINEL_EVENTS, events)
            for kind, count in disagreements.items():
                self._metrics.add(measures.SENTINEL_DISAGREEMENTS, count, kind)

    def sentinel_left_out(self, events: int, why: str) -> None:
        """Counts events that were drawn and not scored again: the sentinel was `busy`, or it `failed`."""
        self._metrics.add(measures.SENTINEL_LEFT_OUT, events, why)

    def sentinel_spent(self, seconds: float) -> None:
        """Counts processor time that the sentinel took."""
        self._metrics.add(measures.SENTINEL_SPENT, seconds)

    # What is shown of single events.

    def show(self, latest: Callable[[], LatestEvents | None]) -> None:
        """Shows the latest events from now on.

        Args:
            latest: Hands them over when a snapshot is taken, at once, on any thread: health waits for it.
        """
        self._latest = latest

    # What the probe and the watchdog tell.

    def ends(self, ends: Mapping[int, int]) -> None:
        """Notes a broker's answer: where the partitions end, whoever reads them."""
        with self._lock:
            self._ends_at = self._contact = self._clock()
            self._ends = dict(ends)

    def trip(self, verdict: str) -> None:
        """Notes that the watchdog ends this worker, and why."""
        with self._lock:
            self._tripped = verdict

    # What others read.

    @property
    def assignment(self) -> frozenset[int]:
        """The partitions that are assigned now."""
        return self._assigned

    def view(self) -> View:
        """What the watchdog looks at."""
        now = self._clock()
        with self._lock:
            return View(
                steps=dict(self._steps),
                begun=self._begun,
                empty_polls=self._empty_polls,
                thread=self._thread,
                assignments=self._assignments,
                lagging=self._lagging(),
                broker_answers=self._ends_at is not None and now - self._ends_at <= LATELY,
                stopping=self._stopping(),
            )

    def _lagging(self) -> dict[int, tuple[int | None, int]]:
        places = {p: (self._positions.get(p), end) for p, end in self._ends.items() if p in self._assigned}
        return {p: (position, end) for p, (position, end) in places.items() if end > (position or 0)}

    def snapshot(self) -> WorkerSnapshot:
        """What this worker says of itself now: all metrics of one moment, between two batches."""
        now = self._clock()
        with self._lock:
            unready = self._unready(now)
            self._set_gauges(now, not unready)
            tripped, metrics = self._tripped, self._metrics.snapshot()
        return {
            "worker": self._worker,
            "pid": os.getpid(),
            "started": self._started,
            "at": now,
            "unready": unready,
            "tripped": tripped,
            "metrics": metrics,
            "latest": self._latest(),
        }

    def _unready(self, now: float) -> list[str]:
        reasons = []
        if self._tripped is not None:
            reasons.append(self._tripped)
        if self._stopping():
            reasons.append("it is stopping")
        if not self._assignments:
            reasons.append("the group has not taken it in yet")
        elif not self._reading:
            reasons.append("it has not read from its partitions yet")
        if self._contact is None:
            reasons.append("no broker has answered yet")
        elif now - self._contact > LATELY:
            reasons.append(f"no broker has answered for {now - self._contact:.0f} s")
        return reasons

    def _set_gauges(self, now: float, ready: bool) -> None:
        metrics, worker = self._metrics, str(self._worker)
        fresh = self._ends_at is not None and now - self._ends_at <= _FORGOTTEN
        lag = {p: max(0, end - self._positions[p]) for p, end in self._ends.items() if p in self._positions}
        metrics.replace(measures.LAG, _by_partition(lag if fresh else {}))
        metrics.replace(measures.POSITION, _by_partition(self._positions))
        metrics.set(measures.ASSIGNED, len(self._assigned), worker)
        metrics.set(measures.READY, float(ready), worker)
        metrics.set(measures.STARTED, self._started, worker)
        metrics.replace(measures.CPU, {(): time.process_time()})
        if self._ends_at is not None:
            metrics.set(measures.BROKER_AGE, now - self._ends_at, worker)
        with suppress(OSError):
            # Only Linux tells it this way; elsewhere the series is absent.
            pages = int(_STATM.read_text(encoding="ascii").split()[1])
            metrics.set(measures.MEMORY, pages * os.sysconf("SC_PAGE_SIZE"), worker)


def _by_partition(values: Mapping[int, int]) -> dict[tuple[str, ...], float]:
    return {(str(partition),): value for partition, value in values.items()}


def _ages(timestamps: Sequence[int], now: int) -> npt.NDArray[Any]:
    """Seconds since each timestamp, never below 0; a record without one (-1) has no age."""
    stamped = np.fromiter(timestamps, np.int64, len(timestamps))
    if stamped.size and stamped.min() < 0:
        stamped = stamped[stamped >= 0]
    return np.maximum(now - stamped, 0) / 1000
