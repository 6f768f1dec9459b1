"""The loop: what it does with a rebalance, a limit, a stop, a broker in trouble."""

from collections.abc import Sequence

import pytest

from consumer.budget import Budget
from consumer.loop import Limits, Loop
from consumer.scoring import StreamScorer
from consumer.transaction import ExactlyOnceOutput
from shared.errors import AnswerIsNo, BrokerUnreachableError
from shared.kafka.columns import RecordColumns
from shared.kafka.errors import BrokerTroubleError, TransactionAbortedError
from shared.ledger import Totals
from shared.predict import Predictor
from shared.stop import Stop
from tests.support.memory import MemoryKafka, Told, lesson_columns

EVENT = b'{"customer_id":1,"feature":0.7}'


def loop_over(
    kafka: MemoryKafka, stop: Stop, limits: Limits, told: Told, budget: Budget, predictor: Predictor
) -> Loop:
    scorer = StreamScorer(predictor, "predictions", "dead-letters", kafka)
    output = ExactlyOnceOutput(kafka, kafka, 5, told)
    return Loop(kafka, scorer, output, budget, stop, told, told, limits)


def run(
    kafka: MemoryKafka, limits: Limits | None = None, told: Told | None = None, budget: Budget | None = None
) -> Loop:
    """Runs a loop over an in-memory Kafka until its polls are used up."""
    stop = Stop(1)
    kafka.on_exhausted = stop.request
    predictor = Predictor.load("models/threshold")
    budget = budget or Budget(1_000, 1)
    loop = loop_over(kafka, stop, limits or Limits(), told or Told(), budget, predictor)
    loop.run()
    return loop


def test_everything_polled_is_published_and_entered() -> None:
    kafka = MemoryKafka([[lesson_columns(0, 0, EVENT, b"junk"), lesson_columns(1, 5, EVENT)]])
    loop = run(kafka)
    assert kafka.committed == {0: 2, 1: 6}
    assert (loop.ledger.read, loop.ledger.scored, loop.ledger.rejected) == (3, 2, 1)
    assert set(loop.ledger.accounts) == {"customers/0", "customers/1"}


def test_what_a_rebalance_leaves_in_hand_is_dropped_and_read_again() -> None:
    events = [lesson_columns(0, 0, EVENT)]
    kafka = MemoryKafka([events, events], rebalances={0})
    loop = run(kafka)
    assert kafka.calls[0] == "rewind"
    assert (loop.ledger.read, len(kafka.visible)) == (1, 1)


def test_a_batch_that_was_not_committed_is_not_in_the_ledger() -> None:
    events = [lesson_columns(0, 0, EVENT)]
    failures: dict[str, list[Exception]] = {"commit_transaction": [TransactionAbortedError("lost")]}
    # What the second poll gives is read while the first batch is on its way, and comes again, too.
    kafka = MemoryKafka([events, [], events], failures=failures)
    loop = run(kafka)
    assert (loop.ledger.read, len(kafka.visible)) == (1, 1)


def test_a_broker_in_trouble_is_waited_for() -> None:
    polls: list[Sequence[RecordColumns] | Exception] = [
        BrokerTroubleError("away"),
        [lesson_columns(0, 0, EVENT)],
        [lesson_columns(0, 0, EVENT)],
    ]
    assert run(MemoryKafka(polls)).ledger.read == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_run_ends_after_exactly_its_events(limit: int) -> None:
    batch = [lesson_columns(0, 0, EVENT, EVENT), lesson_columns(1, 5, EVENT, EVENT)]
    kafka = MemoryKafka([batch, [lesson_columns(0, 2, EVENT)]])
    loop = run(kafka, Limits(max_events=limit))
    assert loop.ledger.read == limit
    assert sum(len(records) for records in kafka.visible) == limit
    expected = {0: min(limit, 2)} | ({1: 5 + limit - 2} if limit > 2 else {})
    assert kafka.committed == expected


