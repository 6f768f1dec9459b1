"""How long nothing was answered while events waited."""

from tests.chaos.harness.plan import Action, Step
from tests.chaos.harness.service import (
    NO_PAUSE,
    Answered,
    Pause,
    by_step,
    longest,
    pauses,
    pauses_of_partitions,
)


def test_a_quiet_topic_is_no_pause() -> None:
    answers = [Answered(0, 10.0, 10.5), Answered(0, 60.0, 60.25)]
    assert longest(pauses(answers)) == Pause(10.0, 10.5)


def test_a_pause_begins_with_the_last_answer_while_events_waited() -> None:
    answers = [Answered(0, 10.0, 10.5), Answered(0, 10.25, 20.0), Answered(0, 19.0, 20.0)]
    assert longest(pauses(answers)) == Pause(10.5, 20.0)


def test_an_event_that_is_overtaken_still_waits() -> None:
    answers = [Answered(0, 10.0, 30.0), Answered(1, 20.0, 21.0)]
    assert pauses(answers) == [Pause(10.0, 21.0), Pause(21.0, 30.0)]


def test_a_partition_stands_still_while_others_go_on() -> None:
    answers = [Answered(0, at, at + 0.5) for at in range(10)] + [Answered(1, 1.0, 9.0)]
    assert longest(pauses(answers)).seconds == 1.0
    assert longest(pauses_of_partitions(answers)) == Pause(1.0, 9.0, 1)


def test_without_answers_there_is_no_pause() -> None:
    assert longest(pauses([])) is NO_PAUSE


def test_a_pause_is_laid_to_the_last_step_before_it_began() -> None:
    kill, cut = Step(1.0, Action.KILL_WORKER), Step(5.0, Action.CUT_ALL)
    done = [(101.0, kill), (105.0, cut)]
    found = [Pause(100.9, 104.0), Pause(104.0, 104.5), Pause(106.0, 107.0), Pause(90.0, 91.0)]
    assert by_step(done, found) == {kill: Pause(100.9, 104.0), cut: Pause(106.0, 107.0)}
