"""What the workers of one supervisor said last, as if they were processes that never restart."""

import threading
import time
from collections.abc import Iterable
from typing import Final

from consumer.operations.measures import FAMILIES, READY
from consumer.operations.telemetry import WorkerSnapshot
from shared.metrics import Snapshot, lasting, merge

_NOT_YET: Final = "it has not started yet"


class Gathered:
    """Keeps each worker's last word, and the counters of its processes that have ended.

    A sum of counters that lost a part at each restart would look to Prometheus like a burst of events.

    Args:
        workers: The numbers of the workers that there should be.
    """

    def __init__(self, workers: Iterable[int]) -> None:
        self._lock = threading.Lock()
        self._last: dict[int, WorkerSnapshot] = {}
        self._absent = dict.fromkeys(workers, _NOT_YET)
        self._past: dict[int, Snapshot] = {}

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
            kept = lasting(FAMILIES, last["metrics"])
            self._past[worker] = merge(FAMILIES, [self._past.get(worker, {}), kept])

    def __call__(self) -> list[WorkerSnapshot]:
        """What each worker says of itself, by number."""
        with self._lock:
            said = [_with_past(last, self._past.get(worker, {})) for worker, last in self._last.items()]
            said += [_absent(worker, why, self._past.get(worker, {})) for worker, why in self._absent.items()]
        return sorted(said, key=lambda snapshot: snapshot["worker"])


def _with_past(last: WorkerSnapshot, past: Snapshot) -> WorkerSnapshot:
    return {**last, "metrics": merge(FAMILIES, [past, last["metrics"]])}


def _absent(worker: int, why: str, past: Snapshot) -> WorkerSnapshot:
    return {
        "worker": worker,
        "pid": 0,
        "started": 0.0,
        "at": time.monotonic(),
        "unready": [why],
        "tripped": None,
        "metrics": {**past, READY.name: [([str(worker)], 0.0)]},
        "latest": None,
    }
