"""Writing whole record batches, in transactions or without.

What a writer promises:

- records of one partition are stored in the order of the `write` calls, each once, or their future fails;
- inside a transaction, `commit_transaction` first sees every batch acknowledged: the client itself would
  commit a transaction of which a batch has expired;
- no call waits longer than its deadline.
"""

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka import errors as client
from kafka.structs import OffsetAndMetadata

from shared.deadline import Deadline
from shared.errors import BrokerUnreachableError, ConfigurationError, FencedError, StalledError
from shared.kafka.choice import fast_path
from shared.kafka.columns import Mark, NewRecords
from shared.kafka.connection import KafkaSettings, client_options, open_client
from shared.kafka.encode import Encoded, encode_records
from shared.kafka.errors import RecordTooLargeError, RecoverableError, translated
from shared.kafka.pending import BatchFuture, Pending, acknowledged
from shared.kafka.public import Unwrap, send_singly, start_step
from shared.kafka.split import most_bytes, spans
from shared.kafka.topics import TopicInfo, describe_topics

logger = logging.getLogger(__name__)

_TUNING: Mapping[str, Any] = {
    "max_request_size": 16 << 20,
    "batch_size": 1 << 20,
    # After a commit the broker answers CONCURRENT_TRANSACTIONS for a moment; the library's 100 ms is a tail.
    "retry_backoff_ms": 1,
    "metrics_enabled": False,
}
# The codec that needs no other package, as a record batch's attributes name it.
_GZIP = 1


