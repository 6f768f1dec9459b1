"""A consumer over time: rates, latencies, lag and swaps, from what its workers say once a second."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from consumer.operations import measures
from consumer.operations.telemetry import Telemetry, WorkerSnapshot
from consumer.settings import ConsumerSettings
from consumer.web.history import KEPT_SECONDS, Watch
from consumer.web.state import Proof, Swap
from shared.metrics import Metrics
from shared.settings import load
from tests.support.pages import sample_state

NOW = 1_772_366_400.0


def settings(*arguments: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", "models/threshold", *arguments], "python -m consumer")


@dataclass
class Worker:
    """What a worker says of itself, set by the test."""

    number: int = 0
    at: float = 0.0
    pid: int = 100
    unready: list[str] = field(default_factory=list)
    metrics: Metrics = field(default_factory=lambda: Metrics(measures.FAMILIES))

    def commits(self, events: int, *, rejected: int = 0, age: float = 0.02, partition: int = 0) -> None:
        metrics = self.metrics
        metrics.add(measures.READ, events, str(partition))
        metrics.add(measures.SCORED, events - rejected, str(partition))
        metrics.add(measures.REJECTED, rejected, "not_json")
        for _ in range(events):
            metrics.observe(measures.EVENT_AGE, age)

    def uses(self, version: str, role: str = "champion") -> None:
        self.metrics.replace(measures.MODEL, {(role, "churn", version, "xgboost", f"sha{version}"): 1.0})

    def __call__(self) -> WorkerSnapshot:
        return {
            "worker": self.number,
            "pid": self.pid,
            "started": NOW - 10,
            "at": self.at,
            "unready": self.unready,
            "tripped": None,
            "metrics": self.metrics.snapshot(),
            "latest": None,
        }


class Consumer:
    """A watch over workers, on clocks of the test's; unless told, the workers report with each tick."""

    def __init__(self, *arguments: str, workers: int = 1) -> None:
        self.now = 0.0
        self.workers = [Worker(number) for number in range(workers)]
        self.watch = Watch(settings(*arguments), lambda: [worker() for worker in self.workers])

    def tick(self, seconds: float = 1.0, *, reports: Sequence[int] | None = None) -> None:
        self.now += seconds
        for worker in self.workers:
            if reports is None or worker.number in reports:
                worker.at = self.now
        self.watch.tick(NOW + self.now, self.now)


def test_each_second_has_its_rate_its_rejections_and_its_latencies() -> None:
    consumer = Consumer()
    worker = consumer.workers[0]
    consumer.tick()
    worker.commits(100, rejected=5, age=0.02)
    consumer.tick()
    consumer.tick()
    worker.commits(10, age=0.3)
    consumer.tick()
    history = consumer.watch.history()
    assert history.at == [NOW + 1, NOW + 2, NOW + 3, NOW + 4]
    assert history.events == [None, 100, 0, 10]
    assert history.rejected == [None, 5, 0, 0]
    # Spread evenly in the buckets from 10 to 25 ms, and from 250 to 500 ms.
    assert history.p50 == [None, 0.0175, None, 0.375]
    assert history.p99 == [None, 0.02485, None, 0.4975]
    second = consumer.watch.state().second
    assert second is not None
    assert second.model_dump() == {name: column[-1] for name, column in history.model_dump().items()}


def test_a_tick_that_comes_late_tells_the_rate_of_the_time_that_passed() -> None:
    consumer = Consumer()
    consumer.tick()
    consumer.workers[0].commits(90)
    consumer.tick(3.0)
    assert consumer.watch.history().events == [None, 30]
    assert consumer.watch.state().rate == 30


def test_the_rate_of_now_is_that_of_the_last_five_seconds() -> None:
    consumer = Consumer()
    consumer.tick()
    assert consumer.watch.state().rate is None
    for events in (1_000, 1_000, 50, 50, 50, 50, 50):
        consumer.workers[0].commits(events)
        consumer.tick()
    assert consumer.watch.state().rate == 50
    for _ in range(5):
        consumer.tick()
    assert consumer.watch.state().rate == 0