def test_a_run_ends_when_idle_but_not_before_partitions_are_assigned() -> None:
    empty: list[Sequence[RecordColumns] | Exception] = [[] for _ in range(5)]
    kafka = MemoryKafka([*empty, [lesson_columns(0, 0, EVENT)]], rebalances={2})
    loop = run(kafka, Limits(until_idle=1e-9))
    assert "rewind" in kafka.calls
    assert loop.ledger.read == 0


def test_a_run_is_not_idle_while_anything_is_left() -> None:
    nothing: list[Sequence[RecordColumns] | Exception] = [[], []]
    kafka = MemoryKafka([*nothing, [lesson_columns(0, 0, EVENT)]], rebalances={0}, left_until=3)
    assert run(kafka, Limits(until_idle=1e-9)).ledger.read == 1


def test_a_silent_broker_is_not_an_idle_topic() -> None:
    kafka = MemoryKafka(
        [[], [lesson_columns(0, 0, EVENT)]],
        rebalances={0},
        failures={"caught_up": [BrokerTroubleError("no answer")]},
    )
    with pytest.raises(BrokerUnreachableError, match="whether any is left is not known: no answer"):
        run(kafka, Limits(until_idle=1e-9))


def test_what_comes_after_a_failed_poll_is_read_again_from_what_is_committed() -> None:
    events = [lesson_columns(0, 0, EVENT)]
    kafka = MemoryKafka([BrokerTroubleError("away"), [], events, events])
    loop = run(kafka)
    assert kafka.calls[:2] == ["rewind", "group_metadata"]
    assert loop.ledger.read == 2


def test_how_far_it_is_is_told_now_and_then_without_a_question_to_the_broker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("consumer.report._SECONDS", 0)
    kafka = MemoryKafka(
        [[], [lesson_columns(0, 0, EVENT)], []], failures={"caught_up": [BrokerTroubleError("no answer")]}
    )
    with caplog.at_level("INFO", logger="consumer.report"):
        run(kafka)
    assert [record.getMessage() for record in caplog.records] == ["Scoring"]
    assert "caught_up" not in kafka.calls


def test_a_stopped_loop_polls_no_more() -> None:
    kafka = MemoryKafka([[lesson_columns(0, 0, EVENT)]])
    stop = Stop(1)
    stop.request()
    loop_over(kafka, stop, Limits(), Told(), Budget(10, 1), Predictor.load("models/threshold")).run()
    assert kafka.calls == []


def test_the_totals_of_a_partition_are_committed_with_it_and_go_on_after_a_restart() -> None:
    first = MemoryKafka([[lesson_columns(0, 5, EVENT, b"junk")]])
    run(first)
    assert Totals.from_metadata(first.marks[0].metadata) == Totals(since=5, read=2, scored=1, rejected=1)
    events = [lesson_columns(0, 7, EVENT)]
    second = MemoryKafka([[], events], rebalances={0}, marks=dict(first.marks))
    run(second)
    assert Totals.from_metadata(second.marks[0].metadata) == Totals(since=5, read=3, scored=2, rejected=1)


def test_an_undone_batch_and_what_was_read_behind_it_is_not_counted_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.loop._WORTH_SCORING", 1)
    first, behind = [lesson_columns(0, 0, EVENT, EVENT)], [lesson_columns(0, 2, EVENT)]
    failures: dict[str, list[Exception]] = {"commit_transaction": [TransactionAbortedError("lost")]}
    kafka, told = MemoryKafka([first, behind, first, behind], failures=failures), Told()
    run(kafka, told=told)
    assert (told.undone_events, sum(told.committed_events)) == ([2], 3)
    assert Totals.from_metadata(kafka.marks[0].metadata) == Totals(since=0, read=3, scored=3)
    assert [records.partition for records in kafka.visible] == [0, 0]


