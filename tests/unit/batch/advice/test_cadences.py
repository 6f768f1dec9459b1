"""What a cadence would have done is counted as the definitions say, in bulk and by hand alike."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.advice import cadences
from batch.advice.cadences import History, Observed, changes_since, observe
from batch.advice.runs import Daily, Every, Runs

MINUTE = 60_000
HOUR = 60 * MINUTE

Event = tuple[int, bool]


def history_of(customers: list[list[Event]]) -> History:
    """The events of some customers, each customer's in the order in which they came."""
    ordered = [sorted(events, key=lambda event: event[0]) for events in customers if events]
    starts = np.cumsum([0, *(len(events) for events in ordered)])[:-1]
    flat = [event for events in ordered for event in events]
    times, decisions = ([event[place] for event in flat] for place in (0, 1))
    return History(starts.astype(np.int64), np.array(times, np.int64), np.array(decisions, np.bool_))


def at(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * HOUR + int(minutes) * MINUTE


def test_the_example_of_the_definitions() -> None:
    events = [(at("9:30"), True), (at("10:30"), False), (at("11:00"), False), (at("11:30"), True)]
    found = observe(history_of([events]), Every(HOUR), MINUTE, at("10:01"))
    assert (found.uses, found.without, found.stale, found.missed) == (3, 0, 3, 0)
    assert found.changed_customers == 1
    assert found.ages.tolist() == [30 * MINUTE, 60 * MINUTE, 30 * MINUTE]
    assert sorted(found.standing.tolist()) == [31 * MINUTE, 31 * MINUTE]


def test_a_change_that_is_over_before_the_next_run_is_missed() -> None:
    events = [(at("9:30"), True), (at("10:10"), False), (at("10:40"), True), (at("11:30"), True)]
    found = observe(history_of([events]), Every(HOUR), 0, 0)
    assert found.missed == 1
    assert found.standing.tolist() == [30 * MINUTE]
    assert found.stale == 1


def test_a_customer_whom_no_run_knows_yet_is_without_a_decision_and_not_stale() -> None:
    known = [(at("9:30"), True), (at("12:30"), True)]
    new = [(at("10:30"), True), (at("10:50"), False)]
    found = observe(history_of([known, new]), Every(HOUR), 0, 0)
    assert (found.uses, found.without, found.stale) == (3, 2, 0)


def test_uses_before_the_first_run_has_ended_do_not_count() -> None:
    events = [(at("9:30"), True), (at("9:40"), True), (at("10:00"), True), (at("10:05"), True)]
    found = observe(history_of([events]), Every(HOUR), 5 * MINUTE, 0)
    assert (found.uses, found.without) == (1, 0)


@dataclass
class Customer:
    """What is known of a customer in the simulation."""

    true: bool | None = None
    force: bool | None = None
    made: int = 0
    stale_since: int | None = None
    changed: bool = False
    # The last change, as when it was and which runs had begun by then.
    last_change: tuple[int, int] | None = None


class Simulation:
    """Goes through a history moment by moment; slow, and as the definitions read."""

    def __init__(self, runs: list[int], takes: int, since: int, ready: int) -> None:
        self.runs, self.takes, self.since, self.ready = runs, takes, since, ready
        self.uses = self.without = self.stale = self.missed = self.changed = self.changes = 0
        self.ages: list[int] = []
        self.standing: list[int] = []

    def customer(self, events: list[Event]) -> None:
        one = Customer()
        for moment in range(max(self.runs) + self.takes + 1):
            begun = [run for run in self.runs if run + self.takes == moment]
            for run in begun:
                known = [decision for when, decision in events if when < run]
                before = [when for when in self.runs if when < run]
                fresh = [when for when, _ in events if when < run and not any(when < b for b in before)]
                if known:
                    one.force = known[-1]
                    one.made = run if fresh else one.made
            self._look(one, moment)
            for when, decision in events:
                if when == moment:
                    self._use(one, moment, decision)
                    self._look(one, moment)
        self.changed += one.changed

    def _use(self, one: Customer, moment: int, own: bool) -> None:
        if one.true is not None and one.true != own:
            begun = sum(run <= moment for run in self.runs)
            if one.last_change is not None and one.last_change[1] == begun:
                self.missed += one.last_change[0] >= self.since
            one.last_change = (moment, begun)
            one.changed |= moment >= self.since
            self.changes += moment >= self.since
        one.true = own
        if moment < max(self.since, self.ready):
            return
        self.uses += 1
        if one.force is None:
            self.without += 1
            return
        self.stale += one.force != own
        self.ages.append(moment - one.made)

    def _look(self, one: Customer, moment: int) -> None:
        wrong = one.force is not None and one.force != one.true
        if wrong and one.stale_since is None:
            one.stale_since = moment
        if not wrong and one.stale_since is not None:
            if moment > one.stale_since >= self.since:
                self.standing.append(moment - one.stale_since)
            one.stale_since = None


def simulated(customers: list[list[Event]], period: int, takes: int, since: int) -> Simulation:
    ordered = [sorted(events, key=lambda event: event[0]) for events in customers if events]
    first = min(events[0][0] for events in ordered)
    last = max(events[-1][0] for events in ordered)
    runs = list(range(0, last + 2 * period + 1, period))
    found = Simulation(runs, takes, since, (first // period + 1) * period + takes)
    for events in ordered:
        found.customer(events)
    return found


def assert_alike(found: Observed, wanted: Simulation) -> None:
    assert (found.uses, found.without, found.stale) == (wanted.uses, wanted.without, wanted.stale)
    assert (found.missed, found.changed_customers) == (wanted.missed, wanted.changed)
    assert sorted(found.ages.tolist()) == sorted(wanted.ages)
    assert sorted(found.standing.tolist()) == sorted(wanted.standing)


events_of_one = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=10)
histories = st.lists(events_of_one, min_size=1, max_size=4).filter(any)


@settings(max_examples=300, deadline=None)
@given(histories, st.integers(1, 12), st.integers(0, 15), st.integers(0, 25), st.integers(1, 20))
def test_a_history_gives_what_a_simulation_of_every_moment_gives(
    customers: list[list[Event]], period: int, takes: int, since: int, block: int
) -> None:
    wanted = simulated(customers, period, takes, since)
    history = history_of(customers)
    assert_alike(observe(history, Every(period), takes, since), wanted)
    assert changes_since(history, since) == (wanted.changes, wanted.changed)
    # Cut into blocks of customers it is the same.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cadences.History.blocks, "__defaults__", (block,))
        assert_alike(observe(history, Every(period), takes, since), wanted)


def test_the_same_runs_listed_or_computed_give_the_same() -> None:
    rng = np.random.default_rng(7)
    customers = [
        [(int(when), bool(rng.random() < 0.5)) for when in rng.integers(0, 20 * 24 * HOUR, 9)]
        for _ in range(200)
    ]
    history = history_of(customers)
    listed = Daily(time(0, 0), ZoneInfo("UTC"), history.first, history.last)
    results = [observe(history, runs, 7 * MINUTE, 0) for runs in (listed, Every(24 * HOUR))]
    first, second = results
    assert (first.stale, first.without, first.missed) == (second.stale, second.without, second.missed)
    assert first.ages.tolist() == second.ages.tolist()
    assert first.standing.tolist() == second.standing.tolist()
    assert first.stale
    assert listed.count(history.first, history.last) == Every(24 * HOUR).count(history.first, history.last)


def moments(runs: Runs, first: datetime, days: int) -> list[str]:
    start = np.array([int(first.timestamp() * 1_000)], np.int64)
    numbers = runs.first_after(start) + np.arange(days)
    return [f"{datetime.fromtimestamp(ms / 1_000, UTC):%d %H:%M}" for ms in runs.begin(numbers).tolist()]


@pytest.mark.parametrize(
    ("day", "wanted"),
    [
        # Clocks go from 02:00 to 03:00 on 29 March: the run of that night is at 03:00 by the clock.
        (datetime(2026, 3, 28, tzinfo=UTC), ["28 01:30", "29 01:30", "30 00:30"]),
        # They go from 03:00 to 02:00 on 25 October, and pass 02:30 twice: the first time counts.
        (datetime(2026, 10, 24, tzinfo=UTC), ["24 00:30", "25 00:30", "26 01:30"]),
    ],
)
def test_nightly_runs_keep_to_the_clock_of_their_time_zone(day: datetime, wanted: list[str]) -> None:
    start = int(day.timestamp() * 1_000)
    runs = Daily(time(2, 30), ZoneInfo("Europe/Berlin"), start, start + 48 * HOUR)
    assert moments(runs, day, 3) == wanted