def test_workers_that_report_when_they_come_to_it_add_up_to_a_steady_rate() -> None:
    consumer = Consumer(workers=2)
    for worker in consumer.workers:
        worker.at = -1.0
    consumer.tick()
    rates = []
    for reports in ([0, 1], [0], [0, 1], [0, 1], [1], [0, 1]):
        for worker in consumer.workers:
            if worker.number in reports:
                passed = consumer.now + 1.0 - worker.at
                worker.commits(round(100 * passed))
        consumer.tick(reports=reports)
        rates.append(consumer.watch.history().events[-1])
    assert rates == [200] * 6


def test_of_a_worker_that_falls_silent_nothing_is_known_any_more() -> None:
    consumer = Consumer()
    consumer.tick()
    consumer.workers[0].commits(100)
    consumer.tick()
    for _ in range(4):
        consumer.tick(reports=[])
    assert consumer.watch.history().events == [None, 100, 100, 100, None, None]
    assert consumer.watch.state().rate is None
    consumer.workers[0].commits(300)
    consumer.tick()
    assert consumer.watch.history().events[-1] == 60


def test_a_worker_that_was_heard_once_has_no_rate_yet() -> None:
    consumer = Consumer()
    consumer.tick()
    consumer.tick(reports=[])
    assert consumer.watch.history().events == [None, None]


def test_a_counter_that_falls_never_shows_as_a_negative_rate() -> None:
    consumer = Consumer()
    consumer.workers[0].commits(1_000, rejected=100)
    consumer.tick()
    consumer.workers[0].metrics = Metrics(measures.FAMILIES)
    consumer.workers[0].commits(3, age=1.5)
    consumer.tick()
    history, state = consumer.watch.history(), consumer.watch.state()
    assert (history.events[-1], history.rejected[-1], state.rate) == (0, 0, 0)
    assert sum(state.latency.counts) == 3


def test_the_latencies_are_those_of_the_last_minute() -> None:
    consumer = Consumer()
    consumer.tick()
    consumer.workers[0].commits(1_000, age=3.0)
    for _ in range(30):
        consumer.tick()
    consumer.workers[0].commits(10, age=0.02)
    consumer.tick()
    latency = consumer.watch.state().latency
    assert (latency.seconds, sum(latency.counts)) == (31, 1_010)
    assert latency.counts[latency.bounds.index(5.0)] == 1_000
    assert latency.p50 == pytest.approx(3.7375, abs=0.01)
    for _ in range(40):
        consumer.tick()
    latency = consumer.watch.state().latency
    assert (latency.seconds, sum(latency.counts), latency.p50) == (60, 10, 0.0175)


def test_ten_minutes_are_kept() -> None:
    consumer = Consumer()
    for _ in range(KEPT_SECONDS + 5):
        consumer.tick()
    history = consumer.watch.history()
    assert (history.at[0], history.at[-1]) == (NOW + 6, NOW + KEPT_SECONDS + 5)
    assert {len(column) for column in history.model_dump().values()} == {KEPT_SECONDS}


def test_the_lag_is_known_when_that_of_each_assigned_partition_is() -> None:
    consumer = Consumer(workers=2)
    zero, one = (worker.metrics for worker in consumer.workers)
    consumer.tick()
    zero.set(measures.ASSIGNED, 2, "0")
    one.set(measures.ASSIGNED, 1, "1")
    zero.replace(measures.LAG, {("0",): 5, ("1",): 0})
    consumer.tick()
    one.replace(measures.LAG, {("2",): 7})
    consumer.tick()
    assert consumer.watch.history().lag == [None, None, 12]
    assert consumer.watch.state().lag == 12


