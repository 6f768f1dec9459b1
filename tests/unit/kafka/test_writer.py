"""What a future tells, and when it gives up."""

import threading
import time
from collections.abc import Iterator

import pytest
from kafka import errors as client

from shared.deadline import Deadline
from shared.errors import ExitCode, FencedError, StalledError
from shared.kafka.columns import NewRecords
from shared.kafka.errors import BrokerTroubleError, RecordTooLargeError
from shared.kafka.pending import BatchFuture
from shared.kafka.public import start_step
from shared.kafka.writer import Writer


class Answer:
    """A batch's answer that is there from the start, or never comes."""

    def __init__(self, outcome: int | Exception | None) -> None:
        self._outcome = outcome

    @property
    def done(self) -> bool:
        return self._outcome is not None

    def wait_sent(self, timeout: float) -> bool:
        return timeout >= 0

    def wait(self, timeout: float) -> bool:
        return self.done and timeout >= 0

    def outcome(self) -> int:
        if isinstance(self._outcome, int):
            return self._outcome
        raise self._outcome or AssertionError


def future(outcome: int | Exception | None, forgotten: list[str] | None = None) -> BatchFuture:
    return BatchFuture("out", 1, 3, Answer(outcome), (forgotten if forgotten is not None else []).append)


def test_an_acknowledged_batch_tells_its_first_offset() -> None:
    assert future(42).done
    assert future(42).result(Deadline.after(0)) == 42


def test_no_answer_before_the_deadline_is_a_stall() -> None:
    silent = future(None)
    assert not silent.done
    with pytest.raises(StalledError, match="3 records sent to topic 'out'/1") as raised:
        silent.result(Deadline.after(0))
    assert raised.value.exit_code == ExitCode.FENCED_OR_STALLED


def test_an_answer_that_came_while_its_wait_ended_is_no_stall() -> None:
    class Noted(Answer):
        """The client has noted the answer, and not yet woken who waits for it."""

        def wait(self, timeout: float) -> bool:
            return timeout < 0

    just_now = BatchFuture("out", 1, 3, Noted(42), print)
    assert just_now.done
    assert just_now.result(Deadline.after(0)) == 42


@pytest.mark.parametrize(
    ("raised", "meant"),
    [(client.ProducerFencedError(), FencedError), (client.KafkaTimeoutError("expired"), BrokerTroubleError)],
)
def test_a_failed_batch_tells_why(raised: Exception, meant: type[Exception]) -> None:
    with pytest.raises(meant):
        future(raised).result(Deadline.after(0))


@pytest.mark.parametrize("raised", [client.MessageSizeTooLargeError(), client.RecordListTooLargeError()])
def test_a_batch_that_the_broker_finds_too_large_lets_the_limit_be_read_again(raised: Exception) -> None:
    forgotten: list[str] = []
    with pytest.raises(RecordTooLargeError):
        future(raised, forgotten).result(Deadline.after(0))
    assert forgotten == ["out"]


def test_what_was_sent_before_a_batch_that_could_not_be_is_still_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = future(42)
    answers: Iterator[BatchFuture | Exception] = iter([sent, client.KafkaTimeoutError("full")])

    def send(*_: object) -> BatchFuture:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    records = NewRecords("out", 0, [None], [b""], 1)
    writer = Writer.__new__(Writer)
    writer._open = []
    monkeypatch.setattr(writer, "_batches", lambda _: [(records, 0), (records, 0)])
    monkeypatch.setattr(writer, "_send", send)
    with pytest.raises(BrokerTroubleError):
        writer.write(records)
    assert writer._open == [sent]


class Producer:
    """The client's transaction calls, one that hangs and one that fails."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def send_offsets_to_transaction(self, *_arguments: object) -> None:
        return

    def commit_transaction(self) -> None:
        self.release.wait()

    def abort_transaction(self) -> None:
        raise client.ProducerFencedError


def test_a_call_of_the_client_that_hangs_is_given_up_at_the_deadline() -> None:
    producer = Producer()
    wait = start_step(producer, "commit")
    begin = time.monotonic()
    assert not wait(0.01)
    assert time.monotonic() - begin < 30
    producer.release.set()
    assert wait(30)


def test_a_call_of_the_client_that_fails_raises_where_it_is_waited_for() -> None:
    with pytest.raises(client.ProducerFencedError):
        start_step(Producer(), "abort")(30)
