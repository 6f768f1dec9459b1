"""The consumer's loop: poll, score, publish, keep the books."""

import gc
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from consumer.books import Books
from consumer.budget import Budget
from consumer.inbox import Inbox
from consumer.report import Report
from consumer.scoring import Scored
from consumer.transaction import Output
from shared.errors import BrokerUnreachableError
from shared.kafka.columns import Mark, RecordColumns
from shared.kafka.errors import RecoverableError
from shared.stop import Stop

logger = logging.getLogger(__name__)

# Seconds that a poll waits for the first event, and thus the longest that a signal waits for the loop.
_POLL_SECONDS: Final = 0.2
# So many events are worth scoring while the batch before is on its way; fewer wait for those that follow.
_WORTH_SCORING: Final = 2_000
# A slow model has its group told at least this often, in seconds, that it is at work.
_MEMBERSHIP_SECONDS: Final = 1.0
_POSITIONS_SECONDS: Final = 1.0
# Seconds of pause after a batch is undone, twice as long after each further one in a row.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 2.0


class EventSource(Protocol):
    """What the loop needs of a reader (shared/kafka/reader.py)."""

    def poll(self, timeout: float, max_batches: int) -> Sequence[RecordColumns]:
        """The next events, one entry a partition."""

    def keep_membership(self) -> None:
        """Stays in the group, and notes a rebalance, without reading."""

    def take_rebalanced(self) -> bool:
        """Whether the assignment changed since the last call."""

    def caught_up(self, timeout: float) -> bool:
        """Whether all that there is now has been read; RecoverableError when the broker does not tell."""

    def positions(self) -> Mapping[int, int]:
        """The next offset to read of each assigned partition."""

    @property
    def joined(self) -> bool:
        """Whether the group has taken this consumer in."""

    @property
    def assignment(self) -> set[int]:
        """The partitions that are read now."""


class Scorer(Protocol):
    """What the loop needs of a scorer (consumer/scoring.py)."""

    def score(self, batch: Sequence[RecordColumns], now: int) -> list[Scored]:
        """Scores a batch, all of it with one model."""


class Guard(Protocol):
    """Who stops a run that rejects too much (consumer/guard.py)."""

    def check(self, batch: Sequence[Scored]) -> None:
        """Raises when a batch must not be published."""

    def add(self, batch: Sequence[Scored]) -> None:
        """Takes note of a batch that is committed."""


