"""Publishing and committing: the only place that touches offsets, one class a guarantee.

What an output promises to the loop:

- `start` hands a batch over, and the loop goes on with the next one while a thread of the output waits for
  the broker; one batch at a time;
- after `finish` has returned True, the records and the offsets of their events are stored; after False, the
  source must be rewound (`rewind`), so that the same events come again, and under exactly-once nothing of the
  batch is visible to a read_committed reader;
- the source is touched by the loop's own thread only, the sink by one thread at a time.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Protocol, Self

from consumer.books import Marks
from consumer.scoring import Scored
from shared.deadline import Deadline
from shared.errors import StalledError, TandemError
from shared.kafka.columns import Mark, NewRecords
from shared.kafka.errors import RecoverableError

logger = logging.getLogger(__name__)

# Between two tries to find the committed offsets again.
_PAUSE: Final = 0.5
# An open transaction that nothing came for is ended after so many seconds. What is left of its timeout at
# the broker is for the batch that it is used for.
_WARM_SECONDS: Final = 1.0


class Source(Protocol):
    """What an output needs of a reader (shared/kafka/reader.py)."""

    def group_metadata(self) -> Any:
        """The member's identity."""

    def commit(self, offsets: Mapping[int, Mark]) -> None:
        """Commits offsets on their own."""

    def rewind(self) -> Mapping[int, Mark | None]:
        """Goes back to the committed offsets, and tells them."""


class Sink(Protocol):
    """What an output needs of a writer (shared/kafka/writer.py)."""

    def begin(self, expected: Collection[tuple[str, int]] = (), group_metadata: Any = None) -> None:
        """Opens a transaction."""

    def write(self, *several: NewRecords) -> object:
        """Hands records to the sender."""

    def flush(self, deadline: Deadline) -> None:
        """Waits until all is acknowledged."""

    def send_offsets(self, offsets: Marks, group_metadata: Any, deadline: Deadline) -> None:
        """Makes offsets part of the transaction."""

    def commit_transaction(self, deadline: Deadline) -> None:
        """Commits."""

    def abort_transaction(self, deadline: Deadline) -> None:
        """Aborts."""


class Watch(Protocol):
    """Who looks at how long a step takes (consumer/operations/telemetry.py)."""

    def step(self, name: str, places: Mapping[int, int]) -> AbstractContextManager[None]:
        """Tells that a step is done for as long as the block runs.

        Args:
            name: What is done: poll, score, commit, abort or rewind.
            places: By partition, the offset of the first event in hand.
        """


