"""One event sent through a real consumer's HTTP port, and followed on a real Kafka to what becomes of it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from consumer.settings import ConsumerSettings
from consumer.web.delivery import Delivery, NewEvent
from consumer.web.server import serving
from producer.message import from_event
from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings
from shared.kafka.partitioning import partition_for
from shared.settings import load
from tests.support.broker import free_port
from tests.support.commands import running
from tests.support.topics import Pipeline, make_pipeline

pytestmark = pytest.mark.broker

MODEL = Path("models/threshold")
LESSON = {"customer_id": 105, "feature": 0.7}
ALL = ["received", "connected", "stored", "scored", "published"]


@pytest.fixture(scope="module")
def pipeline(broker: str) -> Pipeline:
    """Topics for all tests here: each looks for its own event."""
    return make_pipeline(KafkaSettings(bootstrap_servers=broker, broker_timeout=20))


@pytest.fixture(scope="module")
def port(pipeline: Pipeline) -> Iterator[int]:
    """Where a consumer of two workers serves its page, with the form."""
    chosen = free_port()
    options = pipeline.options(MODEL, "--workers", "2", "--http-port", str(chosen), "--send-form")
    with running("consumer", *options, "--reject-limit", "1", "--mask-customers") as started:
        started.wait_for('"Worker ready"')
        yield chosen


def page_settings(pipeline: Pipeline, *more: str) -> ConsumerSettings:
    """Those of a page for these topics."""
    arguments = [*pipeline.options(MODEL), "--http-port", "0", "--send-form", *more]
    return load(ConsumerSettings, arguments, "python -m consumer")


def send(port: int, value: str) -> dict[str, dict[str, Any]]:
    """The steps of an event by name, in the order in which they came."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        said = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        connection.request("POST", "/page/send", json.dumps({"value": value}), said)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        steps = [json.loads(line) for line in answer]
    return {step["step"]: step for step in steps}


def deliver(settings: ConsumerSettings, value: bytes, patience: float) -> list[dict[str, Any]]:
    """The steps of an event that is not awaited for long."""

    async def delivered() -> list[dict[str, Any]]:
        delivery = Delivery(settings, NewEvent(value, None), done=lambda: None, patience=patience)
        delivery.start()
        return [json.loads(line) async for line in delivery.lines()]

    return asyncio.run(delivered())


def test_an_event_is_followed_to_its_prediction_where_the_producer_would_have_sent_it(
    pipeline: Pipeline, port: int
) -> None:
    steps = send(port, json.dumps(LESSON))
    assert list(steps) == ALL
    message = from_event(LESSON, "customer_id")
    assert message.key is not None
    topic, partition, _ = steps["stored"]["position"].rsplit("/", 2)
    assert (topic, int(partition)) == (pipeline.events, partition_for(message.key, pipeline.partitions))
    (columns,) = [found for found in pipeline.read(pipeline.events) if message.key in found.keys]
    assert json.dumps(LESSON).encode() in columns.values
    prediction = json.loads(steps["published"]["predicted"]["text"])
    # Whoever sends an event knows its customer, whom the page masks elsewhere.
    assert (prediction["customer_id"], prediction["churn"]) == (105, True)
    assert prediction["prediction_id"] == steps["stored"]["position"]
    assert prediction in pipeline.scored()


def test_what_is_no_event_is_followed_to_its_dead_letter(pipeline: Pipeline, port: int) -> None:
    steps = send(port, "poison")
    assert list(steps) == ALL
    assert steps["published"]["rejected"]["reason"] == "not_json"
    assert pipeline.rejected()[steps["stored"]["position"]] == "not_json"


@pytest.mark.usefixtures("port")
def test_an_event_is_followed_whoever_scores_it_and_nothing_is_left_open(pipeline: Pipeline) -> None:
    before = set(threading.enumerate())
    # This process scores nothing.
    with serving(page_settings(pipeline), list) as here:
        assert here is not None
        steps = send(here, json.dumps(LESSON))
        assert list(steps) == ALL
        # Not the answer to the same event of another test.
        prediction = json.loads(steps["published"]["predicted"]["text"])
        assert prediction["prediction_id"] == steps["stored"]["position"]
    deadline = Deadline.after(20)
    while left := [thread.name for thread in set(threading.enumerate()) - before]:
        assert not deadline.passed, left
        deadline.pause(0.05)


def test_an_event_that_nobody_scores_stays_in_the_topic_and_that_is_said(kafka: KafkaSettings) -> None:
    alone = make_pipeline(kafka, partitions=1)
    steps = deliver(page_settings(alone), json.dumps(LESSON).encode(), patience=0.3)
    assert [step["step"] for step in steps] == ["received", "connected", "stored", "waiting"]
    assert steps[-1]["text"].endswith(f"group {alone.name} has committed nothing there.")
    (columns,) = alone.read(alone.events)
    assert columns.values == [json.dumps(LESSON).encode()]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--input-topic", "no-such-topic"), "there is no topic 'no-such-topic'"),
        (("--output-topic", "no-such-topic"), "there is no topic 'no-such-topic'"),
        (("--bootstrap-servers", "127.0.0.1:1", "--broker-timeout", "0.2"), "No Kafka broker answered"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_sent(
    pipeline: Pipeline, option: tuple[str, ...], said: str
) -> None:
    last = deliver(page_settings(pipeline, *option), b"{}", patience=0.1)[-1]
    assert (last["step"], said in last["text"]) == ("failed", True)
    assert last["hint"]