class Telemetry(Protocol):
    """Who is told how it goes (consumer/operations/telemetry.py)."""

    def step(self, name: str, places: Mapping[int, int]) -> AbstractContextManager[None]:
        """Tells that a step is done for as long as the block runs."""

    def assigned(self, partitions: Collection[int]) -> None:
        """The partitions that are read from now on."""

    def positions(self, positions: Mapping[int, int]) -> None:
        """By partition, the offset up to which all is done."""

    def committed(self, batch: Sequence[Scored], polled_at: float) -> None:
        """A batch is committed whose events were polled at a time of the monotonic clock."""

    def undone(self, events: int) -> None:
        """A batch is undone, and its events come again."""


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


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch on its way.

    Attributes:
        scored: What became of its events.
        polled_at: When the oldest of them was polled, on the monotonic clock.
    """

    scored: Sequence[Scored]
    polled_at: float

    @property
    def events(self) -> int:
        return sum(len(scored.events) for scored in self.scored)

    @property
    def partitions(self) -> set[int]:
        return {scored.events.partition for scored in self.scored}


class Loop:
    """Scores events until it is told to stop or a limit is reached.

    While one batch of a backlog is on its way to the broker, the next is polled and scored.

    Args:
        source: Where the events come from.
        scorer: Makes predictions and dead letters of them.
        output: Publishes and commits.
        budget: How much to take at once.
        stop: Tells when to end.
        guard: Ends a run that rejects too much.
        telemetry: Is told how it goes.
        limits: When to end unasked.
    """

    def __init__(  # noqa: PLR0913 - the loop is where the parts meet
        self,
        source: EventSource,
        scorer: Scorer,
        output: Output,
        budget: Budget,
        stop: Stop,
        guard: Guard,
        telemetry: Telemetry,
        limits: Limits,
    ) -> None:
        self._source = source
        self._scorer = scorer
        self._output = output
        self._budget = budget
        self._stop = stop
        self._guard = guard
        self._telemetry = telemetry
        self._limits = limits
        self._books = Books()
        self._inbox = Inbox()
        self._on_its_way: _Batch | None = None
        # Not known until the group has taken this consumer in.
        self._last_event: float | None = None
        self._first_event: float | None = None
        self._polled_at = self._asked_at = self._told_at = 0.0
        self._must_rewind = False
        self._undone_in_a_row = 0
        # Whether the last poll gave as much as if more were waiting.
        self._backlog = False
        self.ledger = self._books.ledger
        #: Seconds from the first event to the last commit.
        self.working_seconds = 0.0

    def run(self) -> None:
        """Runs to the end; what was polled is committed or will be read again, never lost.

        Raises:
            BrokerUnreachableError: It was to run until idle, and the broker does not say whether it is.
        """
        report = Report(self.ledger)
        with self._output, _without_garbage_collector():
            while not self._stop.requested and not self._reached_limit():
                self._read()
                if self._inbox and (not self._output.busy or len(self._inbox) >= _WORTH_SCORING):
                    batch = self._score()
                    if self._settle():
                        self._start(batch)
                elif self._output.busy and self._output.wait(_POLL_SECONDS):
                    self._settle()
                report.tick()
            self._settle()

    # --- reading ----------------------------------------------------------------------------------

    def _read(self) -> None:
        """Polls, unless there is enough to do, and goes back to what is committed when it must."""
        try:
            polled = self._poll()
        except RecoverableError as error:
            logger.warning("Waiting for Kafka: %s", error.message)
            # It may have taken events with it, and what was read before may be another member's by now.
            self._inbox.clear()
            self._must_rewind = True
            time.sleep(_POLL_SECONDS)
            return
        if self._source.take_rebalanced():
            # Whatever was polled may be another member's now: start again from what is committed.
            self._settle()
            self._rewind()
            self._last_event = time.monotonic() if self._source.joined else None
            self._telemetry.assigned(self._source.assignment)
            if self._source.assignment:
                logger.info("Ready", extra={"partitions": sorted(self._source.assignment)})
        elif self._must_rewind:
            self._rewind_if_told()
        elif polled:
            self._receive(polled)
        elif not self._inbox and not self._output.busy:
            self._output.rest()
        self._tell_positions()

    def _poll(self) -> Sequence[RecordColumns]:
        now = time.monotonic()
        if len(self._inbox) >= _WORTH_SCORING:
            if now - self._asked_at > _MEMBERSHIP_SECONDS:
                self._asked_at = now
                with self._telemetry.step("poll", {}):
                    self._source.keep_membership()
            return []
        if self._output.busy and not self._backlog:
            # A poll would only hold up the threads that see to the commit, after which more has arrived.
            return []
        self._asked_at = now
        with self._telemetry.step("poll", {}):
            timeout = 0 if self._inbox or self._output.busy else _POLL_SECONDS
            polled = self._source.poll(timeout, self._budget.batches)
        self._backlog = sum(map(len, polled)) >= _WORTH_SCORING
        return polled

    def _receive(self, polled: Sequence[RecordColumns]) -> None:
        self._last_event = time.monotonic()
        self._first_event = self._first_event or self._asked_at
        if not self._inbox:
            self._polled_at = self._last_event
        self._budget.polled(sum(map(len, polled)))
        self._inbox.add(polled)

    def _rewind(self) -> None:
        self._go_on_from(self._output.rewind())

    def _go_on_from(self, committed: Mapping[int, Mark | None]) -> None:
        """Starts over where the source stands now."""
        self._inbox.clear()
        self._books.open(committed)
        self._must_rewind = False

    def _rewind_if_told(self) -> None:
        """Goes back to what is committed, unless the broker is still away: for that there is no hurry."""
        self._settle()
        try:
            committed = self._output.try_to_rewind()
        except RecoverableError as error:
            logger.debug("The committed offsets cannot be read yet: %s", error.message)
            return
        self._go_on_from(committed)

    def _tell_positions(self) -> None:
        """Tells how far all is done: of a partition of which nothing is in hand, up to where it was read.

        That is beyond the last event where a transaction's mark, or what an aborted one left, comes after it.
        """
        now = time.monotonic()
        if now - self._told_at >= _POSITIONS_SECONDS and not self._must_rewind and self._source.assignment:
            self._told_at = now
            try:
                read = self._source.positions()
                in_hand = self._inbox.partitions | (
                    self._on_its_way.partitions if self._on_its_way else set()
                )
                self._telemetry.positions({p: offset for p, offset in read.items() if p not in in_hand})
            except RecoverableError as error:
                logger.debug("The positions are not known: %s", error.message)

    # --- scoring and publishing -------------------------------------------------------------------

    def _score(self) -> _Batch:
        events = self._inbox.take(self._most())
        began = time.monotonic()
        with self._telemetry.step("score", {columns.partition: columns.offsets[0] for columns in events}):
            batch = _Batch(self._scorer.score(events, time.time_ns() // 1_000_000), self._polled_at)
        if batch.scored:
            self._budget.scored(batch.events, time.monotonic() - began)
        return batch

    def _most(self) -> int:
        """How many events to take: not more than the budget, and than the run may read."""
        if self._limits.max_events is None:
            return self._budget.events
        on_its_way = self._on_its_way.events if self._on_its_way else 0
        return min(self._budget.events, self._limits.max_events - self.ledger.read - on_its_way)

    def _start(self, batch: _Batch) -> None:
        """Begins to publish a batch; the one before is settled."""
        if not batch.scored:
            return
        self._guard.check(batch.scored)
        self._output.start(batch.scored, self._books.marks(batch.scored))
        self._on_its_way = batch

    def _settle(self) -> bool:
        """Waits for the batch on its way, and enters it; without one there is nothing to do.

        Returns:
            Whether what was read after it still counts: False when it was undone.
        """
        batch, self._on_its_way = self._on_its_way, None
        if batch is None:
            return True
        if not self._output.finish():
            self._undone_in_a_row += 1
            self._telemetry.undone(batch.events)
            # What fails at once and for ever is to be seen in the log, not to be felt by the broker.
            time.sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._undone_in_a_row))
            if not self._stop.requested:
                self._rewind()
            return False
        self._undone_in_a_row = 0
        self._books.enter(batch.scored)
        self._guard.add(batch.scored)
        self._telemetry.committed(batch.scored, batch.polled_at)
        if self._first_event is not None:
            self.working_seconds = time.monotonic() - self._first_event
        return True

    # --- ending -----------------------------------------------------------------------------------

    def _reached_limit(self) -> bool:
        most = self._limits.max_events
        if most is not None and self.ledger.read >= most:
            return True
        idle = self._limits.until_idle
        if idle is None or self._last_event is None:
            return False
        if self._inbox or self._output.busy or self._must_rewind:
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
