"""The lag probe: it asks on its own, lives through a broker that is away, and starts over with it."""

import logging
import threading
from dataclasses import dataclass, field

import pytest

from consumer.operations.lag import LagProbe
from consumer.operations.telemetry import Telemetry
from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings
from shared.kafka.errors import BrokerTroubleError


@dataclass
class Brokers:
    """Answers in turn: ends, or an error to raise; the last one again and again."""

    answers: list[dict[int, int] | Exception]
    readers: int = 0
    closed: int = 0
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def open(self, settings: KafkaSettings, topic: str, *, group: str | None) -> "Brokers":
        assert (topic, group, settings.broker_timeout) == ("customers", None, 5)
        self.readers += 1
        return self

    @property
    def assignment(self) -> set[int]:
        return {0, 1}

    def end_offsets(self) -> dict[int, int]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.asked.release()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self, deadline: Deadline) -> None:
        assert not deadline.passed
        self.closed += 1

    def wait_for(self, questions: int) -> None:
        for _ in range(questions):
            assert self.asked.acquire(timeout=10)


@pytest.fixture
def telemetry() -> Telemetry:
    telemetry = Telemetry()
    telemetry.assigned({0})
    return telemetry


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    """Brokers that a probe asks without a pause; a test says what they answer."""
    brokers = Brokers([{0: 7}])
    monkeypatch.setattr("consumer.operations.lag.Reader", brokers.open)
    monkeypatch.setattr("consumer.operations.lag._PAUSE", 0.01)
    return brokers


def run(telemetry: Telemetry, brokers: Brokers, questions: int) -> None:
    probe = LagProbe(KafkaSettings(), "customers", telemetry)
    probe.start()
    brokers.wait_for(questions)
    probe.end()
    assert not probe.is_alive()


def test_the_ends_are_asked_for_again_and_again_on_one_connection(
    telemetry: Telemetry, brokers: Brokers
) -> None:
    brokers.answers = [{0: 7, 1: 9}, {0: 8, 1: 9}]
    run(telemetry, brokers, questions=5)
    assert telemetry.view().lagging == {0: (None, 8)}
    assert (brokers.readers, brokers.closed) == (1, 1)


@pytest.mark.parametrize("error", [BrokerTroubleError("away"), AttributeError("'NoneType' has no 'offset'")])
def test_a_broker_that_is_away_is_said_once_and_asked_anew_until_it_answers(
    telemetry: Telemetry, brokers: Brokers, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    brokers.answers = [{0: 7}, error, error, error, {0: 9}]
    with caplog.at_level(logging.INFO):
        run(telemetry, brokers, questions=6)
    assert telemetry.view().lagging == {0: (None, 9)}
    assert brokers.readers == brokers.closed == 4
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("No answer from the broker for 0 s; waiting: ")
    assert str(error).splitlines()[0] in said[0]
    assert said[1] == "The broker answers again"


def test_a_broker_that_stays_away_is_told_of_again(
    telemetry: Telemetry, brokers: Brokers, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.operations.lag._SAID_EVERY", 0)
    away = BrokerTroubleError("away")
    brokers.answers = [away, away, away, {0: 9}]
    # Whatever level other tests have left behind.
    with caplog.at_level(logging.WARNING):
        run(telemetry, brokers, questions=4)
    assert [record.getMessage().partition(" for ")[0] for record in caplog.records] == [
        "No answer from the broker"
    ] * 3


def test_partitions_that_were_added_to_the_topic_are_asked_for(
    telemetry: Telemetry, brokers: Brokers
) -> None:
    telemetry.assigned({0, 2})
    run(telemetry, brokers, questions=3)
    assert brokers.readers >= 3
