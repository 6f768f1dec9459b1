"""What the workers say of themselves, as the parts of a State. Pure: no clock, and nothing is kept."""

from collections.abc import Sequence
from typing import Final

from consumer.latest.events import LatestEvents, joined
from consumer.operations import measures
from consumer.operations.telemetry import WorkerSnapshot
from consumer.web.health import unready
from consumer.web.state import PERIOD, Ledger, ModelInUse, Partition, Sentinel, Shadow, Worker
from shared.metrics import Family, Snapshot, numbers

#: Of a worker that has said nothing for so many seconds it is not known what it does now.
LATE: Final = 2.5 * PERIOD


def workers_of(snapshots: Sequence[WorkerSnapshot], now: float) -> list[Worker]:
    """The workers, by number.

    Args:
        snapshots: What each says of itself.
        now: The time on the monotonic clock.
    """
    return [_worker(snapshot, now) for snapshot in snapshots]


def _worker(snapshot: WorkerSnapshot, now: float) -> Worker:
    why = unready(snapshot, now)
    return Worker(
        number=snapshot["worker"],
        pid=snapshot["pid"] or None,
        ready=not why,
        why=why,
        silent=round(max(0.0, now - snapshot["at"]), 1),
        started=snapshot["started"] or None,
        partitions=_total(snapshot["metrics"], measures.ASSIGNED),
    )


def lag_of(snapshots: Sequence[WorkerSnapshot], now: float) -> int | None:
    """Offsets that all assigned partitions are behind; None when one's are not known, or none is assigned.

    They are not known, either, while a worker is between two processes, or says nothing: its partitions fill
    up meanwhile, and nobody counts.

    Args:
        snapshots: What each worker says of itself.
        now: The time on the monotonic clock.
    """
    assigned = lag = 0
    for snapshot in snapshots:
        if not snapshot["pid"] or now - snapshot["at"] > LATE:
            return None
        partitions = _total(snapshot["metrics"], measures.ASSIGNED)
        known = numbers(snapshot["metrics"], measures.LAG)
        if len(known) < partitions:
            return None
        assigned += partitions
        lag += round(sum(known.values()))
    return lag if assigned else None


def partitions_of(merged: Snapshot) -> list[Partition]:
    """The assigned partitions of which something is known, by number."""
    read, lags = numbers(merged, measures.READ), numbers(merged, measures.LAG)
    return [
        Partition(
            partition=int(labels[0]),
            position=round(position),
            lag=round(lags[labels]) if labels in lags else None,
            read=round(read.get(labels, 0)),
        )
        for labels, position in sorted(
            numbers(merged, measures.POSITION).items(), key=lambda series: int(series[0][0])
        )
    ]


def ledger_of(merged: Snapshot) -> Ledger:
    """The books."""
    reasons = _by_label(merged, measures.REJECTED)
    read, scored, rejected = (
        _total(merged, measures.READ),
        _total(merged, measures.SCORED),
        sum(reasons.values()),
    )
    transactions = _by_label(merged, measures.TRANSACTIONS)
    return Ledger(
        read=read,
        scored=scored,
        rejected=rejected,
        reasons=reasons,
        balanced=read == scored + rejected,
        undone=_total(merged, measures.UNDONE),
        commits=transactions.get("committed", 0),
        aborts=transactions.get("aborted", 0),
    )


def models_of(merged: Snapshot) -> list[ModelInUse]:
    """The models in use, the champion first; during a swap there may be two of a role."""
    return [
        ModelInUse(role=role, name=name, version=version, kind=kind, sha256=sha256)
        for role, name, version, kind, sha256 in sorted(numbers(merged, measures.MODEL))
    ]


def shadow_of(merged: Snapshot) -> Shadow:
    """How a challenger compares with the champion."""
    decisions = _by_label(merged, measures.SHADOW_DECISIONS)
    agreed, both = decisions.get("agreed", 0), sum(decisions.values())
    return Shadow(
        running=0.0 not in numbers(merged, measures.SHADOW_RUNNING).values(),
        agreed=agreed,
        raised=decisions.get("raised", 0),
        lowered=decisions.get("lowered", 0),
        rejected=_total(merged, measures.SHADOW_REJECTED),
        accepted=_total(merged, measures.SHADOW_ACCEPTED),
        failures=_total(merged, measures.SHADOW_FAILURES),
        agreement=agreed / both if both else None,
    )


def sentinel_of(merged: Snapshot) -> Sentinel:
    """What the sentinel found."""
    return Sentinel(
        events=_total(merged, measures.SENTINEL_EVENTS),
        disagreements=_by_label(merged, measures.SENTINEL_DISAGREEMENTS),
        left_out=_total(merged, measures.SENTINEL_LEFT_OUT),
    )


def latest_of(snapshots: Sequence[WorkerSnapshot]) -> LatestEvents:
    """The latest events of all workers."""
    return joined([snapshot["latest"] for snapshot in snapshots])


def _total(metrics: Snapshot, family: Family) -> int:
    return round(sum(numbers(metrics, family).values()))


def _by_label(metrics: Snapshot, family: Family) -> dict[str, int]:
    """The series of a counter with one label that are not 0, by its value."""
    return {labels[0]: round(count) for labels, count in numbers(metrics, family).items() if count}
