"""An event that is about to be sent, followed to its prediction or its dead letter.

Whichever consumer scores it, on whichever host: what comes of it stands on the same partition number of the
output topic, or of the dead-letter topic, and carries its position. Both are read from where they ended
before the event was sent, committed records only, each in a thread of its own: a client waits best alone.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

import msgspec
from pydantic import ValidationError

from consumer.settings import ConsumerSettings
from consumer.web.steps import Predicted, Rejected
from shared.dead_letters import told_by
from shared.deadline import Deadline
from shared.errors import StalledError, TandemError
from shared.kafka.columns import RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.errors import RecoverableError
from shared.kafka.reader import Reader
from shared.position import position_of

logger = logging.getLogger(__name__)

# Seconds of one poll, after which an end that was asked for is noticed, and after a poll that failed.
_POLL: Final = 0.2
# Seconds that a client may take to close, and a thread to end.
_CLOSE: Final = 2.0
# Of a busy partition little is fetched at a time: decoding it takes the interpreter from who scores.
_FETCHED_BYTES: Final = 256 << 10
_FETCHED_BATCHES: Final = 20


# What is told of a prediction as it stands there.
_TOLD: Final = ("score", "threshold", "model")


@dataclass(frozen=True, slots=True)
class Found:
    """What came of an event.

    Attributes:
        position: `topic/partition/offset` of the record.
        stamped: The record's timestamp, in milliseconds since the epoch.
        answer: What it says.
    """

    position: str
    stamped: int
    answer: Predicted | Rejected


# What a record says of an event, by its position; None where it is of another one.
_Read: TypeAlias = Callable[[RecordColumns, int, str], Predicted | Rejected | None]


class Follower:
    """Waits for what becomes of one event; made before the event is sent.

    Args:
        settings: Where the brokers and topics are.
        partition: The partition that the event will be sent to.
        stopped: Once it is set, nobody wants to know any more.

    Use `following`, which ends its threads.
    """

    def __init__(self, settings: ConsumerSettings, partition: int, stopped: threading.Event) -> None:
        self._stopped = stopped
        self._said: SimpleQueue[_Watch | Found | TandemError] = SimpleQueue()
        topics: dict[str, _Read] = {
            settings.output_topic: _prediction,
            settings.dead_letter_topic: _letter,
        }
        self.watches = [
            _Watch(settings, topic, partition, read, self._said) for topic, read in topics.items()
        ]

    def ready(self, deadline: Deadline) -> bool:
        """Waits until both topics are read from their ends; False: nobody wants to know any more.

        Raises:
            StalledError: They are not before the deadline.
            TandemError: They cannot be read.
        """
        waiting = set(self.watches)
        while waiting:
            said = self._next(deadline)
            if isinstance(said, _Watch):
                waiting.discard(said)
            elif self._stopped.is_set():
                return False
            else:
                raise StalledError(
                    "The topics of predictions and dead letters could not be read in time.",
                    hint="See that all brokers are up, then send the event again.",
                )
        return True

    def find(self, position: str, deadline: Deadline) -> Found | None:
        """Waits for what becomes of the event.

        Args:
            position: Where it was stored.
            deadline: When to give up.

        Returns:
            None when nothing has come of it by then, or nobody wants to know any more.

        Raises:
            TandemError: The topics cannot be read any more.
        """
        for watch in self.watches:
            watch.look_for(position)
        found = self._next(deadline)
        return found if isinstance(found, Found) else None

    def _next(self, deadline: Deadline) -> "_Watch | Found | None":
        while not (self._stopped.is_set() or deadline.passed):
            try:
                said = self._said.get(timeout=min(_POLL, deadline.remaining))
            except Empty:
                continue
            if isinstance(said, TandemError):
                raise said
            return said
        return None


@contextmanager
def following(settings: ConsumerSettings, partition: int, stopped: threading.Event) -> Iterator[Follower]:
    """Has both topics read for as long as the block runs; the connections are closed soon after.

    Args:
        settings: Where the brokers and topics are.
        partition: The partition that the event will be sent to.
        stopped: Once it is set, nobody wants to know any more.
    """
    follower = Follower(settings, partition, stopped)
    for watch in follower.watches:
        watch.start()
    try:
        yield follower
    finally:
        until = Deadline.after(_POLL + _CLOSE)
        for watch in follower.watches:
            watch.end()
        for watch in follower.watches:
            watch.join(until.remaining)


class _Watch(threading.Thread):
    """Reads one partition of a topic from its end on.

    Args:
        settings: Where the brokers are.
        topic: What to read.
        partition: Its partition.
        read: Reads a record.
        said: Is told that it reads from the end, what it found, or why it cannot.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        partition: int,
        read: _Read,
        said: "SimpleQueue[_Watch | Found | TandemError]",
    ) -> None:
        # Whoever ends the process does not wait for it.
        super().__init__(name=f"follow-{topic}", daemon=True)
        self._settings = settings
        self._topic, self._partition = topic, partition
        self._read, self._said = read, said
        self._ended, self._sent = threading.Event(), threading.Event()
        self._position = ""

    def look_for(self, position: str) -> None:
        """Begins to look for what came of the event that was stored there."""
        self._position = position
        self._sent.set()

    def end(self) -> None:
        """Lets it end."""
        self._ended.set()
        self._sent.set()

    def run(self) -> None:
        """Runs in the thread."""
        try:
            reader = Reader(
                self._settings,
                self._topic,
                group=None,
                partitions=[self._partition],
                partition_bytes=_FETCHED_BYTES,
            )
            try:
                self._follow(reader)
            finally:
                reader.close(Deadline.after(_CLOSE))
        except TandemError as error:
            self._said.put(error)

    def _follow(self, reader: Reader) -> None:
        reader.go_to_end()
        self._said.put(self)
        self._sent.wait()
        while not self._ended.is_set():
            try:
                polled = reader.poll(_POLL, _FETCHED_BATCHES)
            except RecoverableError as error:
                logger.debug("An event that was sent by hand cannot be followed for now: %s", error)
                self._ended.wait(_POLL)
                continue
            for columns in polled:
                if found := self._found(columns):
                    self._said.put(found)
                    return

    def _found(self, columns: RecordColumns) -> Found | None:
        for row, offset in enumerate(columns.offsets):
            if answer := self._read(columns, row, self._position):
                place = position_of(columns.topic, columns.partition, offset)
                return Found(place, columns.timestamps[row], answer)
        return None


def _prediction(columns: RecordColumns, row: int, position: str) -> Predicted | None:
    value = columns.values[row] or b""
    # Before it is decoded: the partition may be a busy one.
    if position.encode() not in value:
        return None
    try:
        told = msgspec.json.decode(value, type=dict)
        # Of a prediction's fields only the decision, whatever the model calls it, is true or false.
        decision = next(name for name, field in told.items() if isinstance(field, bool))
        if told.get("prediction_id") == position:
            said = {"text": value.decode(), "decision": decision, "decided": told[decision]}
            return Predicted.model_validate({**{name: told[name] for name in _TOLD}, **said})
    except (msgspec.DecodeError, ValidationError, UnicodeError, RecursionError, KeyError, StopIteration):
        # Not one of Tandem's.
        return None
    return None


def _letter(columns: RecordColumns, row: int, position: str) -> Rejected | None:
    try:
        told = told_by(columns.headers.get(row, ()))
    except ValueError:
        return None
    if told.origin.position != position:
        return None
    return Rejected(reason=told.reason, field=told.field, detail=told.detail, model=told.model)