class Output(ABC):
    """Publishes batches under one guarantee; leave it through `with`.

    Args:
        source: Where the events came from.
        sink: Where the records go.
        timeout: Seconds that a commit or an abort may take before the consumer counts as stalled.
        watch: Who looks at how long the steps take.
    """

    def __init__(self, source: Source, sink: Sink, timeout: float, watch: Watch) -> None:
        self._source = source
        self._sink = sink
        self._timeout = timeout
        self._watch = watch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._waiting: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A thread that hangs has its own deadline, and must not hold up the end for longer.
        self._thread.shutdown(wait=error is None)

    @property
    def busy(self) -> bool:
        """Whether a batch was started and not finished."""
        return self._waiting is not None

    def wait(self, seconds: float) -> bool:
        """Waits up to so many seconds; whether `finish` would return at once."""
        return self._waiting is None or bool(wait_for([self._waiting], seconds).done)

    @abstractmethod
    def start(self, batch: Sequence[Scored], marks: Marks) -> None:
        """Begins to store a batch's records, and what its partitions commit.

        Raises:
            FencedError: Another instance has taken over.
            RecordTooLargeError: A record does not fit its topic.
        """

    @abstractmethod
    def finish(self) -> bool:
        """Waits for the batch that was started.

        Returns:
            Whether the batch is committed. False means that the source must be rewound.

        Raises:
            FencedError: Another instance has taken over.
            StalledError: The broker did not end a step in time.
            RecordTooLargeError: A record does not fit its topic.
        """

    @abstractmethod
    def rest(self) -> None:
        """To be called when nothing comes: keeps nothing open at the broker.

        Raises:
            FencedError: Another instance has taken over.
            StalledError: The broker did not answer in time.
        """

    def rewind(self) -> Mapping[int, Mark | None]:
        """Goes back to the committed offsets, trying until the broker tells them.

        Returns:
            What each assigned partition has committed.

        Raises:
            StalledError: It did not within the timeout.
        """
        deadline = Deadline.after(self._timeout)
        while True:
            try:
                return self.try_to_rewind()
            except RecoverableError as error:
                if deadline.passed:
                    raise StalledError(
                        f"the committed offsets cannot be read for {self._timeout:g} s: {error.message}",
                        hint="See that the brokers and the group's coordinator are up; then start again.",
                    ) from error
                logger.warning("The committed offsets cannot be read yet: %s", error.message)
                deadline.pause(_PAUSE)

    def try_to_rewind(self) -> Mapping[int, Mark | None]:
        """As `rewind`, once.

        Raises:
            RecoverableError: The broker does not tell; the position is as it was.
        """
        with self._watch.step("rewind", {}):
            return self._source.rewind()

    def _write(self, batch: Sequence[Scored]) -> None:
        self._sink.write(*(records for scored in batch for records in scored.records))

    def _fail(self, error: RecoverableError) -> None:
        """Leaves an error of `start` to `finish`, which undoes the batch."""
        self._waiting = Future()
        self._waiting.set_exception(error)

    def _end(self) -> None:
        """Waits for the thread, and raises what it raised."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.result()


def _first_offsets(batch: Sequence[Scored]) -> dict[int, int]:
    return {scored.events.partition: scored.events.offsets[0] for scored in batch}


class ExactlyOnceOutput(Output):
    """One transaction a batch: predictions, dead letters and input offsets count together or not at all.

    While batches follow one another closely, a transaction is opened as soon as the one before is committed,
    and the broker is told what it will hold: these answers are there before the next events are.
    """

    def __init__(self, source: Source, sink: Sink, timeout: float, watch: Watch) -> None:
        super().__init__(source, sink, timeout, watch)
        # When the transaction was opened that nothing was written to yet.
        self._opened: float | None = None
        self._begun = False
        # Whether the next batch will likely come soon enough to find a transaction that is opened now.
        self._soon = False
        self._committed_at = 0.0

    def start(self, batch: Sequence[Scored], marks: Marks) -> None:
        """Steps 1 to 3; 4 to 6 follow in the thread."""
        deadline = Deadline.after(self._timeout)
        self._soon = time.monotonic() - self._committed_at < _WARM_SECONDS
        try:
            # 1. The identity under which the batch was read: a stale one is refused in step 4 (KIP-447).
            member = self._source.group_metadata()
            # 2. Open a transaction, unless there is a fresh one.
            self.rest()
            begun, self._begun, self._opened = self._begun, True, None
            if not begun:
                self._sink.begin()
            # 3. Write predictions and dead letters.
            self._write(batch)
        except RecoverableError as error:
            self._fail(error)
            return
        self._waiting = self._thread.submit(self._commit, batch, marks, member, deadline)

    def _commit(self, batch: Sequence[Scored], marks: Marks, member: Any, deadline: Deadline) -> None:
        with self._watch.step("commit", _first_offsets(batch)):
            # 4. Add the offsets that follow the batch.
            self._sink.send_offsets(marks, member, deadline)
            # 5. Commit.
            self._sink.commit_transaction(deadline)
        self._begun, self._committed_at = False, time.monotonic()
        if not self._soon:
            return
        # 6. Open the next transaction, which will likely hold the same partitions.
        try:
            self._sink.begin({(r.topic, r.partition) for scored in batch for r in scored.records}, member)
        except TandemError as error:
            # The batch is stored; whatever is wrong shows again in step 2 of the next one.
            logger.debug("No transaction could be opened ahead: %s", error)
        else:
            self._begun, self._opened = True, time.monotonic()

    def finish(self) -> bool:
        """Waits for the commit; if the transaction is lost, it is aborted."""
        try:
            self._end()
        except RecoverableError as error:
            logger.warning("The batch is undone and scored again: %s", error.message)
            self._abort()
            return False
        return True

    def rest(self) -> None:
        """Ends a transaction that was opened a while ago and that nothing was written to.

        It is committed, though nothing is in it: a broker that stops while it has no replicas takes a
        transaction for complete whose marks it has not written (4.3.1: "Couldn't find leader endpoint").
        The marks of the next one by the same producer, on the same partitions, are then what makes it count.
        """
        if self._opened is None or time.monotonic() - self._opened <= _WARM_SECONDS:
            return
        try:
            with self._watch.step("commit", {}):
                self._sink.commit_transaction(Deadline.after(self._timeout))
            self._begun, self._opened = False, None
        except RecoverableError as error:
            logger.debug("A transaction with nothing in it could not be ended: %s", error.message)
            self._abort()

    def _abort(self) -> None:
        if not self._begun:
            return
        self._begun, self._opened = False, None
        with self._watch.step("abort", {}):
            self._sink.abort_transaction(Deadline.after(self._timeout))


class AtLeastOnceOutput(Output):
    """Write, wait for the acknowledgements, then commit the offsets: a kill in between repeats the batch."""

    _marks: Mapping[int, Mark]

    def start(self, batch: Sequence[Scored], marks: Marks) -> None:
        """Step 1; 2 follows in the thread."""
        deadline = Deadline.after(self._timeout)
        self._marks = {partition: mark for (_, partition), mark in marks.items()}
        try:
            # 1. Write predictions and dead letters.
            self._write(batch)
        except RecoverableError as error:
            self._fail(error)
            return
        # 2. Wait until the broker holds them.
        self._waiting = self._thread.submit(self._flush, batch, deadline)

    def _flush(self, batch: Sequence[Scored], deadline: Deadline) -> None:
        with self._watch.step("commit", _first_offsets(batch)):
            self._sink.flush(deadline)

    def finish(self) -> bool:
        """Step 3; if one fails, the batch comes again."""
        try:
            self._end()
            # 3. Commit the offsets that follow the batch.
            with self._watch.step("commit", {}):
                self._source.commit(self._marks)
        except RecoverableError as error:
            logger.warning("The batch is scored again: %s", error.message)
            return False
        return True

    def rest(self) -> None:
        """Nothing is ever open."""
