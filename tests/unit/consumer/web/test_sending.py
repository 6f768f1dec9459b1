"""An event sent by hand: what is asked for, how many may be on their way, and the steps that are told."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette

from consumer.settings import ConsumerSettings
from consumer.web import delivery, following
from consumer.web.delivery import Delivery, NewEvent
from consumer.web.following import Found
from consumer.web.sending import FullError, Turnstile, routes
from consumer.web.steps import Predicted, Rejected, Step, Steps
from producer.message import from_event
from shared.dead_letters import Origin, headers_for
from shared.deadline import Deadline
from shared.errors import BrokerUnreachableError, ModelError, TandemError
from shared.kafka.columns import Mark, NewRecords, RecordColumns
from shared.kafka.partitioning import partition_for
from shared.schema import Reason, Rejection
from shared.settings import load
from tests.support.asgi import Answered, ask, asked

EVENT = {"customer_id": 105, "feature": 0.7}
POSITION = "customers/2/7"
PREDICTION = {
    "prediction_id": POSITION,
    "customer_id": 105,
    "score": 0.7,
    "churn": True,
    "threshold": 0.6,
    "model": "threshold@1",
    "model_sha256": "0123456789ab",
}


def settings(*arguments: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", "models/threshold", *arguments], "python -m consumer")


def predicted() -> Predicted:
    return Predicted(text="{}", score=0.7, decision="churn", decided=True, threshold=0.6, model="threshold@1")


class Kafka:
    """Stands for the broker and the consumer: what is written, and what comes of it."""

    def __init__(self) -> None:
        self.written: list[NewRecords] = []
        self.found: Found | None = Found("predictions/0/3", 1_700_000_000_000, predicted())
        self.committed: int | None = None
        self.fault: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.closes = threading.Event()
        self.closes.set()
        self.wanted: list[bool] = []

    # What the writer does.
    def partitions_of(self, topic: str) -> int:
        assert topic == "customers"
        if self.fault is not None:
            raise self.fault
        return 3

    def write(self, records: NewRecords) -> list[Any]:
        self.written.append(records)
        return [SimpleNamespace(result=lambda _: 7)]

    def close(self, _: Deadline) -> None:
        self.closes.wait(10)

    # What the follower does.
    @contextmanager
    def following(
        self, _: ConsumerSettings, partition: int, stopped: threading.Event
    ) -> Iterator[SimpleNamespace]:
        def find(position: str, _: Deadline) -> Found | None:
            assert position == f"customers/{partition}/7"
            self.go_on.wait(10)
            self.wanted.append(not stopped.is_set())
            return self.found

        yield SimpleNamespace(ready=lambda _: not stopped.is_set(), find=find)

    # What the group says.
    def partitions(self) -> list[Any]:
        mark = None if self.committed is None else Mark(self.committed)
        return [SimpleNamespace(partition=number, committed=mark) for number in range(3)]


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    """The broker that every event is sent to."""
    made = Kafka()
    monkeypatch.setattr(delivery, "Writer", lambda _: made)
    monkeypatch.setattr(delivery, "following", made.following)
    monkeypatch.setattr(delivery, "GroupLag", lambda *_: made)
    return made


@pytest.fixture
def app() -> Starlette:
    return Starlette(routes=routes(settings("--send-form")))


def send(app: Starlette, value: str, **more: str) -> list[dict[str, Any]]:
    """The steps of an event."""
    answer = ask(app, "/page/send", "POST", json.dumps({"value": value, **more}).encode())
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.body.splitlines()]


def told(columns: RecordColumns) -> Predicted | Rejected | None:
    read = following._prediction if columns.topic == "predictions" else following._letter
    return read(columns, 0, POSITION)


def record(topic: str, value: bytes | None, headers: list[Any] | None = None) -> RecordColumns:
    return RecordColumns(topic, 2, [3], [5], [None], [value], {0: headers} if headers else {}, 4)


def test_without_the_option_there_is_no_form() -> None:
    assert routes(settings()) == []


def test_each_step_is_told_in_turn_with_its_time(app: Starlette, kafka: Kafka) -> None:
    steps = send(app, json.dumps(EVENT))
    assert [step["step"] for step in steps] == ["received", "connected", "stored", "scored", "published"]
    received, connected, stored, scored, published = steps
    assert (received["since"], received["took"]) == (0.0, None)
    assert 0 <= connected["since"] <= stored["since"] <= published["since"]
    assert scored["at"] == pytest.approx(1_700_000_000.0)
    assert stored["position"] == f"customers/{kafka.written[0].partition}/7"
    assert (published["position"], published["predicted"]["decided"]) == ("predictions/0/3", True)
    assert 0 <= published["answered"] <= published["since"]


def test_it_is_sent_as_the_producer_sends_it(app: Starlette, kafka: Kafka) -> None:
    text = json.dumps(EVENT)
    send(app, text)
    (sent,) = kafka.written
    key = from_event(EVENT, "customer_id").key
    assert key is not None
    assert (sent.topic, sent.partition) == ("customers", partition_for(key, 3))
    assert (sent.keys, sent.values) == ([key], [text.encode()])


@pytest.mark.parametrize(
    "text",
    ["not an event", "", '{"customer_id": 1, "fea', "[" * 10_000, "null", "{}", '{"customer_id": [1]}'],
)
def test_what_is_no_event_is_sent_as_it_is_without_a_key(app: Starlette, kafka: Kafka, text: str) -> None:
    answer = Rejected(reason="not_json", field=None, detail="the event is not JSON", model="threshold@1")
    kafka.found = Found("dead-letters/0/3", 1, answer)
    last = send(app, text)[-1]
    assert (kafka.written[0].keys, kafka.written[0].values) == ([None], [text.encode()])
    assert (last["step"], last["rejected"]["reason"], last["predicted"]) == ("published", "not_json", None)


def test_a_key_that_is_given_is_the_records_key(app: Starlette, kafka: Kafka) -> None:
    send(app, json.dumps(EVENT), key="é")
    assert kafka.written[0].keys == ["é".encode()]
    assert kafka.written[0].partition == partition_for("é".encode(), 3)


def test_an_event_that_nobody_takes_is_waiting_and_says_what_to_do(app: Starlette, kafka: Kafka) -> None:
    kafka.found, kafka.committed = None, 7
    last = send(app, json.dumps(EVENT))[-1]
    assert (last["step"], last["text"]) == (
        "waiting",
        "Nothing has come of it within 30 s: group tandem is at offset 7.",
    )
    assert "python -m consumer status --group tandem --input-topic customers" in last["hint"]


def test_an_event_that_the_group_has_gone_past_without_an_answer_is_not_awaited(
    app: Starlette, kafka: Kafka
) -> None:
    kafka.found, kafka.committed = None, 8
    last = send(app, json.dumps(EVENT))[-1]
    assert (last["step"], "gone past it" in last["text"]) == ("failed", True)
    assert "other topics" in last["hint"]


def test_an_error_is_told_with_what_to_do_and_makes_room_for_the_next(app: Starlette, kafka: Kafka) -> None:
    kafka.fault = BrokerUnreachableError("No Kafka broker answered.", hint="Start Kafka.")
    last = send(app, json.dumps(EVENT))[-1]
    assert (last["step"], last["text"], last["hint"]) == (
        "failed",
        "No Kafka broker answered.",
        "Start Kafka.",
    )
    kafka.fault = None
    assert send(app, json.dumps(EVENT))[-1]["step"] == "published"


def test_a_fault_is_told_as_one_and_its_traceback_is_in_the_log(
    app: Starlette, kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.fault = ZeroDivisionError("hunter2")
    with caplog.at_level(logging.ERROR):
        last = send(app, json.dumps(EVENT))[-1]
    assert (last["step"], "hunter2" in json.dumps(last)) == ("failed", False)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"text": "a"}', b'{"value": 1}', b'{"value": "a", "more": 1}', b'{"value": "\\ud800"}'],
)
def test_a_request_of_another_form_is_refused_with_what_it_must_be(
    app: Starlette, kafka: Kafka, body: bytes
) -> None:
    answer = ask(app, "/page/send", "POST", body)
    assert (answer.status, kafka.written) == (400, [])
    assert b'{"value": "the event\'s text"}' in answer.body


def test_a_third_event_at_the_same_time_is_turned_away(app: Starlette, kafka: Kafka) -> None:
    kafka.go_on.clear()
    body = json.dumps({"value": json.dumps(EVENT)}).encode()

    async def three() -> list[Answered]:
        sent = [asyncio.create_task(asked(app, "/page/send", "POST", body)) for _ in range(3)]
        await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        kafka.go_on.set()
        return list(await asyncio.gather(*sent))

    answers = asyncio.run(three())
    assert sorted(answer.status for answer in answers) == [200, 200, 429]
    (refused,) = [answer for answer in answers if answer.status == 429]
    assert (refused.headers["retry-after"], b"2 events are on their way" in refused.body) == ("1", True)


def test_an_event_that_is_answered_turns_none_away_while_its_connections_are_closed(
    app: Starlette, kafka: Kafka
) -> None:
    kafka.closes.clear()
    try:
        for _ in range(3):
            assert send(app, json.dumps(EVENT))[-1]["step"] == "published"
    finally:
        kafka.closes.set()


def test_a_fourth_event_within_a_second_is_turned_away_and_one_after_it_is_not() -> None:
    turnstile = Turnstile()
    for now in (0.0, 0.2, 0.4):
        turnstile.enter(now)
        turnstile.leave()
    with pytest.raises(FullError, match="3 events were sent within a second"):
        turnstile.enter(0.9)
    turnstile.enter(1.1)


def test_whoever_goes_away_ends_the_following(kafka: Kafka) -> None:
    kafka.go_on.clear()
    done = threading.Event()

    async def leave_after_two_steps() -> None:
        sent = Delivery(settings("--send-form"), NewEvent(b"{}", None), done=done.set)
        sent.start()
        lines = sent.lines()
        for _ in range(2):
            await anext(lines)
        await lines.aclose()  # type: ignore[attr-defined]  # it is a generator

    asyncio.run(leave_after_two_steps())
    kafka.go_on.set()
    assert done.wait(10)
    assert kafka.wanted == [False]


def test_a_step_by_another_clock_is_never_said_to_have_taken_less_than_nothing() -> None:
    said: list[Step] = []
    steps = Steps(said.append)
    steps.happened("received", "", at=steps.began)
    steps.happened("scored", "", at=steps.began - 5)
    assert said[1].since == pytest.approx(-5_000)
    assert said[1].took is None


def test_a_prediction_is_known_by_its_id() -> None:
    found = told(record("predictions", json.dumps(PREDICTION).encode()))
    assert isinstance(found, Predicted)
    assert (found.decision, found.decided, found.score) == ("churn", True, 0.7)
    assert json.loads(found.text) == PREDICTION


def without(name: str) -> Mapping[str, Any]:
    return {field: value for field, value in PREDICTION.items() if field != name}


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"customers/2/7",
        b'["customers/2/7"]',
        b'{"prediction_id": "customers/2/7"',
        json.dumps(PREDICTION | {"prediction_id": "customers/2/71"}).encode(),
        json.dumps(PREDICTION | {"prediction_id": "x", "event_id": POSITION}).encode(),
        json.dumps(without("score")).encode(),
        json.dumps(without("churn")).encode(),
        json.dumps(PREDICTION | {"score": "high"}).encode(),
    ],
)
def test_another_record_is_not_taken_for_the_events_prediction(value: bytes | None) -> None:
    assert told(record("predictions", value)) is None


def test_a_dead_letter_is_known_by_its_headers() -> None:
    rejection = Rejection(0, Reason.WRONG_TYPE, "feature", "feature is 'a', which is not a number")
    for offset, ours in ((7, True), (8, False)):
        headers = headers_for(rejection, Origin("customers", 2, offset, 5), "threshold@1")
        found = told(record("dead-letters", b"{}", headers))
        assert (found is not None) == ours
    assert told(record("dead-letters", b"{}", [("tandem.reason", b"wrong_type")])) is None
    assert told(record("dead-letters", POSITION.encode())) is None


def test_a_topic_that_cannot_be_read_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ModelError("no access", hint="Ask for it.")

    monkeypatch.setattr(following, "Reader", refused)
    with (
        following.following(settings("--send-form"), 0, threading.Event()) as follower,
        pytest.raises(TandemError, match="no access"),
    ):
        follower.ready(Deadline.after(10))