def test_a_slow_model_scores_a_poll_in_pieces_and_stays_in_its_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.loop._WORTH_SCORING", 2)
    monkeypatch.setattr("consumer.loop._MEMBERSHIP_SECONDS", 0)
    # Even one event takes longer than a batch may.
    told, budget = Told(), Budget(1_000, 1e-9)
    budget.scored(1, 1.0)
    nothing: list[Sequence[RecordColumns] | Exception] = [[] for _ in range(9)]
    kafka = MemoryKafka([[lesson_columns(0, 0, *[EVENT] * 5)], *nothing])
    run(kafka, told=told, budget=budget)
    assert told.committed_events == [1] * 5
    assert kafka.committed == {0: 5}
    assert "keep_membership" in kafka.calls


def test_a_run_is_not_idle_while_polled_events_wait_to_be_scored() -> None:
    """A slow model has the rest of a poll in hand when the last poll is long ago."""
    told, budget = Told(), Budget(1_000, 1e-9)
    budget.scored(1, 1.0)
    nothing: list[Sequence[RecordColumns] | Exception] = [[] for _ in range(99)]
    kafka = MemoryKafka([[], [lesson_columns(0, 0, *[EVENT] * 7)], *nothing], rebalances={0}, left_until=2)
    loop = run(kafka, Limits(until_idle=1e-9), told, budget)
    assert loop.ledger.read == 7


def test_what_was_in_hand_when_a_poll_failed_is_read_again_even_if_nothing_more_comes() -> None:
    told, budget = Told(), Budget(1_000, 1e-9)
    budget.scored(1, 1.0)
    events = [lesson_columns(0, 0, *[EVENT] * 5)]
    polls: list[Sequence[RecordColumns] | Exception] = [events, BrokerTroubleError("away"), [], [], []]
    kafka = MemoryKafka(polls)
    run(kafka, told=told, budget=budget)
    assert kafka.calls.count("rewind") == 1
    # Nothing of what was in hand is scored after the failure: it may be another member's by now.
    assert sum(told.committed_events) <= 1


def test_a_broker_that_does_not_tell_the_offsets_after_a_failed_poll_is_asked_again() -> None:
    polls: list[Sequence[RecordColumns] | Exception] = [BrokerTroubleError("away"), [], [], [], []]
    kafka = MemoryKafka(polls, failures={"rewind": [BrokerTroubleError("still away")]})
    run(kafka)
    assert kafka.calls.count("rewind") == 2


def test_a_refused_batch_is_not_published_and_ends_the_run() -> None:
    kafka = MemoryKafka([[lesson_columns(0, 0, EVENT)]])
    with pytest.raises(AnswerIsNo, match="too many"):
        run(kafka, told=Told(refuse=AnswerIsNo("too many")))
    assert (kafka.visible, kafka.committed) == ([], {})


def test_the_telemetry_hears_of_each_step_and_of_how_far_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.loop._POSITIONS_SECONDS", 0)
    kafka, told = MemoryKafka([[], [lesson_columns(0, 0, EVENT)], [], []], rebalances={0}), Told()
    run(kafka, told=told)
    assert {"poll", "score", "commit", "rewind"} <= set(told.steps)
    assert (told.partitions, told.reached) == ({0, 1}, {0: 1})


def test_a_partition_is_not_told_to_be_done_beyond_what_is_in_hand_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another one is, while the loop is busy: what a transaction leaves behind the last event is no lag."""
    monkeypatch.setattr("consumer.loop._POSITIONS_SECONDS", 0)
    kafka = MemoryKafka([[lesson_columns(0, number, EVENT)] for number in range(3)])
    told: list[dict[int, int]] = []
    monkeypatch.setattr(kafka, "positions", lambda: {0: len(told) + 1, 1: 7})
    heard = Told()
    monkeypatch.setattr(heard, "positions", lambda positions: told.append(dict(positions)))
    run(kafka, told=heard)
    assert told[:3] == [{1: 7}] * 3
