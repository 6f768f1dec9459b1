"""What workers say of themselves, as the parts of a State."""

import json
import time

import pytest

from consumer.operations import measures
from consumer.operations.telemetry import Telemetry, WorkerSnapshot
from consumer.scoring import StreamScorer
from consumer.web.health import SILENT
from consumer.web.state import Ledger, ModelInUse, Partition, Sentinel, Shadow
from consumer.web.states import (
    lag_of,
    latest_of,
    ledger_of,
    models_of,
    partitions_of,
    sentinel_of,
    shadow_of,
    workers_of,
)
from consumer.workers.gathered import Gathered
from shared.metrics import Metrics, Snapshot, merge
from shared.predict import Predictor
from tests.support.memory import MemoryKafka, lesson_columns

GOOD = b'{"customer_id":1,"feature":0.1}'


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(measures.FAMILIES)


def merged(*telemetries: Telemetry) -> Snapshot:
    return merge(measures.FAMILIES, [telemetry.snapshot()["metrics"] for telemetry in telemetries])


def at_work(worker: int, partition: int) -> Telemetry:
    """A worker that has read 12 events of a partition, a tombstone among them, and is 3 behind."""
    telemetry = Telemetry(worker)
    scorer = StreamScorer(Predictor.load("models/threshold"), "p", "d", MemoryKafka([]))
    telemetry.assigned({partition})
    batch = scorer.score([lesson_columns(partition, 10 * partition, *[GOOD] * 11, None)], now=1)
    telemetry.committed(batch, polled_at=0)
    telemetry.ends({partition: 10 * partition + 15})
    telemetry.model(Predictor.load("models/threshold").model)
    return telemetry


def test_the_books_of_two_workers_are_added_up_and_balance() -> None:
    one, other = at_work(0, 1), at_work(1, 10)
    other.undone(4)
    assert ledger_of(merged(one, other)) == Ledger(
        read=24,
        scored=22,
        rejected=2,
        reasons={"tombstone": 2},
        balanced=True,
        undone=4,
        commits=2,
        aborts=1,
    )


def test_books_that_do_not_balance_are_said_not_to(metrics: Metrics) -> None:
    metrics.add(measures.READ, 3, "0")
    metrics.add(measures.SCORED, 2, "0")
    assert not ledger_of(metrics.snapshot()).balanced
    metrics.add(measures.REJECTED, 1, "not_json")
    assert ledger_of(metrics.snapshot()).balanced


def test_partitions_are_told_by_number_and_a_lag_that_is_not_known_is_none() -> None:
    one, other = at_work(0, 10), at_work(1, 2)
    waiting = Telemetry(2)
    waiting.assigned({3})
    waiting.positions({3: 7})
    assert partitions_of(merged(one, other, waiting)) == [
        Partition(partition=2, position=32, lag=3, read=12),
        Partition(partition=3, position=7, lag=None, read=0),
        Partition(partition=10, position=112, lag=3, read=12),
    ]


def test_the_lag_is_that_of_all_workers() -> None:
    snapshots = [telemetry.snapshot() for telemetry in (at_work(0, 1), at_work(1, 10))]
    assert lag_of(snapshots, snapshots[1]["at"]) == 6


def test_the_lag_is_not_known_while_a_worker_is_between_two_processes() -> None:
    gathered = Gathered([0, 1])
    assert lag_of(gathered(), time.monotonic()) is None
    for telemetry in (at_work(0, 0), at_work(1, 1)):
        gathered.put(last := telemetry.snapshot())
    assert lag_of(gathered(), last["at"]) == 6
    # What is written to its partitions from now on is read by nobody, and counted by nobody.
    gathered.ended(1, "its process ended with exit code -9")
    assert lag_of(gathered(), last["at"]) is None


def test_the_lag_is_not_known_while_a_worker_says_nothing() -> None:
    one, silent = at_work(0, 1).snapshot(), at_work(1, 10).snapshot()
    assert lag_of([one, {**silent, "at": one["at"] - 2}], one["at"]) == 6
    assert lag_of([one, {**silent, "at": one["at"] - 3}], one["at"]) is None


