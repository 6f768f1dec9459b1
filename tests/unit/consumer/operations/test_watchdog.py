"""The watchdog: what it judges to be stuck, what it bears with, and how it ends a worker."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from consumer.operations.telemetry import Telemetry
from consumer.operations.view import Step, View
from consumer.operations.watchdog import Judge, Patience, Verdict, Watchdog
from consumer.settings import ConsumerSettings
from shared.settings import load
from shared.stop import Stop

STALL, COMMIT = 60.0, 35.0
QUIET = View({}, 0, 0, 1, 1, {}, broker_answers=True, stopping=False)


@dataclass
class Watched:
    """A judge on a clock of its own, which looks twice a second."""

    judge: Judge = field(default_factory=lambda: Judge(Patience(STALL, COMMIT)))
    now: float = 500.0

    def __post_init__(self) -> None:
        self.judge.look(self.now, QUIET)

    def watch(self, seconds: float, *views: View) -> Verdict | None:
        """Shows the views in turn, over and over, and gives the first verdict."""
        for look in range(int(seconds * 2)):
            self.now += 0.5
            if verdict := self.judge.look(self.now, views[look % len(views)]):
                return verdict
        return None


@pytest.fixture
def watched() -> Watched:
    return Watched()


def step(name: str, number: int = 1) -> View:
    return replace(QUIET, steps={number: Step(name, {3: 1200}, 77)}, begun=number)


def behind(positions: Mapping[int, int | None], end: int = 5000) -> View:
    return replace(QUIET, lagging={partition: (at, end) for partition, at in positions.items()})


def moving(view: View, count: int = 400) -> list[View]:
    """Views in each of which partition 1 is further on than before, as when it is read without a pause."""
    return [replace(view, lagging={**view.lagging, 1: (number, 90_000)}) for number in range(count)]


@pytest.mark.parametrize(
    ("name", "limit"),
    [("poll", STALL), ("score", STALL), ("commit", COMMIT), ("abort", COMMIT), ("rewind", COMMIT)],
)
def test_a_step_may_take_so_long_and_not_longer(watched: Watched, name: str, limit: float) -> None:
    assert watched.watch(limit, step(name)) is None
    verdict = watched.watch(2, step(name))
    assert verdict is not None
    assert verdict.message.startswith(f"the step {name!r} has taken {limit:.0f} s")
    assert (verdict.thread, verdict.details["offsets_by_partition"]) == (77, {3: 1200})


def test_steps_that_follow_one_another_are_each_timed_anew(watched: Watched) -> None:
    for number in range(1, 20):
        assert watched.watch(STALL - 1, step("score", number)) is None


def test_a_hanging_commit_is_seen_beside_polls_that_go_on(watched: Watched) -> None:
    commit = Step("commit", {0: 5}, 78)
    views = [
        replace(QUIET, steps={1: commit, n: Step("poll", {}, 77)}, begun=n, empty_polls=n)
        for n in range(2, 99)
    ]
    verdict = watched.watch(COMMIT + 2, *views)
    assert verdict is not None
    assert (verdict.details["step"], verdict.thread) == ("commit", 78)


def test_a_poll_that_waits_for_an_absent_broker_is_borne(watched: Watched) -> None:
    away = replace(step("poll"), broker_answers=False)
    assert watched.watch(10 * STALL, away) is None
    assert watched.watch(STALL - 1, step("poll")) is None
    assert watched.watch(2, step("poll")) is not None


def test_scoring_has_its_limit_whether_or_not_the_broker_answers(watched: Watched) -> None:
    assert watched.watch(STALL + 2, replace(step("score"), broker_answers=False)) is not None


def test_a_loop_that_begins_no_step_is_stuck_between_two(watched: Watched) -> None:
    between = replace(QUIET, begun=5)
    assert watched.watch(STALL, between) is None
    verdict = watched.watch(2, between)
    assert verdict is not None
    assert verdict.message.startswith("the loop has not begun a step for")


@pytest.mark.parametrize(
    "view",
    [QUIET, replace(QUIET, begun=5, stopping=True), replace(QUIET, begun=5, broker_answers=False)],
    ids=["not begun", "stopping", "broker away"],
)
def test_a_loop_that_has_a_reason_to_begin_no_step_is_borne(watched: Watched, view: View) -> None:
    assert watched.watch(5 * STALL, view) is None


def test_a_partition_that_stands_while_nothing_else_moves_is_stuck(watched: Watched) -> None:
    assert watched.watch(STALL, behind({3: 1200, 4: 7})) is None
    verdict = watched.watch(2, behind({3: 1200, 4: 7}))
    assert verdict is not None
    assert verdict.message == "partition 3 has stood at offset 1200 for 60 s, and ends at 5000"
    assert verdict.details == {"partition": 3, "position": 1200, "end": 5000}


def test_a_partition_whose_position_was_never_told_is_stuck_too(watched: Watched) -> None:
    verdict = watched.watch(STALL + 2, behind({3: None}))
    assert verdict is not None
    assert verdict.message.startswith("partition 3 has stood at its committed offset")


def test_partitions_that_advance_or_have_nothing_to_read_are_fine(watched: Watched) -> None:
    for position in range(100):
        assert watched.watch(STALL - 1, behind({3: position})) is None
    assert watched.watch(5 * STALL, behind({})) is None


def test_a_partition_that_stands_while_polls_come_back_empty_is_stuck_though_others_move(
    watched: Watched,
) -> None:
    views = [replace(view, empty_polls=n) for n, view in enumerate(moving(behind({3: 1200})))]
    assert watched.watch(STALL, *views) is None
    verdict = watched.watch(2, *views[120:])
    assert verdict is not None
    assert verdict.details["partition"] == 3


def test_a_partition_may_wait_its_turn_behind_a_backlog_but_not_for_ever(watched: Watched) -> None:
    """A slow model may work for minutes on what one partition's fetch has brought."""
    views = moving(behind({3: 1200}))
    assert watched.watch(9 * STALL, *views) is None
    assert watched.watch(2 * STALL, *views) is not None


