"""What machines ask the HTTP port: is it alive, is it ready, and its metrics. No I/O, no clock."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias

from consumer.operations.measures import FAMILIES
from consumer.operations.telemetry import WorkerSnapshot
from shared.metrics import exposition, merge

#: Gives what each worker says of itself.
Snapshots: TypeAlias = Callable[[], Sequence[WorkerSnapshot]]

#: A worker that has said nothing for so many seconds is not ready.
SILENT: Final = 5.0
# When all have said nothing for so many, the process is not alive.
_DEAD: Final = 60.0
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        status: The HTTP status.
        kind: The content type.
        body: The content.
    """

    status: HTTPStatus
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """What an answer may depend on.

    Attributes:
        workers: What each worker says of itself.
        now: The time on the monotonic clock.
        accept: The content types that the client takes.
    """

    workers: Sequence[WorkerSnapshot]
    now: float
    accept: str = ""


def live(question: Question) -> Answer:
    """Whether to leave the process alone: 503 means that only a restart helps."""
    workers = question.workers
    found = {worker["worker"]: [worker["tripped"]] for worker in workers if worker["tripped"] is not None}
    if workers and all(question.now - worker["at"] > _DEAD for worker in workers):
        # A supervisor replaces one silent worker; that it hears of none is its own fault.
        found |= {worker["worker"]: [_silent(worker, question.now)] for worker in workers}
    return _health(question, "live", found)


def ready(question: Question) -> Answer:
    """Whether every worker is at work; if not, why."""
    reasons = {worker["worker"]: unready(worker, question.now) for worker in question.workers}
    return _health(question, "ready", {worker: why for worker, why in reasons.items() if why})


def unready(worker: WorkerSnapshot, now: float) -> list[str]:
    """Why a worker is not ready; empty when it is.

    Args:
        worker: What it says of itself.
        now: The time on the monotonic clock.
    """
    return worker["unready"] + ([_silent(worker, now)] if now - worker["at"] > SILENT else [])


def _silent(worker: WorkerSnapshot, now: float) -> str:
    return f"it has said nothing for {now - worker['at']:.0f} s"


def _health(question: Question, word: str, found: Mapping[int, list[str]]) -> Answer:
    workers = {
        str(worker["worker"]): {word: worker["worker"] not in found, "why": found.get(worker["worker"], [])}
        for worker in question.workers
    }
    fine = bool(workers) and not found
    body = json.dumps({word: fine, "workers": workers}) + "\n"
    return Answer(HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE, _JSON, body.encode())


def metrics(question: Question) -> Answer:
    """All workers' metrics as Prometheus reads them."""
    merged = merge(FAMILIES, [worker["metrics"] for worker in question.workers])
    body, kind = exposition(FAMILIES, merged, question.accept)
    return Answer(HTTPStatus.OK, kind, body)


#: What machines ask, and where.
PAGES: Final[Mapping[str, Callable[[Question], Answer]]] = {
    "/livez": live,
    "/readyz": ready,
    "/metrics": metrics,
}
