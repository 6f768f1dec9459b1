"""Limits that change, brokers that are away, deadlines that pass: each ends in a sentence, none hangs."""

import socket
import time
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from shared.deadline import Deadline
from shared.errors import BrokerUnreachableError, ConfigurationError
from shared.kafka import choice
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings, wait_for_broker
from shared.kafka.errors import RecordTooLargeError, TransactionAbortedError
from shared.kafka.reader import Reader
from shared.kafka.topics import describe_topics
from shared.kafka.writer import Writer
from tests.support.broker import free_port, unique
from tests.support.records import MakeReader, MakeTopic, MakeWriter, put, read, records

pytestmark = pytest.mark.broker


def lower_limit(kafka: KafkaSettings, topic: str, limit: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(limit)})])
    admin.close()
    deadline = Deadline.after(20)
    while (found := describe_topics(kafka, [topic], deadline)[topic]) and found.max_message_bytes != limit:
        assert not deadline.passed, f"the limit of {topic} did not become {limit}"
        time.sleep(0.05)


@pytest.mark.parametrize("public_calls", [False], indirect=True, ids=["fast path"])
@pytest.mark.parametrize("values", [[b"x" * 500] * 10, [b"x" * 5000]], ids=["batch", "single record"])
@pytest.mark.parametrize("transactional", [False, True], ids=["plain", "transactional"])
def test_a_limit_lowered_meanwhile_fails_the_batch_and_is_kept_to_from_then_on(
    kafka: KafkaSettings,
    topic_factory: MakeTopic,
    reader: MakeReader,
    writer: MakeWriter,
    values: list[bytes],
    transactional: bool,
) -> None:
    topic = topic_factory()
    sender = writer(unique("writer") if transactional else None)
    if transactional:
        sender.begin()
    sender.write(records(topic, [b"before"]))
    sender.commit_transaction() if transactional else sender.flush(Deadline.after(20))
    lower_limit(kafka, topic, 1000)

    if transactional:
        sender.begin()
    (refused,) = sender.write(records(topic, values))
    with pytest.raises(RecordTooLargeError, match="too large for topic"):
        refused.result(Deadline.after(20))
    with pytest.raises(RecordTooLargeError):
        sender.flush(Deadline.after(20))
    if transactional:
        with pytest.raises(RecordTooLargeError):
            sender.commit_transaction()
        with pytest.raises(TransactionAbortedError):
            sender.write(records(topic, [b"too late"]))
        sender.abort_transaction()
        sender.begin()
    # The limit is known now: many records are split, and the sequence numbers go on without a gap.
    assert len(sender.write(records(topic, [b"after" * 100] * 6))) > 1
    sender.commit_transaction() if transactional else sender.flush(Deadline.after(20))
    assert read(reader(topic), 7)[0].values == [b"before"] + [b"after" * 100] * 6


@pytest.mark.parametrize("asked", [0, 1_000_000])
def test_events_that_are_gone_before_they_are_read_are_said(
    kafka: KafkaSettings,
    topic_factory: MakeTopic,
    reader: MakeReader,
    writer: MakeWriter,
    caplog: pytest.LogCaptureFixture,
    asked: int,
) -> None:
    topic = topic_factory()
    put(writer(), records(topic, [b"gone"] * 5), records(topic, [b"there"] * 3))
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_records({TopicPartition(topic, 0): 5})
    admin.close()
    found = read(reader(topic, start={0: asked}), 3)[0]
    assert found.offsets == [5, 6, 7]
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "shared.kafka.positions"]
    assert ("offsets 0 to 4 were deleted" if asked == 0 else "there is no offset 1000000") in warning


def test_an_abort_without_a_transaction_leaves_the_writer_ready(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory()
    sender = writer(unique("writer"))
    sender.abort_transaction()
    sender.begin()
    sender.write(records(topic, [b"fine"]))
    sender.commit_transaction()
    assert read(reader(topic), 1)[0].values == [b"fine"]


def test_an_unreachable_broker_is_a_sentence_with_the_next_step() -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = KafkaSettings(bootstrap_servers=address, broker_timeout=0.5)
    with pytest.raises(BrokerUnreachableError) as raised:
        wait_for_broker(settings, Deadline.after(settings.broker_timeout))
    assert str(raised.value).startswith(f"No Kafka broker answered at {address} within 0.5 s.")
    for client in (lambda: Writer(settings), lambda: Reader(settings, "topic", group="group")):
        with pytest.raises(BrokerUnreachableError):
            client()


def test_something_else_that_listens_is_no_broker(free_listener: str) -> None:
    settings = KafkaSettings(bootstrap_servers=free_listener, broker_timeout=1)
    with pytest.raises(BrokerUnreachableError):
        wait_for_broker(settings, Deadline.after(1))


def test_a_broker_that_answers_ends_the_wait(kafka: KafkaSettings) -> None:
    wait_for_broker(kafka, Deadline.after(20))


def test_a_client_option_that_the_library_refuses_is_a_sentence(kafka: KafkaSettings) -> None:
    wrong = kafka.model_copy(update={"kafka_option": {"compression_type": "brotli"}})
    with pytest.raises(ConfigurationError, match="does not accept"):
        Writer(wrong)


def test_an_unusable_fast_path_is_said_once_and_the_public_calls_do_the_work(
    kafka: KafkaSettings,
    topic_factory: MakeTopic,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    topic = topic_factory()
    monkeypatch.setattr("kafka.__version__", "3.1.0")
    choice._fast_path.cache_clear()
    try:
        sender = Writer(kafka)
        put(sender, NewRecords(topic, 0, [b"key"], [b"value"], 1))
        source = Reader(kafka, topic, group=None)
        assert read(source, 1)[0].values == [b"value"]
        sender.close(Deadline.after(5))
        source.close(Deadline.after(5))
    finally:
        choice._fast_path.cache_clear()
    warnings = [record for record in caplog.records if record.name == "shared.kafka.choice"]
    assert len(warnings) == 1
    assert "3.1.0 is installed" in warnings[0].getMessage()


@pytest.fixture
def free_listener() -> Iterator[str]:
    """The address of a port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
