"""What a worker says of itself: its counts, its lag, whether it is ready, and what its watchdog sees."""

import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field

import pytest

from consumer.operations import measures
from consumer.operations.measures import FAMILIES
from consumer.operations.telemetry import LATELY, Telemetry
from consumer.scoring import Scored, StreamScorer
from shared.kafka.columns import RecordColumns
from shared.metrics import exposition, numbers
from shared.predict import Predictor
from tests.support.memory import MemoryKafka, lesson_columns
from tests.support.promlint import problems

GOOD = b'{"customer_id":1,"feature":0.1}'


@dataclass
class Clock:
    """A monotonic clock that stands until it is moved."""

    now: float = 1_000.0
    stopping: bool = field(default=False)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def telemetry(clock: Clock) -> Telemetry:
    return Telemetry(7, lambda: clock.stopping, clock)


@pytest.fixture(scope="module")
def scorer() -> StreamScorer:
    return StreamScorer(Predictor.load("models/threshold"), "predictions", "dead-letters", MemoryKafka([]))


@pytest.fixture
def batch(scorer: StreamScorer) -> list[Scored]:
    """Three events of partition 0, two of them bad, and one of partition 1; their timestamps are of 1970."""
    return scorer.score([lesson_columns(0, 10, GOOD, b"junk", None), lesson_columns(1, 5, GOOD)], now=1)


def page(telemetry: Telemetry) -> str:
    return exposition(FAMILIES, telemetry.snapshot()["metrics"])[0].decode()