def test_a_model_that_takes_over_is_a_swap_and_one_that_is_refused_by_all_workers_is_told_once() -> None:
    consumer = Consumer(workers=2)
    zero, one = consumer.workers
    consumer.tick()
    zero.uses("1")
    one.uses("1")
    consumer.tick()
    zero.uses("2")
    consumer.tick()
    one.uses("2")
    consumer.tick()
    for worker in (zero, one):
        worker.metrics.add(measures.SWAPS, 1, "refused")
        consumer.tick()
    zero.uses("1")
    one.uses("1")
    consumer.tick()

    def swap(tick: int, what: str, version: str | None) -> Swap:
        known: dict[str, str | None] = {"role": None, "model": None, "sha256": None}
        if version is not None:
            known = {"role": "champion", "model": f"churn@{version}", "sha256": f"sha{version}"}
        return Swap.model_validate({"at": NOW + tick, "what": what} | known)

    assert consumer.watch.state().swaps == [
        swap(7, "swapped", "1"),
        swap(5, "refused", None),
        swap(3, "swapped", "2"),
        swap(2, "started", "1"),
    ]


def test_a_swap_that_is_taken_back_before_all_workers_have_made_it_is_told() -> None:
    consumer = Consumer(workers=2)
    for version, of in (("1", consumer.workers), ("2", consumer.workers[:1]), ("1", consumer.workers[:1])):
        for worker in of:
            worker.uses(version)
        consumer.tick()
    told = [(swap.what, swap.model) for swap in consumer.watch.state().swaps]
    assert told == [("swapped", "churn@1"), ("swapped", "churn@2"), ("started", "churn@1")]


def test_a_worker_that_is_started_again_with_the_same_model_swaps_nothing() -> None:
    consumer = Consumer(workers=2)
    for worker in consumer.workers:
        worker.uses("1")
    consumer.tick()
    consumer.workers[0].uses("2")
    consumer.tick()
    for ended in (consumer.workers[:1], consumer.workers):
        for worker in ended:
            worker.metrics.replace(measures.MODEL, {})
        consumer.tick()
    for worker in consumer.workers:
        worker.uses("2")
        consumer.tick()
    assert [swap.what for swap in consumer.watch.state().swaps] == ["swapped", "started"]


def test_the_last_twenty_swaps_are_kept() -> None:
    consumer = Consumer()
    for version in range(30):
        consumer.workers[0].uses(str(version))
        consumer.tick()
    swaps = consumer.watch.state().swaps
    assert [swap.model for swap in swaps] == [f"churn@{version}" for version in range(29, 9, -1)]


def test_a_state_names_the_run_and_what_it_was_told() -> None:
    told = ["--group", "g", "--shadow", "models/threshold", "--mask-customers", "--page", "figures"]
    one, other = (Watch(settings(*told), list).state().about for _ in range(2))
    assert one.run != other.run
    named = (one.group, one.shadow_topic, one.guarantee, one.masked, one.shows, one.send_form)
    assert named == ("g", "shadow-predictions", "exactly-once", True, "figures", False)


def test_events_proof_shadow_and_sentinel_are_there_when_they_are_asked_for() -> None:
    def found(*arguments: str) -> list[bool]:
        state = Consumer(*arguments).watch.state()
        return [part is not None for part in (state.latest, state.shadow, state.sentinel)]

    assert found() == [True, False, False]
    assert found("--page", "figures", "--sentinel", "0.1") == [False, False, True]
    assert found("--http-host", "::", "--shadow", "models/threshold") == [False, True, False]

    class Folder:
        def latest(self) -> Proof | None:
            return sample_state("watched").proof

    state = Watch(settings(), list, Folder()).state()
    assert state.proof == sample_state("watched").proof


def test_without_a_sample_a_state_is_taken_at_once_and_a_history_is_empty() -> None:
    consumer = Consumer()
    assert consumer.watch.history().at == []
    consumer.workers[0].commits(7, rejected=2)
    assert consumer.watch.state().ledger.read == 7
    consumer.workers[0].commits(7)
    assert consumer.watch.state().ledger.read == 7, "a state is that of the last sample"


def test_others_look_while_samples_are_taken() -> None:
    telemetry = Telemetry()
    watch = Watch(settings(), lambda: [telemetry.snapshot()])
    done, seen = threading.Event(), []

    def look() -> None:
        while not done.is_set():
            history = watch.history()
            seen.append({len(column) for column in history.model_dump().values()})
            watch.state().model_dump_json()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        for _ in range(50):
            watch.tick()
    finally:
        done.set()
    thread.join()
    assert {len(lengths) for lengths in seen} == {1}
