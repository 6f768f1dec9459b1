"""The plan of trouble: a pure function of its seed."""

from tests.chaos.harness.plan import CALM, FIRST, Action, make_plan

SECONDS = 120.0
SESSION = 3.0


def test_a_seed_gives_the_same_plan_and_another_seed_another_one() -> None:
    plans = [make_plan(seed, SECONDS, workers=3, session=SESSION) for seed in (7, 7, 8)]
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]


def test_every_kind_of_trouble_comes_within_two_minutes_whatever_the_seed() -> None:
    for seed in range(200):
        steps = make_plan(seed, SECONDS, workers=3, session=SESSION)
        assert {step.action for step in steps} == set(Action) - {Action.KILL_BROKER}
        steps = make_plan(seed, SECONDS, workers=3, session=SESSION, kill_broker=True)
        assert {step.action for step in steps} == set(Action)


def test_trouble_begins_after_the_start_and_leaves_a_calm_at_the_end() -> None:
    for seed in range(50):
        times = [step.at for step in make_plan(seed, SECONDS, workers=3, session=SESSION)]
        assert times == sorted(times)
        assert times[0] >= FIRST
        assert times[-1] <= SECONDS - CALM


def test_a_stopped_worker_is_stopped_for_longer_than_its_session() -> None:
    for seed in range(50):
        for step in make_plan(seed, SECONDS, workers=3, session=SESSION):
            assert step.action is not Action.STOP_WORKER or step.seconds > SESSION


def test_only_workers_that_exist_are_troubled() -> None:
    of_a_worker = {Action.KILL_WORKER, Action.END_WORKER, Action.STOP_WORKER, Action.CUT_WORKER}
    numbers = {
        step.amount
        for seed in range(50)
        for step in make_plan(seed, SECONDS, workers=2, session=SESSION)
        if step.action in of_a_worker
    }
    assert numbers == {0, 1}