def test_the_models_in_use_are_told_the_champion_first() -> None:
    telemetry, model = Telemetry(), Predictor.load("models/threshold").model
    telemetry.model(model, "shadow")
    telemetry.model(model, "champion")
    named = {"name": "threshold", "version": "1", "kind": "threshold", "sha256": model.short_sha256}
    assert models_of(merged(telemetry, at_work(1, 0))) == [
        ModelInUse(role=role, **named) for role in ("champion", "shadow")
    ]


def test_a_worker_is_ready_as_the_health_page_says_it() -> None:
    ready: WorkerSnapshot = {**at_work(0, 1).snapshot(), "at": 100.0}
    [worker] = workers_of([ready], 100.25)
    assert (worker.ready, worker.why, worker.silent, worker.partitions) == (True, [], 0.2, 1)
    assert (worker.number, worker.pid, worker.started) == (0, ready["pid"], ready["started"])
    [silent] = workers_of([ready], 100 + SILENT + 1)
    assert (silent.ready, silent.why) == (False, ["it has said nothing for 6 s"])


def test_a_worker_whose_process_has_ended_has_none() -> None:
    gathered = Gathered([0, 1])
    gathered.put(at_work(1, 1).snapshot())
    gathered.ended(1, "its process ended with exit code 5")
    zero, one = workers_of(gathered(), 0)
    assert (zero.pid, zero.started, zero.why) == (None, None, ["it has not started yet"])
    assert (one.pid, one.started, one.why) == (None, None, ["its process ended with exit code 5"])
    assert (one.ready, one.partitions) == (False, 0)


def test_a_shadow_runs_unless_a_worker_has_switched_it_off(metrics: Metrics) -> None:
    found = shadow_of(metrics.snapshot())
    assert (found.running, found.agreement) == (True, None)
    metrics.set(measures.SHADOW_RUNNING, 1, "0")
    for outcome, events in (("agreed", 90), ("raised", 6), ("lowered", 4)):
        metrics.add(measures.SHADOW_DECISIONS, events, outcome)
    metrics.add(measures.SHADOW_REJECTED, 2, "wrong_type")
    metrics.add(measures.SHADOW_REJECTED, 1, "not_json")
    metrics.add(measures.SHADOW_ACCEPTED, 5)
    metrics.add(measures.SHADOW_FAILURES, 3)
    assert shadow_of(metrics.snapshot()) == Shadow(
        running=True,
        agreed=90,
        raised=6,
        lowered=4,
        rejected=3,
        accepted=5,
        failures=3,
        agreement=0.9,
    )
    metrics.set(measures.SHADOW_RUNNING, 0, "1")
    assert not shadow_of(metrics.snapshot()).running


def test_a_sentinel_tells_what_it_found_by_kind_and_all_that_it_left_out() -> None:
    telemetry = Telemetry()
    telemetry.sentinel_on()
    assert sentinel_of(merged(telemetry)) == Sentinel(events=0, disagreements={}, left_out=0)
    telemetry.sentinel_judged(10, {"bits": 2})
    telemetry.sentinel_left_out(3, "busy")
    telemetry.sentinel_left_out(4, "failed")
    assert sentinel_of(merged(telemetry)) == Sentinel(events=10, disagreements={"bits": 2}, left_out=7)


def test_a_snapshot_that_came_over_the_line_tells_the_same() -> None:
    telemetry = at_work(0, 1)
    said = telemetry.snapshot()
    heard: WorkerSnapshot = json.loads(json.dumps(said))
    assert ledger_of(heard["metrics"]) == ledger_of(said["metrics"])
    assert models_of(heard["metrics"]) == models_of(said["metrics"])
    assert workers_of([heard], said["at"]) == workers_of([said], said["at"])
    assert latest_of([heard]) == {"predictions": [], "letters": []}
