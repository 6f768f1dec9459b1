"""The real consumer on a real Kafka: what stands in the topics afterwards, read by an independent reader."""

import gzip
import json
import signal
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from shared.dead_letters import BYTES, SHA256, read_headers
from shared.events import MAX_EVENT_BYTES
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader
from tests.support.broker import free_port
from tests.support.commands import command, running
from tests.support.topics import Pipeline, make_pipeline

pytestmark = pytest.mark.broker

MODEL = Path("models/threshold")


def event(customer: int, feature: float) -> bytes:
    return json.dumps({"customer_id": customer, "feature": feature}).encode()


@pytest.fixture
def pipeline(kafka: KafkaSettings) -> Pipeline:
    """Fresh topics and a fresh group."""
    return make_pipeline(kafka)


def test_the_lessons_event_gives_true_and_the_customers_their_answers(pipeline: Pipeline) -> None:
    pipeline.send([event(101, 0.2), event(102, 0.8), event(103, 0.5), event(104, 0.9), event(105, 0.7)])
    done = command("consumer", *pipeline.options(MODEL, "--max-events", "5"))
    assert (done.code, done.output) == (0, "")
    answers = {prediction["customer_id"]: prediction["churn"] for prediction in pipeline.scored()}
    assert answers == {101: False, 102: True, 103: False, 104: True, 105: True}
    assert pipeline.rejected() == {}


BAD_EVENTS = {
    "not_json": b"{'customer_id': 1}",
    "not_object": b"[1, 2]",
    "truncated": b'{"customer_id": 1, "fea',
    "wrong_type": b'{"customer_id": 1, "feature": "0.7"}',
    "not_finite": b'{"customer_id": 1, "feature": NaN}',
    "missing_field": b'{"customer_id": 1}',
    "invalid_utf8": b'{"customer_id": 1, "feature": 0.7, "note": "\xff"}',
    "too_large": b'{"customer_id": 1, "feature": 0.7, "note": "' + b"x" * 10_000_000 + b'"}',
    "tombstone": None,
    "too_deep": b'{"customer_id": 1, "feature": 0.7, "note": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
}


def test_each_bad_event_becomes_a_dead_letter_with_its_own_reason_and_the_rest_is_scored(
    pipeline: Pipeline,
) -> None:
    assert len(BAD_EVENTS["too_large"] or b"") > MAX_EVENT_BYTES
    values: list[bytes | None] = []
    for bad in BAD_EVENTS.values():
        values += [event(1, 0.7), bad]
    pipeline.send(values)
    done = command("consumer", *pipeline.options(MODEL, "--max-events", str(len(values))))
    assert done.code == 0, done.errors
    assert sorted(pipeline.rejected().values()) == sorted(BAD_EVENTS)
    assert len(pipeline.scored()) == len(BAD_EVENTS)
    letters = [
        (k, v)
        for columns in pipeline.read(pipeline.dead_letters)
        for k, v in zip(columns.keys, columns.values, strict=True)
    ]
    assert sorted(letters, key=repr) == sorted(
        ((str(2 * place + 1).encode(), bad) for place, bad in enumerate(BAD_EVENTS.values())), key=repr
    )
    assert set(pipeline.committed_content().values()) == {1}


def test_compressed_events_beyond_what_a_topic_takes_uncompressed_stop_nothing(kafka: KafkaSettings) -> None:
    """A topic's limit holds for what is sent, and a compressed batch may hold far more than that."""
    pipeline = make_pipeline(kafka, partitions=1, event_bytes=1 << 20)
    # Repeated behind gzip's window, and within that of zstd.
    stubborn = Random(1).randbytes(900_000) * 2  # noqa: S311 - any bytes that do not repeat sooner
    assert len(gzip.compress(stubborn)) > 1 << 20
    large = b'{"customer_id": 1, "feature": 0.7, "note": "' + b"x" * 2_000_000 + b'"}'
    pipeline.send([event(0, 0.7), large], compression="gzip")
    pipeline.send([event(2, 0.7)], keys=[bytes(2_000_000)], compression="gzip")
    pipeline.send([stubborn], keys=[b"key"], compression="zstd")
    pipeline.send([event(4, 0.7)], keys=[stubborn], compression="zstd")
    pipeline.send([event(5, 0.7)])
    done = command("consumer", *pipeline.options(MODEL, "--max-events", "6"))
    assert done.code == 0, done.errors
    assert [prediction["customer_id"] for prediction in pipeline.scored()] == [0, 2, 5]
    assert pipeline.letters() == [(f"{pipeline.events}/0/{offset}", "too_large") for offset in (1, 3, 4)]
    letters = pipeline.read(pipeline.dead_letters)
    keys = [key for columns in letters for key in columns.keys]
    values = [value for columns in letters for value in columns.values]
    told = [read_headers(columns.headers[row]) for columns in letters for row in range(len(columns))]
    assert (keys, values) == ([b"1", b"key", None], [large, None, None])
    assert BYTES not in told[0]
    assert (told[1][BYTES], told[1][SHA256]) == (str(len(stubborn)), sha256(stubborn).hexdigest())
    assert (told[2][BYTES], told[2][SHA256]) == (str(len(event(4, 0.7))), sha256(event(4, 0.7)).hexdigest())


