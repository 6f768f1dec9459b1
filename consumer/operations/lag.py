"""Where the input topic ends, asked on a thread and a connection of its own: also while the loop is stuck."""

import logging
import threading
import time
from typing import Final

from consumer.operations.telemetry import Telemetry
from shared.deadline import Deadline
from shared.errors import TandemError
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader

logger = logging.getLogger(__name__)

# Seconds from one question to the next, and those that a broker has to answer: together below LATELY.
_PAUSE: Final = 2.0
_PATIENCE: Final = 5.0
_CLOSE_SECONDS: Final = 1.0
# Seconds after which a broker that is still away is told of again.
_SAID_EVERY: Final = 10.0


class LagProbe(threading.Thread):
    """Asks for the ends of all partitions every few seconds, and tells them to the telemetry.

    A broker that does not answer is asked again for as long as it takes.

    Args:
        settings: Where the brokers are.
        topic: The input topic.
        telemetry: Is told each answer.
    """

    def __init__(self, settings: KafkaSettings, topic: str, telemetry: Telemetry) -> None:
        super().__init__(name="lag-probe", daemon=True)
        self._settings = settings.model_copy(update={"broker_timeout": _PATIENCE})
        self._topic = topic
        self._telemetry = telemetry
        self._ended = threading.Event()
        self._reader: Reader | None = None
        self._answered_at = time.monotonic()
        # When it was last said that the broker is away; None while it answers.
        self._said_at: float | None = None

    def run(self) -> None:
        """Asks until it is told to end."""
        while True:
            try:
                self._ask()
            except TandemError as error:
                self._give_up(error.message)
            except Exception as error:
                # The client's own fault: the thread must outlive it, or the lag would never be known again.
                logger.debug("What went wrong in the client", exc_info=True)
                self._give_up(f"{type(error).__name__}: {error}")
            if self._ended.wait(_PAUSE):
                break
        self._close()

    def end(self) -> None:
        """Ends the thread, without waiting for a broker that does not answer."""
        self._ended.set()
        self.join(_CLOSE_SECONDS)

    def _ask(self) -> None:
        if self._reader is not None and not self._telemetry.assignment <= self._reader.assignment:
            # Partitions were added to the topic.
            self._close()
        if self._reader is None:
            self._reader = Reader(self._settings, self._topic, group=None)
        self._telemetry.ends(self._reader.end_offsets())
        self._answered_at = time.monotonic()
        if self._said_at is not None:
            logger.info("The broker answers again")
        self._said_at = None

    def _give_up(self, reason: str) -> None:
        """Says so now and then, and starts over: brokers may have moved meanwhile.

        Nobody else says it: a poll comes back empty from a quiet topic and from a silent broker alike.
        """
        now = time.monotonic()
        if self._said_at is None or now - self._said_at >= _SAID_EVERY:
            self._said_at = now
            logger.warning("No answer from the broker for %d s; waiting: %s", now - self._answered_at, reason)
        self._close()

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is None:
            return
        try:
            reader.close(Deadline.after(_CLOSE_SECONDS))
        except TandemError as error:
            logger.debug("The probe's connection was not closed: %s", error.message)
