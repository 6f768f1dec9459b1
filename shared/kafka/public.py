"""Writing through the client's public calls, record by record, for when the fast path cannot be used."""

import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kafka import KafkaProducer
from kafka import errors as client
from kafka.serializer import Serializer

from shared.deadline import Deadline
from shared.errors import ConfigurationError
from shared.kafka.columns import Header, NewRecords


class Unwrap(Serializer):  # type: ignore[misc]  # the library has no types
    """Takes the value out of a tuple: `send` refuses a record that has neither key nor value."""

    def serialize(self, topic: str, headers: list[Header], data: tuple[bytes | None]) -> bytes | None:  # noqa: ARG002
        """The value itself."""
        return data[0]


class PendingRecords:
    """The answers to records that were sent one by one."""

    def __init__(self, futures: list[Any]) -> None:
        self._futures = futures

    @property
    def done(self) -> bool:
        """Whether every record has been acknowledged or has failed."""
        return all(future.is_done for future in self._futures)

    def wait_sent(self, timeout: float) -> bool:  # noqa: ARG002
        """True: the public calls do not tell when a record leaves."""
        return True

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds; whether all answers are there."""
        deadline = Deadline.after(timeout)
        for future in self._futures:
            try:
                future.get(timeout=deadline.remaining)
            except client.KafkaError:
                # Its own failure is told by outcome; only one that is still open means a timeout.
                if not future.is_done:
                    return False
        return True

    def outcome(self) -> int:
        """The first record's offset, or raises the first failure."""
        for future in self._futures:
            if future.failed():
                raise future.exception
        return int(self._futures[0].value.offset)


def send_singly(producer: KafkaProducer, records: NewRecords) -> PendingRecords:
    """Sends a batch's records one by one.

    Raises:
        ConfigurationError: A header has no value, which the client's `send` refuses.
    """
    times = itertools.repeat(records.timestamp) if isinstance(records.timestamp, int) else records.timestamp
    headers = itertools.repeat(()) if records.headers is None else records.headers
    futures = []
    for key, value, of_row, timestamp in zip(records.keys, records.values, headers, times, strict=False):
        if any(of_header is None for _name, of_header in of_row):
            raise ConfigurationError("The client's public calls cannot write a header without a value.")
        futures.append(
            producer.send(
                records.topic,
                value=(value,),
                key=key,
                headers=list(of_row),
                partition=records.partition,
                timestamp_ms=timestamp,
            )
        )
    return PendingRecords(futures)


def start_step(producer: KafkaProducer, step: str, *arguments: Any) -> Callable[[float], bool]:
    """As `fast.start_step`, for a call that waits without end: it runs in a thread of its own.

    Args:
        producer: The transactional producer.
        step: "send_offsets", "commit" or "abort".
        arguments: What the step takes.

    Returns:
        A function that waits up to so many seconds, says whether the step is done, and raises its error.
    """
    steps: Mapping[str, Callable[..., None]] = {
        "send_offsets": producer.send_offsets_to_transaction,
        "commit": producer.commit_transaction,
        "abort": producer.abort_transaction,
    }
    errors: list[Exception] = []

    def run() -> None:
        try:
            steps[step](*arguments)
        except Exception as error:  # noqa: BLE001 - raised again in the waiting thread
            errors.append(error)

    thread = threading.Thread(target=run, name=f"kafka-{step}", daemon=True)
    thread.start()

    def wait(timeout: float) -> bool:
        thread.join(timeout)
        if errors:
            raise errors[0]
        return not thread.is_alive()

    return wait
