"""Publishing and committing under each guarantee, with every step failing once."""

import threading

import pytest

from consumer.scoring import Scored, StreamScorer
from consumer.transaction import AtLeastOnceOutput, ExactlyOnceOutput, Output
from shared.errors import FencedError, StalledError
from shared.kafka.columns import Mark
from shared.kafka.errors import BrokerTroubleError, StaleGroupError, TransactionAbortedError
from shared.predict import Predictor
from tests.support.memory import MemoryKafka, Told, lesson_columns

MARKS = {("customers", 0): Mark(11, "zero"), ("customers", 1): Mark(22, "one")}
KINDS: list[type[Output]] = [ExactlyOnceOutput, AtLeastOnceOutput]


def publish(output: Output, batch: list[Scored]) -> bool:
    """As the loop does: a batch that is undone is read again."""
    output.start(batch, MARKS)
    if output.finish():
        return True
    output.rewind()
    return False


@pytest.fixture
def batch() -> list[Scored]:
    """Two partitions' events, one of them with a dead letter."""
    scorer = StreamScorer(Predictor.load("models/threshold"), "predictions", "dead-letters", MemoryKafka([]))
    good = lesson_columns(0, 10, b'{"customer_id":1,"feature":0.1}')
    mixed = lesson_columns(1, 20, b'{"customer_id":2,"feature":0.9}', b"junk")
    return scorer.score([good, mixed], now=1)


def test_exactly_once_commits_predictions_dead_letters_and_offsets_together(batch: list[Scored]) -> None:
    kafka = MemoryKafka([])
    assert publish(ExactlyOnceOutput(kafka, kafka, 5, Told()), batch)
    assert [(records.topic, records.partition) for records in kafka.visible] == [
        ("predictions", 0),
        ("predictions", 1),
        ("dead-letters", 1),
    ]
    assert kafka.committed == {0: 11, 1: 22}
    assert kafka.calls == [
        "group_metadata",
        "begin",
        "write",
        "send_offsets",
        "commit_transaction",
    ]
    assert kafka.marks == {0: Mark(11, "zero"), 1: Mark(22, "one")}


@pytest.mark.parametrize("step", ["begin", "write", "send_offsets", "commit_transaction"])
@pytest.mark.parametrize("error", [StaleGroupError, TransactionAbortedError, BrokerTroubleError])
def test_a_lost_transaction_leaves_nothing_visible_and_rewinds(
    batch: list[Scored], step: str, error: type[Exception]
) -> None:
    kafka = MemoryKafka([], failures={step: [error("lost")]})
    output = ExactlyOnceOutput(kafka, kafka, 5, Told())
    assert not publish(output, batch)
    assert (kafka.visible, kafka.committed) == ([], {})
    assert kafka.calls[kafka.calls.index(step) + 1 :] == ["abort_transaction", "rewind"]
    assert publish(output, batch)
    assert kafka.committed == {0: 11, 1: 22}
    assert len(kafka.visible) == 3


def test_a_stale_member_opens_no_transaction(batch: list[Scored]) -> None:
    kafka = MemoryKafka([], failures={"group_metadata": [StaleGroupError("gone")]})
    assert not publish(ExactlyOnceOutput(kafka, kafka, 5, Told()), batch)
    assert kafka.calls == ["group_metadata", "rewind"]


@pytest.mark.parametrize("step", ["begin", "write", "send_offsets", "commit_transaction"])
def test_a_fenced_instance_ends_without_touching_anything_more(batch: list[Scored], step: str) -> None:
    kafka = MemoryKafka([], failures={step: [FencedError("another took over")]})
    with pytest.raises(FencedError):
        publish(ExactlyOnceOutput(kafka, kafka, 5, Told()), batch)
    assert kafka.calls[-1] == step
    assert (kafka.visible, kafka.committed) == ([], {})


def test_at_least_once_commits_offsets_after_the_acknowledgements(batch: list[Scored]) -> None:
    kafka = MemoryKafka([])
    assert publish(AtLeastOnceOutput(kafka, kafka, 5, Told()), batch)
    assert kafka.calls == ["write", "flush", "commit"]
    assert kafka.committed == {0: 11, 1: 22}