@pytest.mark.parametrize(
    "between",
    [
        replace(behind({3: 1200}), broker_answers=False),
        replace(behind({3: 1200}), assignments=2),
        replace(behind({3: 1200}), stopping=True),
    ],
    ids=["broker away", "assigned anew", "stopping"],
)
def test_what_stands_for_a_reason_is_given_its_time_anew(watched: Watched, between: View) -> None:
    after = replace(behind({3: 1200}), assignments=between.assignments)
    assert watched.watch(STALL - 1, behind({3: 1200})) is None
    assert watched.watch(1, between) is None
    assert watched.watch(STALL - 1, after) is None
    assert watched.watch(2, after) is not None


def test_time_in_which_the_process_itself_stood_still_is_not_held_against_it(watched: Watched) -> None:
    view = replace(step("score"), lagging={3: (1200, 5000)})
    assert watched.watch(10, view) is None
    watched.now += 10 * STALL  # SIGSTOP, and SIGCONT
    assert watched.watch(STALL - 15, view) is None


def test_the_patience_with_a_commit_is_longer_than_its_own_deadline() -> None:
    options = ["--model", "m", "--commit-timeout", "20", "--broker-timeout", "10", "--stall-timeout", "9"]
    patience = Patience.of(load(ConsumerSettings, options, "python -m consumer"))
    assert patience.with_step("commit") > 20
    assert patience.with_step("rewind") > 20 + 10
    assert patience.with_step("poll") == 9


@dataclass
class Hanging:
    """A loop that hangs in a step until it is let go."""

    telemetry: Telemetry
    go: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with self.telemetry.step("score", {3: 1200}):
            self.go.wait(30)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    loop = Hanging(Telemetry())
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield loop
    loop.go.set()
    thread.join()


def test_a_hanging_step_is_named_with_its_stack_the_loop_asked_to_stop_and_then_ended(
    hanging: Hanging, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.operations.watchdog._PERIOD", 0.02)
    monkeypatch.setattr("consumer.operations.watchdog._GRACE", 0.1)
    stop, ended = Stop(), threading.Event()
    watchdog = Watchdog(Patience(0.1, 0.1), hanging.telemetry, stop, end=ended.set)
    with caplog.at_level(logging.ERROR):
        watchdog.start()
        watchdog.join(10)
    (record,) = caplog.records
    assert record.getMessage().startswith("Stalled: the step 'score' has taken 0 s")
    said = vars(record)
    assert (said["step"], said["offsets_by_partition"]) == ("score", {3: 1200})
    assert "self.go.wait(30)" in said["stack"]
    assert stop.requested
    snapshot = hanging.telemetry.snapshot()
    assert snapshot["tripped"] == watchdog.verdict.message if watchdog.verdict else False
    assert snapshot["unready"][0] == snapshot["tripped"]
    assert ended.wait(10)
    json.dumps(said["stack"])


def test_a_watch_that_is_over_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.operations.watchdog._PERIOD", 0.01)
    stop, telemetry, looked = Stop(), Telemetry(), threading.Event()

    def view() -> View:
        looked.set()
        return QUIET

    monkeypatch.setattr(telemetry, "view", view)
    watchdog = Watchdog(Patience(0.1, 0.1), telemetry, stop, end=lambda: None)
    watchdog.start()
    assert looked.wait(10)
    watchdog.end()
    assert not watchdog.is_alive()
    assert watchdog.verdict is None
    assert not stop.requested
