"""The consumer's loop: poll, score, publish, keep the books."""

import gc
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from consumer.budget import Budget
from consumer.scoring import Scored, StreamScorer, place_of
from consumer.transaction import Output
from shared.errors import BrokerUnreachableError
from shared.kafka.columns import RecordColumns
from shared.kafka.errors import RecoverableError
from shared.ledger import Ledger
from shared.stop import Stop

logger = logging.getLogger(__name__)

# Seconds that a poll waits for the first event, and thus the longest that a signal waits for the loop.
_POLL_SECONDS: Final = 0.2
_REPORT_SECONDS: Final = 10.0
# Seconds for the broker of a quiet topic to show that it is there.
_SIGN_SECONDS: Final = 2.0


class EventSource(Protocol):
    """What the loop needs of a reader (shared/kafka/reader.py)."""

    def poll(self, timeout: float, max_batches: int) -> Sequence[RecordColumns]:
        """The next events, one entry a partition."""

    def take_rebalanced(self) -> bool:
        """Whether the assignment changed since the last call."""

    def caught_up(self, timeout: float) -> bool:
        """Whether all that there is now has been read; RecoverableError when the broker does not tell."""

    @property
    def joined(self) -> bool:
        """Whether the group has taken this consumer in."""

    @property
    def assignment(self) -> set[int]:
        """The partitions that are read now."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends by itself.

    Attributes:
        max_events: After so many events; None: never.
        until_idle: When nothing came for so many seconds, and nothing is left; None: never.
        broker_timeout: Seconds that the broker has to say that nothing is left.
    """

    max_events: int | None = None
    until_idle: float | None = None
    broker_timeout: float = 30.0


class Loop:
    """Scores events until it is told to stop or a limit is reached.

    Args:
        source: Where the events come from.
        scorer: Makes predictions and dead letters of them.
        output: Publishes and commits.
        budget: How much a poll may take.
        stop: Tells when to end.
        limits: When to end unasked.
    """

    def __init__(
        self,
        source: EventSource,
        scorer: StreamScorer,
        output: Output,
        budget: Budget,
        stop: Stop,
        limits: Limits,
    ) -> None:
        self._source = source
        self._scorer = scorer
        self._output = output
        self._budget = budget
        self._stop = stop
        self._limits = limits
        # Not known until the group has taken this consumer in.
        self._last_event: float | None = None
        self._first_event: float | None = None
        self._must_rewind = False
        self.ledger = Ledger()
        #: Seconds from the first event to the last commit.
        self.working_seconds = 0.0

    def run(self) -> None:
        """Runs to the end; what was polled is committed or will be read again, never lost.

        Raises:
            BrokerUnreachableError: It was to run until idle, and the broker does not say whether it is.
        """
        report = _Report(self.ledger, self._source)
        with _without_garbage_collector():
            while not self._stop.requested and not self._reached_limit():
                events = self._poll()
                started = time.monotonic()
                if events:
                    batch = self._scorer.score(events, _now())
                    if self._output.publish(batch):
                        self._enter(batch)
                    self._budget.spent(sum(map(len, events)), time.monotonic() - started)
                report.tick()

    def _poll(self) -> Sequence[RecordColumns]:
        asked = time.monotonic()
        try:
            events = self._source.poll(_POLL_SECONDS, self._budget.batches)
        except RecoverableError as error:
            logger.warning("Waiting for Kafka: %s", error.message)
            self._must_rewind = True
            time.sleep(_POLL_SECONDS)
            return []
        if events and self._must_rewind:
            # The poll that failed may have taken events with it.
            self._output.rewind()
            self._must_rewind = False
            return []
        if self._source.take_rebalanced():
            # Whatever was polled may be another member's now: start again from what is committed.
            self._output.rewind()
            self._must_rewind = False
            self._last_event = time.monotonic() if self._source.joined else None
            if self._source.assignment:
                logger.info("Ready", extra={"partitions": sorted(self._source.assignment)})
            return []
        if events:
            self._last_event = time.monotonic()
            self._first_event = self._first_event or asked
        return self._within_limit(events)

    def _within_limit(self, events: Sequence[RecordColumns]) -> Sequence[RecordColumns]:
        if self._limits.max_events is None:
            return events
        left = self._limits.max_events - self.ledger.read
        kept = []
        for columns in events:
            if left > 0:
                kept.append(columns.head(left))
                left -= len(kept[-1])
        return kept

    def _enter(self, batch: Sequence[Scored]) -> None:
        for scored in batch:
            self.ledger.add(place_of(scored.events), len(scored.events), scored.outcome)
        if self._first_event is not None:
            self.working_seconds = time.monotonic() - self._first_event

    def _reached_limit(self) -> bool:
        if self._limits.max_events is not None and self.ledger.read >= self._limits.max_events:
            return True
        idle = self._limits.until_idle
        if idle is None or self._last_event is None:
            return False
        return time.monotonic() - self._last_event >= idle and self._nothing_is_left()

    def _nothing_is_left(self) -> bool:
        """Whether all events have been read: a broker that is silent looks like a topic that is quiet."""
        try:
            if self._source.caught_up(self._limits.broker_timeout):
                return True
        except RecoverableError as error:
            raise BrokerUnreachableError(
                f"No event came for a while, and whether any is left is not known: {error.message}",
                hint="See that all brokers are up, then start again: it goes on from what is committed.",
            ) from error
        self._last_event = time.monotonic()
        return False


def _now() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def _without_garbage_collector() -> Iterator[None]:
    """Keeps the collector out of the hot loop, where large lists of objects wake it for nothing.

    The report collects every few seconds instead.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class _Report:
    """Says now and then how far the loop is, or that the broker does not answer."""

    def __init__(self, ledger: Ledger, source: EventSource) -> None:
        self._ledger = ledger
        self._source = source
        self._at = self._answered = time.monotonic()
        self._read = 0

    def tick(self) -> None:
        """Reports when it is time."""
        passed = time.monotonic() - self._at
        if passed < _REPORT_SECONDS:
            return
        gc.collect()
        new, self._at = self._ledger.read - self._read, time.monotonic()
        if not new:
            self._look_for_the_broker()
            return
        self._answered = self._at
        counts = {"scored": self._ledger.scored, "rejected": self._ledger.rejected}
        logger.info("Scoring", extra={**counts, "events_per_second": round(new / passed)})
        self._read += new

    def _look_for_the_broker(self) -> None:
        """A poll comes back empty from a quiet topic and from a silent broker alike."""
        try:
            self._source.caught_up(_SIGN_SECONDS)
        except RecoverableError:
            logger.warning("No answer from the broker for %d s; waiting", time.monotonic() - self._answered)
        else:
            self._answered = time.monotonic()
