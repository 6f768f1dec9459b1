"""The publisher keeps its rate, counts what is acknowledged, and loses nothing from its count."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from producer.message import Message
from producer.publish import Publisher, Tally
from shared.deadline import Deadline
from shared.errors import FencedError, InputError, StalledError
from shared.kafka.columns import NewRecords
from shared.kafka.errors import BrokerTroubleError, RecordTooLargeError
from shared.kafka.partitioning import partition_for


@dataclass
class Answer:
    """A batch's future in the hand of the test."""

    rows: int
    done: bool = True
    error: Exception | None = None

    def result(self, deadline: Deadline) -> int:
        if not self.done:
            assert deadline.remaining < 60
            raise StalledError("no answer")
        if self.error is not None:
            raise self.error
        return 0


@dataclass
class Broker:
    """Takes what the publisher writes, as shared.kafka.writer.Writer would."""

    answer: Callable[[NewRecords], Answer] = lambda records: Answer(len(records))
    longest: int = 1 << 20
    written: list[NewRecords] = field(default_factory=list)

    def write(self, records: NewRecords) -> Sequence[Answer]:
        for row, value in enumerate(records.values):
            if value is not None and len(value) > self.longest:
                raise RecordTooLargeError(records.topic, records.partition, row=row)
        self.written.append(records)
        return [self.answer(records)]

    def values(self) -> list[bytes | None]:
        return [value for records in self.written for value in records.values]


@dataclass
class FakeClock:
    """Time that passes only when somebody sleeps."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now

    def sleep(self, seconds: float, /) -> None:
        assert seconds >= 0
        self.now += seconds


def messages(count: int) -> Iterator[Message]:
    return (Message(str(number).encode(), b'{"n":%d}' % number) for number in range(count))


def publisher(broker: Broker, clock: FakeClock | None = None, partitions: int = 3) -> Publisher:
    return Publisher(broker, "customers", partitions, timeout=30, clock=clock or FakeClock())


def test_everything_is_sent_and_acknowledged() -> None:
    broker = Broker()
    sender = publisher(broker)
    sender.run(messages(10_000), rate=None)
    assert sender.tally == Tally(sent=10_000, acknowledged=10_000, failed=0)
    assert sorted(broker.values(), key=str) == sorted((m.value for m in messages(10_000)), key=str)


def test_a_customer_s_events_keep_their_order_on_kafka_s_own_partition() -> None:
    broker = Broker()
    several = [Message(str(number % 7).encode(), b"%d" % number) for number in range(500)]
    publisher(broker).run(iter(several), rate=None)
    for records in broker.written:
        assert {partition_for(key or b"", 3) for key in records.keys} == {records.partition}
        numbers = [int(value or b"") for value in records.values]
        assert numbers == sorted(numbers)


def test_events_without_a_key_go_round() -> None:
    broker = Broker()
    publisher(broker).run(iter([Message(None, b"{}")] * 9), rate=None)
    assert sorted((records.partition, len(records)) for records in broker.written) == [(0, 3), (1, 3), (2, 3)]


def test_the_rate_is_kept_in_small_steps_and_does_not_drift() -> None:
    broker, clock = Broker(), FakeClock()
    sent_at: list[tuple[float, int]] = []
    publisher(broker, clock).run(
        messages(5_000), rate=1000, progress=lambda tally: sent_at.append((clock.now - 1000.0, tally.sent))
    )
    assert len(sent_at) > 500
    for at, sent in sent_at:
        assert sent <= 1000 * at + 1 + 1e-6
        assert sent >= 1000 * at - 1
    assert clock.now - 1000.0 == pytest.approx(5.0, abs=0.02)


def test_after_a_pause_the_rate_is_made_up_for() -> None:
    broker, clock = Broker(), FakeClock()

    def slow(tally: Tally) -> None:
        if tally.sent < 100:
            clock.now += 0.05

    publisher(broker, clock).run(messages(2_000), rate=1000, progress=slow)
    assert clock.now - 1000.0 == pytest.approx(2.0, abs=0.1)


def test_records_carry_the_time_of_sending() -> None:
    broker = Broker()
    publisher(broker, FakeClock(now=5.25)).run(messages(1), rate=None)
    assert broker.written[0].timestamp == 1_700_000_005_250


def test_what_is_not_acknowledged_is_counted_and_said() -> None:
    trouble = iter([BrokerTroubleError("the broker went away"), None, None])
    sender = publisher(Broker(lambda records: Answer(len(records), error=next(trouble))), partitions=1)
    sender.run(messages(12_000), rate=None)
    assert sender.tally.sent == 12_000
    assert sender.tally.failed == 4_000
    assert sender.tally.acknowledged == 8_000
    assert sender.tally.errors == {"BrokerTroubleError": "the broker went away"}


def test_an_event_too_large_for_the_topic_fails_alone() -> None:
    broker = Broker(longest=1000)
    several = list(messages(10))
    several[3] = several[7] = Message(several[3].key, b"x" * 2000)
    sender = publisher(broker)
    sender.run(iter(several), rate=None)
    assert (sender.tally.sent, sender.tally.acknowledged, sender.tally.failed) == (10, 8, 2)
    assert len(broker.values()) == 8


def test_sending_ends_when_it_has_become_hopeless() -> None:
    sender = publisher(Broker(lambda records: Answer(len(records), error=FencedError("taken over"))))
    sender.run(messages(1_000_000), rate=None)
    assert sender.tally.sent == sender.tally.failed == 4_000


def test_a_broker_that_never_answers_is_given_up_on() -> None:
    clock = FakeClock()
    sender = publisher(Broker(lambda records: Answer(len(records), done=False)), clock)
    large = (Message(None, b"x" * 100_000) for _ in itertools.count())
    sender.run(large, rate=None)
    assert sender.tally.sent == sender.tally.failed < 1_000
    assert 30 <= clock.now - 1000.0 < 31


def test_a_broker_that_falls_silent_is_given_up_on_at_any_rate() -> None:
    clock = FakeClock()
    sender = publisher(Broker(lambda records: Answer(len(records), done=clock.now < 1005)), clock)
    sender.run(messages(1_000_000), rate=10)
    assert 35 <= clock.now - 1000.0 < 36
    assert sender.tally.acknowledged == pytest.approx(50, abs=1)
    assert sender.tally.failed == sender.tally.sent - sender.tally.acknowledged


def test_few_bytes_are_held_whatever_the_size_of_an_event() -> None:
    broker = Broker()
    large = (Message(b"k", b"x" * 1_000_000) for _ in range(20))
    publisher(broker).run(large, rate=None)
    assert max(len(records) for records in broker.written) <= 3


def test_being_stopped_sends_nothing_more_but_waits_for_answers() -> None:
    broker = Broker()
    sender = publisher(broker)
    sender.run(messages(1_000_000), rate=None, stopped=lambda: sender.tally.sent >= 8_000)
    assert sender.tally == Tally(sent=8_000, acknowledged=8_000, failed=0)


def test_a_source_that_breaks_ends_the_run_after_what_it_gave() -> None:
    def broken() -> Iterator[Message]:
        yield from messages(4_500)
        raise InputError("the file is damaged")

    sender = publisher(Broker())
    with pytest.raises(InputError, match="damaged"):
        sender.run(broken(), rate=None)
    assert sender.tally == Tally(sent=4_500, acknowledged=4_500, failed=0)
