"""What the workers of one supervisor said last, as if they were processes that never restart."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from consumer.latest.events import LatestEvents, joined
from consumer.operations.measures import FAMILIES, READY
from consumer.operations.telemetry import WorkerSnapshot
from shared.metrics import Snapshot, lasting, merge

_NOT_YET: Final = "it has not started yet"


class Gathered:
    """Keeps each worker's last word, and of its processes that have ended the counters and latest events.

    A sum of counters that lost a part at each restart would look to Prometheus like a burst of events.

    Args:
        workers: The numbers of the workers that there should be.
    """

    def __init__(self, workers: Iterable[int]) -> None:
        self._lock = threading.Lock()
        self._last: dict[int, WorkerSnapshot] = {}
        self._absent = dict.fromkeys(workers, _NOT_YET)
        self._past: dict[int, _Past] = {}

    def put(self, snapshot: WorkerSnapshot) -> None:
        """Takes in what a worker says of itself."""
        worker = snapshot["worker"]
        with self._lock:
            last = self._last.get(worker)
            if last is not None and (last["pid"], last["started"]) != (snapshot["pid"], snapshot["started"]):
                self._keep(worker)
            self._last[worker] = snapshot
            self._absent.pop(worker, None)

    def ended(self, worker: int, why: str) -> None:
        """Notes that a worker's process has ended: it is not ready until another one speaks.

        Args:
            worker: Its number.
            why: What to say of it until then, such as "its process ended with exit code 5".
        """
        with self._lock:
            self._keep(worker)
            self._absent[worker] = why

    def _keep(self, worker: int) -> None:
        last = self._last.pop(worker, None)
        if last is not None:
            self._past[worker] = _Past.of(_with_past(last, self._past.get(worker)))

    def __call__(self) -> list[WorkerSnapshot]:
        """What each worker says of itself, by number."""
        with self._lock:
            said = [_with_past(last, self._past.get(worker)) for worker, last in self._last.items()]
            said += [_absent(worker, why, self._past.get(worker)) for worker, why in self._absent.items()]
        return sorted(said, key=lambda snapshot: snapshot["worker"])


@dataclass(frozen=True, slots=True)
class _Past:
    """What the processes of a worker that have ended leave.

    Attributes:
        metrics: What stays true of them.
        latest: Their latest events; None where nobody is to see them.
    """

    metrics: Snapshot
    latest: LatestEvents | None

    @classmethod
    def of(cls, snapshot: WorkerSnapshot) -> Self:
        """What a process leaves that said this last."""
        return cls(lasting(FAMILIES, snapshot["metrics"]), snapshot["latest"])


def _with_past(last: WorkerSnapshot, past: _Past | None) -> WorkerSnapshot:
    if past is None:
        return last
    shown = [latest for latest in (last["latest"], past.latest) if latest is not None]
    return {
        **last,
        "metrics": merge(FAMILIES, [past.metrics, last["metrics"]]),
        "latest": joined(shown) if shown else None,
    }


def _absent(worker: int, why: str, past: _Past | None) -> WorkerSnapshot:
    return {
        "worker": worker,
        "pid": 0,
        "started": 0.0,
        "at": time.monotonic(),
        "unready": [why],
        "tripped": None,
        "metrics": {**(past.metrics if past else {}), READY.name: [([str(worker)], 0.0)]},
        "latest": past.latest if past else None,
    }