def value(telemetry: Telemetry, series: str) -> float | None:
    """The value of a series, None where it is absent."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", page(telemetry), re.MULTILINE)
    return None if found is None else float(found[1])


def make_ready(telemetry: Telemetry) -> None:
    telemetry.assigned({0, 1})
    telemetry.positions({0: 10, 1: 5})
    telemetry.ends({0: 10, 1: 5, 2: 99})


def test_a_committed_batch_is_counted_by_partition_reason_and_outcome(
    telemetry: Telemetry, clock: Clock, batch: list[Scored]
) -> None:
    telemetry.committed(batch, polled_at=clock.now - 0.2)
    told = {
        'tandem_events_read_total{partition="0"}': 3,
        'tandem_events_read_total{partition="1"}': 1,
        'tandem_events_scored_total{partition="0"}': 1,
        'tandem_events_scored_total{partition="1"}': 1,
        'tandem_events_rejected_total{reason="not_json"}': 1,
        'tandem_events_rejected_total{reason="tombstone"}': 1,
        'tandem_events_rejected_total{reason="truncated"}': 0,
        'tandem_transactions_total{outcome="committed"}': 1,
        'tandem_transactions_total{outcome="aborted"}': 0,
        'tandem_batch_events_bucket{le="1.0"}': 0,
        'tandem_batch_events_bucket{le="10.0"}': 1,
        'tandem_batch_duration_seconds_bucket{le="0.1"}': 0,
        'tandem_batch_duration_seconds_bucket{le="0.25"}': 1,
        "tandem_event_age_seconds_count": 4,
        'tandem_event_age_seconds_bucket{le="86400.0"}': 0,
    }
    assert {series: value(telemetry, series) for series in told} == told


def test_a_snapshot_is_of_one_moment_whatever_is_committed_meanwhile(
    telemetry: Telemetry, batch: list[Scored]
) -> None:
    telemetry.assigned({0, 1})
    done = threading.Event()

    def commit() -> None:
        for offset in range(1_000):
            batch[0].events.next_offset = offset
            telemetry.committed(batch, polled_at=0)
        done.set()

    usual = sys.getswitchinterval()
    # Threads that take turns as often as they can.
    sys.setswitchinterval(1e-6)
    try:
        committing = threading.Thread(target=commit)
        committing.start()
        seen = []
        while not done.is_set():
            seen.append(telemetry.snapshot()["metrics"])
        committing.join()
    finally:
        sys.setswitchinterval(usual)
    told = [
        [
            sum(numbers(metrics, family).values())
            for family in (measures.READ, measures.SCORED, measures.REJECTED)
        ]
        for metrics in seen
    ]
    assert [read for read, scored, rejected in told if read != scored + rejected] == []
    places = [numbers(metrics, measures.POSITION).get(("0",), -1) for metrics in seen]
    assert [read / 4 for read, _, _ in told] == [place + 1 for place in places]
    assert len({read for read, _, _ in told}) > 2, "nothing was committed between the looks"


@pytest.mark.parametrize(("ago", "counted"), [(30, 1), (-3_600, 1), (None, 0)])
def test_an_events_age_is_never_below_0_and_a_record_without_a_timestamp_has_none(
    telemetry: Telemetry, scorer: StreamScorer, ago: float | None, counted: int
) -> None:
    stamp = -1 if ago is None else int((time.time() - ago) * 1000)
    events = RecordColumns("customers", 0, [0], [stamp], [None], [GOOD], {}, 1)
    telemetry.committed(scorer.score([events], now=1), polled_at=0)
    assert value(telemetry, "tandem_event_age_seconds_count") == counted
    assert value(telemetry, "tandem_event_age_seconds_sum") == pytest.approx(max(0, ago or 0), abs=5)


def test_an_undone_batch_and_its_events_are_counted_from_0_on(telemetry: Telemetry) -> None:
    assert value(telemetry, "tandem_events_undone_total") == 0
    telemetry.undone(5)
    telemetry.undone(7)
    assert value(telemetry, 'tandem_transactions_total{outcome="aborted"}') == 2
    assert value(telemetry, "tandem_events_undone_total") == 12


def test_the_lag_is_that_of_assigned_partitions_and_never_below_0(
    telemetry: Telemetry, batch: list[Scored]
) -> None:
    make_ready(telemetry)
    telemetry.ends({0: 30, 1: 5, 2: 99})
    assert [value(telemetry, f'tandem_partition_lag{{partition="{p}"}}') for p in (0, 1, 2)] == [20, 0, None]
    telemetry.committed(batch, polled_at=0)
    assert [value(telemetry, f'tandem_partition_lag{{partition="{p}"}}') for p in (0, 1)] == [17, 0]
    assert value(telemetry, 'tandem_partition_position{partition="1"}') == 6
    telemetry.assigned({1})
    assert value(telemetry, 'tandem_partition_lag{partition="0"}') is None


def test_a_lag_is_absent_when_no_broker_has_told_the_ends_for_a_while(
    telemetry: Telemetry, clock: Clock
) -> None:
    make_ready(telemetry)
    clock.now += 29
    assert value(telemetry, 'tandem_partition_lag{partition="0"}') == 0
    assert value(telemetry, 'tandem_broker_answer_age_seconds{worker="7"}') == 29
    clock.now += 2
    assert value(telemetry, 'tandem_partition_lag{partition="0"}') is None
    assert value(telemetry, 'tandem_partition_position{partition="0"}') == 10


def test_a_worker_is_ready_when_it_reads_its_partitions_and_a_broker_answers(
    telemetry: Telemetry, clock: Clock
) -> None:
    def why() -> str:
        return "; ".join(telemetry.snapshot()["unready"])

    assert why() == "the group has not taken it in yet; no broker has answered yet"
    telemetry.ends({0: 1})
    telemetry.assigned({0})
    assert why() == "it has not read from its partitions yet"
    telemetry.positions({0: 0})
    assert (why(), value(telemetry, 'tandem_ready{worker="7"}')) == ("", 1)
    clock.now += LATELY + 1
    assert why() == f"no broker has answered for {LATELY + 1:.0f} s"
    assert value(telemetry, 'tandem_ready{worker="7"}') == 0
    telemetry.ends({0: 1})
    assert why() == ""
    telemetry.assigned({0})
    assert why() == "it has not read from its partitions yet"
    telemetry.committed([], polled_at=0)
    telemetry.trip("the step 'score' has taken 60 s")
    clock.stopping = True
    assert why() == "the step 'score' has taken 60 s; it is stopping"


def test_a_worker_without_a_partition_is_ready_to_take_one_over(telemetry: Telemetry) -> None:
    telemetry.ends({0: 1})
    telemetry.assigned(set())
    assert telemetry.snapshot()["unready"] == []


def test_the_watchdog_sees_what_is_behind_and_a_position_that_is_not_told_yet(
    telemetry: Telemetry, clock: Clock
) -> None:
    make_ready(telemetry)
    telemetry.ends({0: 30, 1: 5, 2: 99})
    assert telemetry.view().lagging == {0: (10, 30)}
    telemetry.assigned({0, 2})
    view = telemetry.view()
    assert (view.lagging, view.broker_answers, view.assignments) == ({0: (10, 30), 2: (None, 99)}, True, 2)
    clock.now += LATELY + 1
    assert not telemetry.view().broker_answers


def test_a_step_is_seen_while_it_is_taken_and_measured_when_it_ends(
    telemetry: Telemetry, clock: Clock
) -> None:
    with telemetry.step("score", {0: 10}):
        (step,) = telemetry.view().steps.values()
        assert (step.name, step.places, step.thread) == ("score", {0: 10}, threading.get_ident())
        clock.now += 0.3
    assert telemetry.view().steps == {}
    assert value(telemetry, 'tandem_step_duration_seconds_bucket{le="0.25",step="score"}') == 0
    assert value(telemetry, 'tandem_step_duration_seconds_bucket{le="0.5",step="score"}') == 1


def test_a_step_that_fails_is_over(telemetry: Telemetry) -> None:
    with pytest.raises(ValueError, match="model"), telemetry.step("score", {}):
        raise ValueError("model")
    assert telemetry.view().steps == {}


@pytest.mark.parametrize(
    ("seconds", "then", "beside", "empty"),
    [
        (0.2, "poll", False, 1),
        (0.2, "score", False, 0),  # it brought something
        (0.0, "poll", False, 0),  # it did not wait
        (0.2, "poll", True, 0),  # there was a commit to wait for
    ],
)
def test_a_poll_was_empty_when_it_waited_and_another_one_follows(
    telemetry: Telemetry, clock: Clock, seconds: float, then: str, beside: bool, empty: int
) -> None:
    commit = telemetry.step("commit", {})
    if beside:
        commit.__enter__()
    with telemetry.step("poll", {}):
        clock.now += seconds
    with telemetry.step(then, {}):
        pass
    assert telemetry.view().empty_polls == empty


def test_the_models_in_use_are_named_by_role(telemetry: Telemetry) -> None:
    model = Predictor.load("models/threshold").model
    telemetry.model(model)
    telemetry.model(model, "shadow")
    telemetry.model(model)
    labels = f'kind="threshold",name="threshold",role="{{}}",sha256="{model.short_sha256}",version="1"'
    for role in ("champion", "shadow"):
        assert value(telemetry, f"tandem_model_info{{{labels.format(role)}}}") == 1
    assert page(telemetry).count("tandem_model_info{") == 2


def test_the_page_stands_up_to_promtools_rules_and_the_snapshot_goes_through_json(
    telemetry: Telemetry, batch: list[Scored]
) -> None:
    make_ready(telemetry)
    telemetry.model(Predictor.load("models/threshold").model)
    telemetry.committed(batch, polled_at=0)
    telemetry.undone(1)
    with telemetry.step("poll", {}):
        pass
    assert problems(page(telemetry)) == []
    snapshot = telemetry.snapshot()
    sent = json.loads(json.dumps(snapshot))
    assert exposition(FAMILIES, sent["metrics"]) == exposition(FAMILIES, snapshot["metrics"])
    assert (sent["worker"], sent["tripped"], sent["unready"]) == (7, None, [])


def test_a_large_batch_costs_little_beside_its_scoring(telemetry: Telemetry, scorer: StreamScorer) -> None:
    """It takes below 1 % of a batch's time; the bound here leaves room for a busy machine."""
    batch = scorer.score([lesson_columns(0, 0, *[GOOD] * 25_000)], now=1)
    began = time.process_time()
    scorer.score([batch[0].events], now=1)
    scoring = time.process_time() - began
    began = time.process_time()
    telemetry.committed(batch, polled_at=0)
    assert time.process_time() - began < 0.1 * scoring
