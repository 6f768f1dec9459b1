"""The answer to a record batch that was written: there, or not yet, or a failure in Tandem's own words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kafka import errors as client

from shared.deadline import Deadline
from shared.errors import StalledError
from shared.kafka.errors import RecordTooLargeError, translated


class Pending(Protocol):
    """The answer to one batch, once the broker has given it."""

    @property
    def done(self) -> bool:
        """Whether the answer is there."""

    def wait_sent(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the batch to leave; whether it has, as far as can be told."""

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds; whether the answer is there."""

    def outcome(self) -> int:
        """The first record's offset, or raises the client's error."""


@dataclass(frozen=True, slots=True)
class BatchFuture:
    """One record batch on its way.

    Attributes:
        topic: Where it goes.
        partition: Its partition.
        rows: How many records it has.
    """

    topic: str
    partition: int
    rows: int
    _pending: Pending
    _forget_limits: Callable[[str], object]

    @property
    def done(self) -> bool:
        """Whether the batch has been acknowledged or has failed."""
        return self._pending.done

    def wait_sent(self, deadline: Deadline) -> None:
        """Waits until the batch is on its way, or has failed, or the deadline has passed."""
        self._pending.wait_sent(deadline.remaining)

    def result(self, deadline: Deadline) -> int:
        """Waits for the batch.

        Returns:
            The offset of its first record; the others follow without a gap.

        Raises:
            RecordTooLargeError: The broker refused its size.
            RecoverableError: It may not be stored; within a transaction, abort.
            FencedError: Another writer has taken over the transactional id.
            StalledError: No answer before the deadline.
        """
        # The client notes the answer a moment before it wakes who waits for it.
        if not self._pending.wait(deadline.remaining) and not self._pending.done:
            raise StalledError(
                f"No answer for {self.rows} records sent to topic {self.topic!r}/{self.partition}.",
                hint="The broker may be overloaded or its replicas down; what is uncommitted is done again.",
            )
        with translated(f"writing to topic {self.topic!r}"):
            try:
                return self._pending.outcome()
            except (client.MessageSizeTooLargeError, client.RecordListTooLargeError) as error:
                self._forget_limits(self.topic)
                raise RecordTooLargeError(self.topic, self.partition) from error


def acknowledged(future: BatchFuture) -> bool:
    """Whether a batch is stored; one that failed is kept, so that flush can tell."""
    if not future.done:
        return False
    try:
        future.result(Deadline.after(0))
    except Exception:  # noqa: BLE001 - raised again by flush
        return False
    return True
