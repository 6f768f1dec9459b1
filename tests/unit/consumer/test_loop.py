"""The loop: what it does with a rebalance, a limit, a stop, a broker in trouble."""

from collections.abc import Sequence

import pytest

from consumer.budget import Budget
from consumer.loop import Limits, Loop
from consumer.scoring import StreamScorer
from consumer.transaction import ExactlyOnceOutput
from shared.errors import BrokerUnreachableError
from shared.kafka.columns import RecordColumns
from shared.kafka.errors import BrokerTroubleError, TransactionAbortedError
from shared.predict import Predictor
from shared.stop import Stop
from tests.support.memory import MemoryKafka, lesson_columns

EVENT = b'{"customer_id":1,"feature":0.7}'


def run(kafka: MemoryKafka, limits: Limits | None = None) -> Loop:
    """Runs a loop over an in-memory Kafka until its polls are used up."""
    stop = Stop(1)
    kafka.on_exhausted = stop.request
    scorer = StreamScorer(Predictor.load("models/threshold"), "predictions", "dead-letters", kafka)
    output = ExactlyOnceOutput(kafka, kafka, 5)
    loop = Loop(kafka, scorer, output, Budget(1_000, 1), stop, limits or Limits())
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
    kafka = MemoryKafka([events, events], failures=failures)
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
    assert loop.ledger.read == 1


def test_a_silent_broker_is_told_of_while_nothing_comes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("consumer.loop._REPORT_SECONDS", 0)
    run(MemoryKafka([[], []], failures={"caught_up": [BrokerTroubleError("no answer")]}))
    said = [record.getMessage() for record in caplog.records]
    assert said == ["No answer from the broker for 0 s; waiting"]


def test_a_stopped_loop_polls_no_more() -> None:
    kafka = MemoryKafka([[lesson_columns(0, 0, EVENT)]])
    stop = Stop(1)
    stop.request()
    scorer = StreamScorer(Predictor.load("models/threshold"), "predictions", "dead-letters", kafka)
    loop = Loop(kafka, scorer, ExactlyOnceOutput(kafka, kafka, 5), Budget(10, 1), stop, Limits())
    loop.run()
    assert kafka.calls == []
