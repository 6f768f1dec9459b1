"""Publishing and committing: the only place that touches offsets, one class a guarantee.

What an output promises to the loop: after `publish` has returned True, the records and the offsets of
their events are stored; after False, the source stands at the committed offsets again, so that the same
events come again, and under exactly-once nothing of the batch is visible to a read_committed reader.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from consumer.scoring import Scored
from shared.deadline import Deadline
from shared.errors import StalledError
from shared.kafka.columns import NewRecords
from shared.kafka.errors import RecoverableError

logger = logging.getLogger(__name__)

# Between two tries to find the committed offsets again.
_PAUSE = 0.5


class Source(Protocol):
    """What an output needs of a reader (shared/kafka/reader.py)."""

    def group_metadata(self) -> Any:
        """The member's identity."""

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commits offsets on their own."""

    def rewind(self) -> None:
        """Goes back to the committed offsets."""


class Sink(Protocol):
    """What an output needs of a writer (shared/kafka/writer.py)."""

    def begin(self) -> None:
        """Opens a transaction."""

    def write(self, records: NewRecords) -> object:
        """Hands records to the sender."""

    def flush(self, deadline: Deadline) -> None:
        """Waits until all is acknowledged."""

    def send_offsets(
        self, offsets: Mapping[tuple[str, int], int], group_metadata: Any, deadline: Deadline
    ) -> None:
        """Makes offsets part of the transaction."""

    def commit_transaction(self, deadline: Deadline) -> None:
        """Commits."""

    def abort_transaction(self, deadline: Deadline) -> None:
        """Aborts."""


class Output(ABC):
    """Publishes batches under one guarantee.

    Args:
        source: Where the events came from.
        sink: Where the records go.
        timeout: Seconds that a commit or an abort may take before the consumer counts as stalled.
    """

    def __init__(self, source: Source, sink: Sink, timeout: float) -> None:
        self._source = source
        self._sink = sink
        self._timeout = timeout

    @abstractmethod
    def publish(self, batch: Sequence[Scored]) -> bool:
        """Stores a batch's records and offsets.

        Returns:
            Whether the batch is committed. False means that its events come again.

        Raises:
            FencedError: Another instance has taken over.
            StalledError: The broker did not end the step in time.
            RecordTooLargeError: A record does not fit its topic.
        """

    def rewind(self) -> None:
        """Goes back to the committed offsets, trying until the broker tells them.

        Raises:
            StalledError: It did not within the timeout.
        """
        deadline = Deadline.after(self._timeout)
        while True:
            try:
                self._source.rewind()
            except RecoverableError as error:
                if deadline.passed:
                    raise StalledError(
                        f"the committed offsets could not be read in {self._timeout:g} s: {error.message}",
                        hint="See that the broker and the group's coordinator are up; then start again.",
                    ) from error
                logger.warning("The committed offsets cannot be read yet: %s", error.message)
                deadline.pause(_PAUSE)
            else:
                return

    def _write(self, batch: Sequence[Scored]) -> None:
        for scored in batch:
            for records in scored.records:
                self._sink.write(records)


class ExactlyOnceOutput(Output):
    """One transaction a batch: predictions, dead letters and input offsets count together or not at all."""

    def publish(self, batch: Sequence[Scored]) -> bool:
        """Steps 1 to 5 commit; if the transaction is lost, step 6 undoes it."""
        deadline = Deadline.after(self._timeout)
        begun = False
        try:
            # 1. The identity under which the batch was read: a stale one is refused in step 4 (KIP-447).
            member = self._source.group_metadata()
            # 2. Open the transaction.
            self._sink.begin()
            begun = True
            # 3. Write predictions and dead letters.
            self._write(batch)
            # 4. Add the offsets that follow the batch.
            offsets = {
                (scored.events.topic, scored.events.partition): scored.events.next_offset for scored in batch
            }
            self._sink.send_offsets(offsets, member, deadline)
            # 5. Commit.
            self._sink.commit_transaction(deadline)
        except RecoverableError as error:
            # 6. Abort, and go back to what is committed.
            logger.warning("The batch is undone and scored again: %s", error.message)
            if begun:
                self._sink.abort_transaction(Deadline.after(self._timeout))
            self.rewind()
            return False
        return True


class AtLeastOnceOutput(Output):
    """Write, wait for the acknowledgements, then commit the offsets: a kill in between repeats the batch."""

    def publish(self, batch: Sequence[Scored]) -> bool:
        """Steps 1 to 3 commit; if one fails, the batch comes again."""
        deadline = Deadline.after(self._timeout)
        try:
            # 1. Write predictions and dead letters.
            self._write(batch)
            # 2. Wait until the broker holds them.
            self._sink.flush(deadline)
            # 3. Commit the offsets that follow the batch.
            self._source.commit({scored.events.partition: scored.events.next_offset for scored in batch})
        except RecoverableError as error:
            logger.warning("The batch is scored again: %s", error.message)
            self.rewind()
            return False
        return True
