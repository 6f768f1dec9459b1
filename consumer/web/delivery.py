"""One event on its way, from the page's form to what becomes of it.

Of the work nothing is done on the server's event loop, nor by the consumer's own clients: each event has a
thread and connections of its own, which end with it.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from consumer.settings import ConsumerSettings
from consumer.web.following import Follower, Found, following
from consumer.web.steps import LAST, Predicted, Step, Steps
from shared.deadline import Deadline
from shared.errors import TandemError
from shared.kafka.columns import NewRecords
from shared.kafka.groups import GroupLag
from shared.kafka.partitioning import partition_for
from shared.kafka.writer import Writer
from shared.keys import key_in
from shared.models.directory import read_declared
from shared.position import position_of
from shared.visible import visible
from shared.wording import counted

logger = logging.getLogger(__name__)

# Seconds for a broker to answer, for a consumer to take the event, and for clients to close.
_BROKER_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 2.0
# Characters of a key that a sentence shows.
_MOST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be sent.

    Attributes:
        value: Its bytes.
        key: The record's key; None: the customer's id, where there is one in it.
    """

    value: bytes
    key: bytes | None


class Delivery(threading.Thread):
    """One event on its way; made on the server's event loop.

    Args:
        settings: Where the brokers and topics are, and the model's directory.
        event: What to send.
        done: Is called once, in the thread: before the last step is told, or at the end where none is.
        patience: Seconds for a consumer to take the event.
    """

    def __init__(
        self,
        settings: ConsumerSettings,
        event: NewEvent,
        done: Callable[[], None],
        patience: float = _ANSWER_SECONDS,
    ) -> None:
        # Whoever ends the process does not wait for it.
        super().__init__(name="send", daemon=True)
        # A page does not wait as long for a broker as the consumer does.
        self._settings = settings.model_copy(
            update={"broker_timeout": min(settings.broker_timeout, _BROKER_SECONDS)}
        )
        self._event, self._patience = event, patience
        self._done = ExitStack()
        self._done.callback(done)
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[Step | None] = asyncio.Queue()
        self._unwanted = threading.Event()
        self._steps = Steps(self._tell)

    def _tell(self, step: Step | None) -> None:
        # Whoever is answered may send the next one, while the connections of this one are closed.
        if step is None or step.step in LAST:
            self._done.close()
        # The loop has ended where the server has.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._told.put_nowait, step)

    async def lines(self) -> AsyncIterator[bytes]:
        """Each step as a line of JSON, when it happens; whoever closes it before the end ends the work."""
        try:
            while step := await self._told.get():
                yield step.model_dump_json().encode() + b"\n"
                # The connections to Kafka are closed while nobody waits.
                if step.step in LAST:
                    return
        finally:
            self._unwanted.set()

    def run(self) -> None:
        """Runs in the thread."""
        try:
            self._deliver()
        except TandemError as error:
            self._steps.happened("failed", error.message, hint=error.hint)
        except Exception:
            logger.exception("An event of the page's form could not be sent")
            self._steps.happened("failed", "A fault of Tandem itself: the consumer's log has it.")
        finally:
            self._tell(None)

    def _deliver(self) -> None:
        settings, steps, value = self._settings, self._steps, self._event.value
        key = self._event.key
        if key is None:
            key = key_in(value, read_declared(settings.model)[0].key)
        under = "no key" if key is None else f"the key {visible(key, _MOST_SHOWN)}"
        steps.happened("received", f"{counted(len(value), 'byte')}, with {under}.", at=steps.began)
        writer = Writer(settings)
        try:
            partition = _partition(key, writer.partitions_of(settings.input_topic))
            with following(settings, partition, self._unwanted) as follower:
                if not follower.ready(Deadline.after(settings.broker_timeout)):
                    return
                read = f"partition {partition} of {settings.output_topic} and {settings.dead_letter_topic}"
                steps.happened("connected", f"Three connections are open; two read {read} from here on.")
                offset = self._send(writer, partition, key)
                self._follow(follower, partition, offset)
        finally:
            writer.close(Deadline.after(_CLOSE_SECONDS))

    def _send(self, writer: Writer, partition: int, key: bytes | None) -> int:
        """Sends the event; returns its offset."""
        topic, now = self._settings.input_topic, time.time_ns() // 1_000_000
        sent = writer.write(NewRecords(topic, partition, [key], [self._event.value], now))
        offset = sent[0].result(Deadline.after(self._settings.broker_timeout))
        self._steps.happened(
            "stored", f"Kafka keeps it, on topic {topic}.", position=position_of(topic, partition, offset)
        )
        return offset

    def _follow(self, follower: Follower, partition: int, offset: int) -> None:
        """Waits for what becomes of the event, and tells it."""
        position = position_of(self._settings.input_topic, partition, offset)
        found = follower.find(position, Deadline.after(self._patience))
        if found is not None:
            _tell_found(self._steps, found)
        elif not self._unwanted.is_set():
            self._tell_unanswered(partition, offset)

    def _tell_unanswered(self, partition: int, offset: int) -> None:
        settings, topic = self._settings, self._settings.input_topic
        nothing = f"Nothing has come of it within {self._patience:g} s"
        try:
            committed = _committed(settings, partition)
        except TandemError as error:
            told = f"{nothing}, and how far group {settings.group} is cannot be read: {error.message}"
        else:
            if committed is not None and committed > offset:
                self._steps.happened(
                    "failed",
                    f"{nothing}, though group {settings.group} has gone past it, to offset {committed:,}.",
                    hint="Does another consumer of the group write to other topics? Compare their options.",
                )
                return
            behind = "has committed nothing there" if committed is None else f"is at offset {committed:,}"
            told = f"{nothing}: group {settings.group} {behind}."
        look = f"python -m consumer status --group {settings.group} --input-topic {topic}"
        hint = f"It stays in topic {topic} and is scored when its turn comes. Who is at work: {look}"
        self._steps.happened("waiting", told, hint=hint)


def _partition(key: bytes | None, partitions: int) -> int:
    """The partition to which the producer sends a key; an event without one may go to any."""
    if key is None:
        return random.randrange(partitions)  # noqa: S311 - no secret
    return partition_for(key, partitions)


def _committed(settings: ConsumerSettings, partition: int) -> int | None:
    """What the group has committed of a partition; None when it has nothing."""
    group = GroupLag(settings, settings.group, settings.input_topic)
    try:
        marks = {known.partition: known.committed for known in group.partitions()}
    finally:
        group.close(Deadline.after(_CLOSE_SECONDS))
    mark = marks.get(partition)
    return None if mark is None else mark.offset


def _tell_found(steps: Steps, found: Found) -> None:
    answer = found.answer
    at = found.stamped / 1000
    if isinstance(answer, Predicted):
        steps.happened("scored", f"By a consumer with {answer.model}, by its clock.", at=at)
        steps.happened("published", "Its prediction is committed.", position=found.position, predicted=answer)
    else:
        steps.happened("scored", f"By a consumer with {answer.model}, by its clock: it was rejected.", at=at)
        steps.happened("published", "Its dead letter is committed.", position=found.position, rejected=answer)
