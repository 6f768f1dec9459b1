"""Publishing and committing under each guarantee, with every step failing once."""

import pytest

from consumer.scoring import Scored, StreamScorer
from consumer.transaction import AtLeastOnceOutput, ExactlyOnceOutput
from shared.errors import FencedError, StalledError
from shared.kafka.errors import BrokerTroubleError, StaleGroupError, TransactionAbortedError
from shared.predict import Predictor
from tests.support.memory import MemoryKafka, lesson_columns


@pytest.fixture
def batch() -> list[Scored]:
    """Two partitions' events, one of them with a dead letter."""
    scorer = StreamScorer(Predictor.load("models/threshold"), "predictions", "dead-letters", MemoryKafka([]))
    good = lesson_columns(0, 10, b'{"customer_id":1,"feature":0.1}')
    mixed = lesson_columns(1, 20, b'{"customer_id":2,"feature":0.9}', b"junk")
    return scorer.score([good, mixed], now=1)


def test_exactly_once_commits_predictions_dead_letters_and_offsets_together(batch: list[Scored]) -> None:
    kafka = MemoryKafka([])
    assert ExactlyOnceOutput(kafka, kafka, 5).publish(batch)
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
        "write",
        "write",
        "send_offsets",
        "commit_transaction",
    ]


@pytest.mark.parametrize("step", ["begin", "write", "send_offsets", "commit_transaction"])
@pytest.mark.parametrize("error", [StaleGroupError, TransactionAbortedError, BrokerTroubleError])
def test_a_lost_transaction_leaves_nothing_visible_and_rewinds(
    batch: list[Scored], step: str, error: type[Exception]
) -> None:
    kafka = MemoryKafka([], failures={step: [error("lost")]})
    output = ExactlyOnceOutput(kafka, kafka, 5)
    assert not output.publish(batch)
    assert (kafka.visible, kafka.committed) == ([], {})
    aborted = ["abort_transaction"] if step != "begin" else []
    assert kafka.calls[kafka.calls.index(step) + 1 :] == [*aborted, "rewind"]
    assert output.publish(batch)
    assert kafka.committed == {0: 11, 1: 22}
    assert len(kafka.visible) == 3


def test_a_stale_member_opens_no_transaction(batch: list[Scored]) -> None:
    kafka = MemoryKafka([], failures={"group_metadata": [StaleGroupError("gone")]})
    assert not ExactlyOnceOutput(kafka, kafka, 5).publish(batch)
    assert kafka.calls == ["group_metadata", "rewind"]


@pytest.mark.parametrize("step", ["begin", "write", "send_offsets", "commit_transaction"])
def test_a_fenced_instance_ends_without_touching_anything_more(batch: list[Scored], step: str) -> None:
    kafka = MemoryKafka([], failures={step: [FencedError("another took over")]})
    with pytest.raises(FencedError):
        ExactlyOnceOutput(kafka, kafka, 5).publish(batch)
    assert kafka.calls[-1] == step
    assert (kafka.visible, kafka.committed) == ([], {})


def test_at_least_once_commits_offsets_after_the_acknowledgements(batch: list[Scored]) -> None:
    kafka = MemoryKafka([])
    assert AtLeastOnceOutput(kafka, kafka, 5).publish(batch)
    assert kafka.calls == ["write", "write", "write", "flush", "commit"]
    assert kafka.committed == {0: 11, 1: 22}


@pytest.mark.parametrize("step", ["write", "flush", "commit"])
def test_at_least_once_repeats_a_batch_whose_step_failed(batch: list[Scored], step: str) -> None:
    kafka = MemoryKafka([], failures={step: [BrokerTroubleError("no answer")]})
    output = AtLeastOnceOutput(kafka, kafka, 5)
    assert not output.publish(batch)
    assert kafka.calls[-1] == "rewind"
    assert kafka.committed == {}
    assert output.publish(batch)
    assert kafka.committed == {0: 11, 1: 22}


def test_a_rewind_is_tried_until_the_broker_answers() -> None:
    kafka = MemoryKafka([], failures={"rewind": [BrokerTroubleError("not yet")]})
    AtLeastOnceOutput(kafka, kafka, 5).rewind()
    assert kafka.calls == ["rewind", "rewind"]


def test_a_rewind_without_an_answer_counts_as_stalled() -> None:
    kafka = MemoryKafka([], failures={"rewind": [BrokerTroubleError("not yet")] * 3})
    with pytest.raises(StalledError, match="could not be read in"):
        AtLeastOnceOutput(kafka, kafka, 0.01).rewind()