def test_a_prediction_keeps_its_events_key_and_partition_number(pipeline: Pipeline) -> None:
    pipeline.send([event(number, 0.7) for number in range(30)])
    command("consumer", *pipeline.options(MODEL, "--max-events", "30"))
    for columns in pipeline.read(pipeline.predictions):
        for key, value in zip(columns.keys, columns.values, strict=True):
            prediction = json.loads(value or b"")
            assert key == str(prediction["customer_id"]).encode()
            assert prediction["prediction_id"].startswith(f"{pipeline.events}/{columns.partition}/")


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
def test_a_second_run_goes_on_where_the_first_one_ended(pipeline: Pipeline, guarantee: str) -> None:
    options = pipeline.options(MODEL, "--guarantee", guarantee)
    pipeline.send([event(number, 0.7) for number in range(100)])
    assert command("consumer", *options, "--max-events", "60").code == 0
    assert len(pipeline.scored()) == 60
    assert command("consumer", *options, "--until-idle", "2").code == 0
    content = pipeline.committed_content()
    assert (len(content), set(content.values())) == (100, {1})


def test_sigterm_finishes_the_batch_keeps_the_place_in_the_group_and_exits_0(pipeline: Pipeline) -> None:
    pipeline.send([event(number, 0.7) for number in range(20_000)])
    # A place in the group that is kept for longer than a busy machine takes for the second run.
    options = pipeline.options(MODEL, "--kafka-option", "session_timeout_ms=60000")
    with running("consumer", *options, "--batch-events", "500") as consumer:
        consumer.wait_for('"Ready"')
        assert consumer.end(signal.SIGTERM) == 0
        assert any("Done:" in line for line in consumer.lines)
    assert set(pipeline.committed_content().values()) <= {1}
    # The next consumer on this host has its name, and is given its partitions at once.
    assert command("consumer", *options, "--until-idle", "1", timeout=50).code == 0
    content = pipeline.committed_content()
    assert (len(content), set(content.values())) == (20_000, {1})


@pytest.mark.parametrize(
    "asked", [("consumer", "--model", MODEL), ("producer", "--lesson")], ids=lambda a: a[0]
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_while_waiting_for_a_broker_ends_it_at_once(
    asked: tuple[str, ...], number: int, code: int
) -> None:
    address = f"127.0.0.1:{free_port()}"
    with running(*asked, "--bootstrap-servers", address) as waiting:
        waiting.wait_for("Still waiting for a Kafka broker")
        # Its broker timeout of 30 s, and the consumer's 20 s to finish in, are not what ends it.
        assert waiting.end(number, seconds=10) == code


def test_ctrl_c_exits_130(pipeline: Pipeline) -> None:
    with running("consumer", *pipeline.options(MODEL)) as consumer:
        consumer.wait_for('"Ready"')
        assert consumer.end(signal.SIGINT) == 130


def test_a_second_consumer_takes_over_partitions_and_nothing_is_scored_twice(pipeline: Pipeline) -> None:
    options = pipeline.options(MODEL, "--batch-events", "200", "--until-idle", "4")
    pipeline.send([event(number, 0.7) for number in range(10_000)], batch_bytes=4_000)
    with running("consumer", *options) as first:
        first.wait_for('"Ready"')
        with running("consumer", *options) as second:
            second.wait_for('"Ready"')
            pipeline.send([event(number, 0.2) for number in range(10_000)], batch_bytes=4_000)
            assert (first.wait(), second.wait()) == (0, 0)
    content = pipeline.committed_content()
    assert (len(content), set(content.values())) == (20_000, {1})


def test_an_instance_of_the_same_name_fences_the_older_one(pipeline: Pipeline) -> None:
    options = pipeline.options(MODEL, "--instance", "same")
    with running("consumer", *options) as older:
        older.wait_for('"Ready"')
        with running("consumer", *options) as newer:
            newer.wait_for('"Ready"')
            pipeline.send([event(number, 0.7) for number in range(30)])
            assert older.wait() == 5
            assert any("taken over" in line for line in older.lines)
            assert not any("Traceback" in line for line in older.lines)
            assert newer.end(signal.SIGTERM) == 0


def test_missing_topics_are_created_only_when_told_to(pipeline: Pipeline, kafka: KafkaSettings) -> None:
    options = pipeline.options(MODEL, "--output-topic", f"{pipeline.name}-new", "--until-idle", "1")
    refused = command("consumer", *options)
    assert refused.code == 2
    assert f"there is no topic {pipeline.name}-new" in refused.errors
    assert "--create-topics" in refused.errors
    assert command("consumer", *options, "--create-topics").code == 0
    reader = Reader(kafka, f"{pipeline.name}-new", group=None)
    assert len(reader.assignment) == pipeline.partitions


def test_no_broker_gives_a_sentence_with_the_address_and_exit_code_4() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = command("consumer", "--model", MODEL, "--bootstrap-servers", address, "--broker-timeout", "2")
    assert done.code == 4
    assert address in done.errors
    assert "Traceback" not in done.errors