@pytest.mark.parametrize("step", ["write", "flush", "commit"])
def test_at_least_once_repeats_a_batch_whose_step_failed(batch: list[Scored], step: str) -> None:
    kafka = MemoryKafka([], failures={step: [BrokerTroubleError("no answer")]})
    output = AtLeastOnceOutput(kafka, kafka, 5, Told())
    assert not publish(output, batch)
    assert kafka.calls[-1] == "rewind"
    assert kafka.committed == {}
    assert publish(output, batch)
    assert kafka.committed == {0: 11, 1: 22}


def test_a_rewind_is_tried_until_the_broker_answers() -> None:
    kafka = MemoryKafka([], failures={"rewind": [BrokerTroubleError("not yet")]})
    AtLeastOnceOutput(kafka, kafka, 5, Told()).rewind()
    assert kafka.calls == ["rewind", "rewind"]


def test_a_rewind_without_an_answer_counts_as_stalled() -> None:
    kafka = MemoryKafka([], failures={"rewind": [BrokerTroubleError("not yet")] * 3})
    with pytest.raises(StalledError, match="cannot be read for"):
        AtLeastOnceOutput(kafka, kafka, 0.01, Told()).rewind()


def test_while_batches_follow_closely_the_next_transaction_is_opened_ahead_and_used(
    batch: list[Scored],
) -> None:
    kafka = MemoryKafka([])
    output = ExactlyOnceOutput(kafka, kafka, 5, Told())
    for _ in range(2):
        assert publish(output, batch)
    kafka.calls.clear()
    assert publish(output, batch)
    assert kafka.calls == ["group_metadata", "write", "send_offsets", "commit_transaction", "announce"]
    assert len(kafka.visible) == 9


def test_where_batches_are_far_apart_no_transaction_is_kept_open(
    batch: list[Scored], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.transaction._WARM_SECONDS", 0)
    kafka = MemoryKafka([])
    output = ExactlyOnceOutput(kafka, kafka, 5, Told())
    for _ in range(3):
        assert publish(output, batch)
    assert "announce" not in kafka.calls


def test_a_transaction_that_nothing_comes_for_is_ended(
    batch: list[Scored], monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = MemoryKafka([])
    output = ExactlyOnceOutput(kafka, kafka, 5, Told())
    for _ in range(2):
        assert publish(output, batch)
    output.rest()
    assert kafka.calls.count("commit_transaction") == 2
    monkeypatch.setattr("consumer.transaction._WARM_SECONDS", 0)
    output.rest()
    output.rest()
    assert kafka.calls.count("commit_transaction") == 3
    assert "abort_transaction" not in kafka.calls
    assert publish(output, batch)
    assert kafka.calls.count("begin") == 3


def test_a_transaction_with_nothing_in_it_that_cannot_be_ended_is_aborted(
    batch: list[Scored], monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = MemoryKafka([])
    output = ExactlyOnceOutput(kafka, kafka, 5, Told())
    for _ in range(2):
        assert publish(output, batch)
    monkeypatch.setattr("consumer.transaction._WARM_SECONDS", 0)
    kafka.failures["commit_transaction"] = [TransactionAbortedError("lost")]
    output.rest()
    assert kafka.calls[-1] == "abort_transaction"
    assert publish(output, batch)


@pytest.mark.parametrize("error", [TransactionAbortedError("lost"), FencedError("another took over")])
def test_a_transaction_that_cannot_be_opened_ahead_does_not_undo_the_batch(
    batch: list[Scored], error: Exception
) -> None:
    kafka = MemoryKafka([], failures={"announce": [error]})
    output = ExactlyOnceOutput(kafka, kafka, 5, Told())
    for _ in range(3):
        assert publish(output, batch)
    assert kafka.calls.count("begin") == 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_thread_that_waits_for_the_broker_is_not_the_loops(
    kind: type[Output], batch: list[Scored]
) -> None:
    gate = threading.Event()
    kafka = MemoryKafka([])
    kafka.before_step = lambda name: name in {"send_offsets", "flush"} and not gate.wait(30)
    output = kind(kafka, kafka, 5, Told())
    output.start(batch, MARKS)
    assert output.busy
    assert not output.wait(0)
    gate.set()
    assert output.wait(30)
    assert output.finish()
    assert not output.busy