class Writer:
    """Writes whole record batches from columns.

    Args:
        settings: Where the brokers are.
        transactional_id: Write in transactions under this name, which fences an earlier writer of the same
            name; None writes without transactions.
        transaction_timeout: Seconds after which the broker aborts a transaction that nobody ends.
        public_calls: Write record by record through the client's public calls only.
        compress_large: Compress a record with gzip, in a batch of its own, when the topic would not take it
            otherwise; not with the public calls, which know one codec for all.
        max_batch_bytes: Most bytes a record batch; None goes up to what the topic allows.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: The broker does not let this client in, or refuses a setting.
        FencedError: Another writer took the transactional id over at the same time.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        transactional_id: str | None = None,
        transaction_timeout: float = 10.0,
        public_calls: bool = False,
        compress_large: bool = False,
        max_batch_bytes: int | None = None,
    ) -> None:
        self._settings = settings
        self._fast = fast_path(public_calls=public_calls)
        self._options = {
            **_TUNING,
            **client_options(settings, role="producer"),
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,
            "allow_auto_create_topics": False,
            "value_serializer": None if self._fast else Unwrap(),
            "transactional_id": transactional_id,
            "transaction_timeout_ms": int(transaction_timeout * 1000),
        }
        self._compress_large = compress_large
        self._max_batch_bytes = max_batch_bytes
        self._topics: dict[str, TopicInfo] = {}
        self._open: list[BatchFuture] = []
        self._announced: Any = None
        # Whether anything of the open transaction may have reached the broker.
        self._sent = False
        self._producer = self._connect(Deadline.after(settings.broker_timeout))

    def _connect(self, deadline: Deadline) -> KafkaProducer:
        block_ms = max(1, int(min(deadline.remaining, self._settings.broker_timeout) * 1000))
        options = {**self._options, "max_block_ms": block_ms}
        producer = open_client(KafkaProducer, options, self._settings, deadline)
        if self._fast is not None:
            self._fast.surface_too_large(producer)
        if fast := fast_path(public_calls=False):
            fast.keep_unsent(producer)
        if self._options["transactional_id"] is not None:
            try:
                with translated(f"starting transactions as {self._options['transactional_id']!r}"):
                    producer.init_transactions()
            except Exception:
                producer.close(timeout=0)
                raise
        return producer

    def prepare(self, *topics: str) -> None:
        """Learns the limits of topics, which would else be asked for within the first transaction.

        Raises:
            BrokerUnreachableError: No broker answered in time.
            ConfigurationError: A topic does not exist.
            RecoverableError: The broker is in trouble.
        """
        for topic in topics:
            self._topic(topic)

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has.

        Raises:
            BrokerUnreachableError, ConfigurationError, RecoverableError: As `prepare`.
        """
        return self._topic(topic).partitions

    def too_large(self, records: NewRecords) -> list[int]:
        """The records, by index, that their topic does not take even in a compressed batch of their own.

        What is not told here fits, unless the topic's limit has been lowered since it was read.

        Raises:
            ConfigurationError, RecoverableError: As `prepare`.
        """
        allowed = self._allowed(records.topic)
        cuts = spans(records, allowed)
        return [
            start
            for start, stop in cuts
            if stop - start == 1 and self._codec_alone(records.rows(start, stop), allowed) is None
        ]

    def _allowed(self, topic: str) -> int:
        """Most bytes of a record batch."""
        return min(self._topic(topic).max_message_bytes, int(self._options["max_request_size"]))

    def _topic(self, name: str) -> TopicInfo:
        known = self._topics.get(name)
        if known is None:
            deadline = Deadline.after(self._settings.broker_timeout)
            known = describe_topics(self._settings, [name], deadline)[name]
            if known is None:
                raise ConfigurationError(
                    f"there is no topic {name!r}", hint="Create it, or correct the option that names it."
                )
            self._learn_partitions(name)
            self._topics[name] = known
        return known

    def _forget_limits(self, topic: str) -> None:
        """Lets the topic's limit be read again: it has been lowered since."""
        self._topics.pop(topic, None)

    def write(self, *several: NewRecords) -> list[BatchFuture]:
        """Hands records to the sender; returns at once.

        Args:
            several: Records of one partition each, any number of them; they are split here into batches that
                their topic takes.

        Returns:
            One future a record batch, in order.

        Raises:
            RecordTooLargeError: A single record is larger than its topic allows; what came before it in
                `several` was written.
            RecoverableError: The transaction has failed already; abort it.
            FencedError: Another writer has taken over the transactional id.
        """
        self._sent = True
        futures: list[BatchFuture] = []
        for records in several:
            batches = self._batches(records)
            with translated(f"writing to topic {records.topic!r}"):
                for batch, codec in batches:
                    futures.append(future := self._send(batch, codec))
                    # At once: what is on its way is known even when a later one cannot be sent.
                    self._open.append(future)
        if self._fast is not None:
            # Once for all: each call may hand the interpreter's lock over.
            self._fast.wake(self._producer)
        if len(self._open) > _SWEEP:
            self._open = [future for future in self._open if not acknowledged(future)]
        return futures

    def _batches(self, records: NewRecords) -> list[tuple[NewRecords, int]]:
        """The records, cut into batches that their topic takes, and the codec of each."""
        allowed = self._allowed(records.topic)
        batches = []
        for start, stop in spans(records, min(allowed, self._max_batch_bytes or allowed)):
            whole = start == 0 and stop == len(records)
            batch = records if whole else records.rows(start, stop)
            codec = self._codec if stop - start > 1 else self._codec_alone(batch, allowed)
            if codec is None:
                size = len(_encoded(batch).buffer)
                raise RecordTooLargeError(
                    records.topic, records.partition, row=start, size=size, limit=allowed
                )
            batches.append((batch, codec))
        return batches

    @property
    def _codec(self) -> int:
        return 0 if self._fast is None else int(self._fast.compression_of(self._producer))

    def _codec_alone(self, record: NewRecords, allowed: int) -> int | None:
        """The codec with which a batch of one record fits its topic; None when it does not."""
        codec = self._codec
        if most_bytes(record) <= allowed or (size := len(_encoded(record).buffer)) <= allowed:
            return codec
        if self._fast is None:
            # The client compresses it by its options, and the broker decides.
            may_shrink = self._options.get("compression_type") and size <= self._options["max_request_size"]
            return codec if may_shrink else None
        codec = codec or (_GZIP if self._compress_large else 0)
        return codec if codec and len(self._fast.built(_encoded(record), codec)) <= allowed else None

    def _send(self, records: NewRecords, codec: int) -> BatchFuture:
        pending: Pending
        if self._fast is not None:
            pending = self._fast.enqueue(
                self._producer, records.topic, records.partition, _encoded(records), codec
            )
        else:
            pending = send_singly(self._producer, records)
        return BatchFuture(records.topic, records.partition, len(records), pending, self._forget_limits)

    def flush(self, deadline: Deadline) -> None:
        """Waits for everything written so far.

        Raises:
            RecordTooLargeError, RecoverableError, FencedError, StalledError: The first failure, in order of
                writing; see `BatchFuture.result`.
        """
        waiting, self._open = self._open, []
        try:
            for future in waiting:
                future.result(deadline)
        except Exception:
            if self._options["transactional_id"] is not None:
                # Told once is not enough: until the abort, no commit may pass over a batch that failed.
                self._open = waiting
            raise

    # --- transactions -----------------------------------------------------------------------------

    def begin(self, expected: Collection[tuple[str, int]] = (), group_metadata: Any = None) -> None:
        """Opens a transaction; what is written from here on becomes visible at its commit, or never.

        Args:
            expected: (topic, partition) of what will be written. The broker is told now, while there is time;
                of others it is told when they are written.
            group_metadata: Likewise the group whose offsets will be committed; with `expected` only.

        Raises:
            FencedError: Another writer has taken over the transactional id.
            RecoverableError: The transaction before was not ended.
        """
        self._open = []
        self._announced, self._sent = None, False
        with translated("opening a transaction"):
            self._producer.begin_transaction()
            if self._fast is not None and expected:
                self._announced = self._fast.Announced(self._producer, expected, group_metadata)

    def send_offsets(
        self, offsets: Mapping[tuple[str, int], Mark], group_metadata: Any, deadline: Deadline | None = None
    ) -> None:
        """Makes a group's offsets part of the transaction.

        Args:
            offsets: (topic, partition) to the next offset to read.
            group_metadata: From `Reader.group_metadata`, taken with the batch that the offsets belong to.
            deadline: When to give up; after the settings' broker_timeout when not given.

        Raises:
            StaleGroupError: The partitions may belong to another member by now; abort and rewind.
            FencedError: Another writer or static member has taken over.
            StalledError: No answer before the deadline.
        """
        committed = {
            TopicPartition(*place): OffsetAndMetadata(mark.offset, mark.metadata, -1)
            for place, mark in offsets.items()
        }
        deadline = deadline or Deadline.after(self._settings.broker_timeout)
        self._sent = True
        # The client sends no records while it waits for an answer about offsets: with the records on their
        # way first, both travel at once.
        for future in self._open:
            future.wait_sent(deadline)
        if self._announced is None:
            self._step("send_offsets", deadline, committed, group_metadata)
            return
        with translated(_STEPS["send_offsets"]):
            announced = self._announced.wait(deadline.remaining)
        if not announced:
            raise _stalled("send_offsets")
        self._step("commit_offsets", deadline, committed, group_metadata)

    def commit_transaction(self, deadline: Deadline | None = None) -> None:
        """Commits: waits for every batch first, then ends the transaction.

        Raises:
            RecordTooLargeError, RecoverableError: The transaction cannot be committed; abort and rewind.
            FencedError: Another writer has taken over; nothing of this transaction counts.
            StalledError: No answer before the deadline; whether it counts is known only after a restart.
        """
        deadline = deadline or Deadline.after(self._settings.broker_timeout)
        self.flush(deadline)
        self._step("commit", deadline)

    def abort_transaction(self, deadline: Deadline | None = None) -> None:
        """Ends the transaction so that nothing of it counts, and leaves the writer ready for the next.

        Where anything was sent, a new client ends it under the same name, with which the broker refuses what
        of the old one may still be on its way: it would count for the next transaction (KIP-890). The library
        (3.0.12) would also commit the offsets of an aborted transaction with those of the next one, though
        the partitions may be another member's by then.

        Raises:
            FencedError: Another writer has taken over; it has ended the transaction already.
            StalledError: No answer before the deadline.
        """
        self._open = []
        deadline = deadline or Deadline.after(self._settings.broker_timeout)
        if self._sent:
            self._reconnect(deadline)
            return
        try:
            self._step("abort", deadline)
        except (FencedError, StalledError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever state the client is in, a new one starts clean
            logger.warning(
                "The transaction could not be aborted in place, so the writer reconnects: %s", error
            )
            self._reconnect(deadline)

    def _reconnect(self, deadline: Deadline) -> None:
        """Begins with a new client, trying until a broker lets it.

        Raises:
            StalledError: None did before the deadline.
        """
        self._give_up()
        while True:
            try:
                self._producer = self._connect(deadline)
                for topic in self._topics:
                    self._learn_partitions(topic)
            except (RecoverableError, BrokerUnreachableError) as error:
                if deadline.passed:
                    raise _stalled("abort") from error
                logger.warning("The transaction cannot be aborted yet: %s", error)
                deadline.pause(_PAUSE)
            else:
                return

    def _learn_partitions(self, topic: str) -> None:
        """Lets the client know where a topic's partitions are; what is written before would wait forever."""
        with translated(f"looking up topic {topic!r}"):
            self._producer.partitions_for(topic)

    def _step(self, step: str, deadline: Deadline | None, *arguments: Any) -> None:
        deadline = deadline or Deadline.after(self._settings.broker_timeout)
        with translated(_STEPS[step]):
            if self._fast is not None:
                wait = self._fast.start_step(self._producer, step, *arguments)
            else:
                wait = start_step(self._producer, step, *arguments)
            if wait(deadline.remaining):
                return
        raise _stalled(step)

    def close(self, deadline: Deadline) -> None:
        """Closes all connections; what is still on its way has until the deadline."""
        with translated("closing the writer"):
            try:
                self._producer.close(timeout=deadline.remaining)
            except client.KafkaTimeoutError:
                logger.warning("Closed the writer with records that nobody acknowledged")
                self._give_up()

    def _give_up(self) -> None:
        """Closes at once. The client's own close waits for every record, or raises."""
        fast = fast_path(public_calls=False)
        if fast is not None:
            fast.give_up(self._producer)
        else:
            with suppress(client.KafkaTimeoutError):
                self._producer.close(timeout=0)


# From this many batches on, those acknowledged are forgotten: nobody may ever call flush.
_SWEEP = 1024
# Seconds between two tries to connect anew.
_PAUSE = 0.5
_STEPS: Mapping[str, str] = {
    "send_offsets": "adding offsets to the transaction",
    "commit_offsets": "adding offsets to the transaction",
    "commit": "committing the transaction",
    "abort": "aborting the transaction",
}


def _stalled(step: str) -> StalledError:
    return StalledError(
        f"Kafka has not answered in time while {_STEPS[step]}.",
        hint="Start it again, as its supervisor does: uncommitted events are then scored again.",
    )


def _encoded(records: NewRecords) -> Encoded:
    return encode_records(records.keys, records.values, records.headers, records.timestamp)
