"""The one file that touches private parts of kafka-python: whole record batches in, whole record batches out.

The library handles one record at a time, at 5 us each to read and 25 us each to send. Here it keeps all that
makes it correct - checksums, aborted transactions, control batches, positions, sequence numbers, retries -
and is only handed, or asked for, a record batch as columns:

- reading: `Fetcher.PartitionRecords` is looked up on the fetcher, and ours lets each data batch yield one
  pseudo-record for the whole batch, and decodes those that are taken together into `RecordColumns`;
- writing: a `ProducerBatch` whose buffer is filled at once goes into the accumulator's queue.

Besides, it mends what the library gets wrong as connections and groups come and go, on the public calls, too:
`back_off`, `ask_at_once`, `close_sockets`, `finish_joining` and `keep_unsent`.

shared/kafka/selfcheck.py says at start whether all this is as it was when it was written; if not, the
reader and the writer use the public calls (shared/kafka/choice.py).
"""

import functools
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as client
from kafka.consumer.fetcher import Fetcher
from kafka.coordinator.base import MemberState
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.producer.future import FutureProduceResult
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.transaction_manager import (
    AddOffsetsToTxnHandler,
    TransactionalRequestResult,
    TransactionManager,
    TransactionState,
    TxnOffsetCommitHandler,
)
from kafka.protocol.frame import KafkaBytes
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from shared.kafka.columns import RecordColumns
from shared.kafka.decode import RawBatch, decode_records
from shared.kafka.encode import Encoded

_VERSION = "3.0."
# Seconds that a producer which is given up has to end its thread.
_LONGEST_GOODBYE = 2.0
# Milliseconds after which a sender looks again whether a node is ready.
_LONGEST_PAUSE_MS = 50
_TOO_LARGE = (client.MessageSizeTooLargeError, client.RecordListTooLargeError)

# --- connecting ---------------------------------------------------------------------------------------


def back_off(network: KafkaNetClient) -> None:
    """Lets the pause before the next connection grow while what listens accepts and answers nothing.

    The library starts over with its shortest pause as soon as TCP connects, which it does at once where a
    forwarder or a load balancer stands before a broker that is away: a full core for as long as that takes.
    """
    manager = network._manager
    get_connection = manager.get_connection

    def connection_that_counts(node_id: Any, *arguments: Any, **options: Any) -> Any:
        there = manager._conns.get(node_id)
        # Where it is False already, the library counts by itself.
        counted = options.setdefault("reset_backoff_on_connect", None) is None
        options["reset_backoff_on_connect"] = False
        connection = get_connection(node_id, *arguments, **options)
        if counted and connection is not there:
            connection.init_future.add_callback(lambda _: manager.reset_backoff(node_id))
            connection.init_future.add_errback(lambda _: manager.update_backoff(node_id))
        return connection

    manager.get_connection = connection_that_counts


def ask_at_once(network: KafkaNetClient) -> None:
    """Lets a client that has just connected ask for its topics at once.

    The library waits 100 ms after each question about the cluster before the next, also where the first one,
    as it connects, was answered: every client would take that much longer to begin.
    """
    network._manager.cluster._last_refresh_ms = 0


_sock_connect = KafkaNetSocket.sock_connect


async def _connect_or_close(
    opener: KafkaNetSocket, selector: Any, sock: socket.socket, address: Any, timeout_at: float | None = None
) -> socket.socket:
    """As `KafkaNetSocket.sock_connect`; a socket that cannot be connected is closed."""
    try:
        connected: socket.socket = await _sock_connect(opener, selector, sock, address, timeout_at=timeout_at)
    except BaseException:
        sock.close()
        raise
    return connected


def close_sockets(network: KafkaNetClient) -> None:
    """Lets a client close every socket that it opens: at once if it is refused, else as the client is closed.

    The library leaves those that cannot connect, and those with something left to send, to the interpreter:
    open until it collects them, and the broker may hold a connection for each.
    """
    # For the whole process: what makes a socket knows no client.
    KafkaNetSocket.sock_connect = _connect_or_close
    selector = network._net
    register, close = selector.register_event, selector.close
    # By their descriptors. What has connected has waited to be written to before.
    opened: weakref.WeakValueDictionary[int, socket.socket] = weakref.WeakValueDictionary()

    def register_and_note(fileobj: socket.socket, event: int, task: Any) -> None:
        opened[fileobj.fileno()] = fileobj
        register(fileobj, event, task)

    def close_all() -> None:
        # Held, or one whose last holder goes is dropped before it is closed. A list at once: the client's own
        # thread may still open one.
        held = [one for reference in opened.valuerefs() if (one := reference()) is not None]
        try:
            close()
        finally:
            for one in {*held, *opened.values()}:
                one.close()

    selector.register_event, selector.close = register_and_note, close_all


# --- reading ------------------------------------------------------------------------------------------

_HEADER_BYTES = DefaultRecordBatch.HEADER_STRUCT.size
_MAGIC_AT = MemoryRecords.MAGIC_OFFSET
# The low byte of the attributes, which has the bit that marks a control batch.
_CONTROL_AT = DefaultRecordBatch.ATTRIBUTES_OFFSET + 1
_CONTROL = DefaultRecordBatch.CONTROL_MASK
_RECEIVE_BYTES = 1 << 20
_TLS_RECORD_BYTES = 16 << 10
# Of record batches that are decoded together: beyond it the processor's caches do not hold them.
_TOGETHER_BYTES = 512 << 10


class ColumnBatch(DefaultRecordBatch):  # type: ignore[misc]  # the library has no types
    """A record batch of the library that, iterated, yields one pseudo-record for the whole batch."""

    def __init__(self, data: memoryview, tp: TopicPartition, floor: int) -> None:
        super().__init__(b"\0" * self.HEADER_STRUCT.size)
        # The library would copy the whole batch; a view will do.
        self._buffer = data
        self._header_data = self.HEADER_STRUCT.unpack_from(data)
        self._tp = tp
        self._floor = floor

    def __iter__(self) -> Iterator["BatchRecord"]:
        yield BatchRecord(self)

    def __len__(self) -> int:
        """How many records the batch has; the library asks each value."""
        return int(self.records_count)

    def raw(self) -> RawBatch:
        """The batch uncompressed.

        Raises:
            CorruptRecordError: It cannot be uncompressed.
            UnsupportedCodecError: The package for its compression is not installed.
        """
        try:
            self._maybe_uncompress()
        except (client.KafkaError, MemoryError):
            raise
        except Exception as error:  # each codec has errors of its own
            raise client.CorruptRecordError(f"A record batch cannot be uncompressed: {error!r}") from error
        return RawBatch(
            bytes(memoryview(self._buffer)[self._pos :]),
            self.records_count,
            self.base_offset,
            self.first_timestamp,
            self.max_timestamp if self.timestamp_type == self.LOG_APPEND_TIME else None,
        )

    @staticmethod
    def columns(batches: Sequence["ColumnBatch"]) -> RecordColumns:
        """All records of consecutive batches, except those before the offset that was asked for.

        Raises:
            CorruptRecordError, UnsupportedCodecError: One of them cannot be read.
        """
        first, last = batches[0], batches[-1]
        decoded = decode_records([batch.raw() for batch in batches])
        topic, partition = first._tp
        columns = RecordColumns(topic, partition, *decoded, next_offset=last.next_offset)
        if first.base_offset < first._floor:
            columns.drop_before(first._floor)
        return columns


class BatchRecord:
    """What the library takes for one record, standing for a whole batch."""

    __slots__ = ("offset", "size_in_bytes", "timestamp", "timestamp_type", "value")
    key = None
    headers: tuple[()] = ()
    checksum = None

    def __init__(self, batch: ColumnBatch) -> None:
        # The library goes on at this offset plus one: behind the batch, compaction gaps included.
        self.offset = batch.last_offset
        self.timestamp = batch.max_timestamp
        self.timestamp_type = batch.timestamp_type
        self.value = batch
        self.size_in_bytes = batch.size_in_bytes

    def validate_crc(self) -> bool:
        """True: the whole batch's checksum has been checked already."""
        return True


class ColumnRecords:
    """Wraps the data batches of a fetched partition; control batches and old formats stay as they are."""

    def __init__(self, records: MemoryRecords, tp: TopicPartition, floor: int) -> None:
        self._records = records
        self._tp = tp
        self._floor = floor

    def next_batch(self) -> Any:
        """The next batch, as the library asks for it; None after the last."""
        data = self._records._next_slice
        if data is None or len(data) < _HEADER_BYTES or data[_MAGIC_AT] != 2 or data[_CONTROL_AT] & _CONTROL:
            return self._records.next_batch()
        self._records._cache_next()
        return ColumnBatch(data, self._tp, self._floor)


class _ColumnPartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # the library has no types
    next_fetch_offset: int

    def _unpack_records(self, tp: TopicPartition, records: MemoryRecords, *_deserializers: Any) -> Any:
        return super()._unpack_records(tp, ColumnRecords(records, tp, self.fetch_offset), None, None)

    def take(self, n: int | None = None) -> list[Any]:
        """As the library's, with decoded batches.

        What comes before a batch that cannot be read is given first. The position then stays at that batch:
        it is fetched again, and the poll that begins with it raises, each time.
        """
        began = self.next_fetch_offset
        taken: list[Any] = []
        decoded: list[Any] = []
        try:
            taken = super().take(n)
            for run in _runs(taken):
                decoded += _decoded(run)
        except Exception:
            with suppress(Exception):  # the same again, raised below where nothing comes before it
                for record in taken[len(decoded) :]:
                    decoded += _decoded([record])
            self.next_fetch_offset = decoded[-1].offset + 1 if decoded else began
            # The library would ask an iterator that has raised for more, without end.
            self.drain()
            if not decoded:
                raise
        return decoded


def _runs(records: Iterable[Any]) -> Iterator[list[Any]]:
    """The records, cut into those that are decoded together."""
    run: list[Any] = []
    size = 0
    for record in records:
        whole = isinstance(record.value, ColumnBatch)
        size += record.value.size_in_bytes if whole else _TOGETHER_BYTES
        if run and (size > _TOGETHER_BYTES or not whole):
            yield run
            run, size = [], record.value.size_in_bytes if whole else _TOGETHER_BYTES
        run.append(record)
    if run:
        yield run


def _decoded(run: Sequence[Any]) -> list[Any]:
    """The records of a run, as many as before: the library counts them. The first has all columns."""
    batches = [record.value for record in run]
    if not isinstance(batches[0], ColumnBatch):
        return list(run)
    columns = ColumnBatch.columns(batches)
    rest = (
        RecordColumns(columns.topic, columns.partition, next_offset=batch.next_offset)
        for batch in batches[1:]
    )
    return [record._replace(value=value) for record, value in zip(run, (columns, *rest), strict=True)]


def read_columns(consumer: KafkaConsumer) -> None:
    """Lets `consumer.poll` return records whose value is a `RecordColumns`; max_records counts batches.

    The columns of batches that were decoded together are those of the first; the others then have none.
    """
    consumer._fetcher.PartitionRecords = _ColumnPartitionRecords


def receive_at_once(consumer: KafkaConsumer) -> None:
    """Lets new connections take up to 1 MiB from the socket at a time instead of 4 KiB.

    Each receive hands the interpreter's lock over and back. While another thread computes, that takes up
    to sys.getswitchinterval() (5 ms), and the next fetch would trickle in at under 1 MB a second.
    With TLS a receive gives one record, of 16 KiB at most, and what is decrypted has to be taken in full.
    """
    manager = consumer._client._manager
    build = manager._build_transport

    async def build_transport(*arguments: Any, **options: Any) -> KafkaTCPTransport:
        transport = await build(*arguments, **options)
        if type(transport) is KafkaTCPTransport:
            transport._sock_recv = functools.partial(_receive, transport._sock)
        elif type(transport) is KafkaSSLTransport:
            transport._sock_recv = functools.partial(_receive_tls, transport._sock)
        return transport

    manager._build_transport = build_transport
    # The library's own cuts a field out of the answer twice over; this holds for the whole process.
    KafkaBytes.read = _read_field


def _read_field(answer: KafkaBytes, size: int | None = None) -> bytes:
    """As `KafkaBytes.read`: the next `size` bytes, or all that are left."""
    start = answer._idx
    answer._idx = len(answer) if size is None else min(start + size, len(answer))
    return bytes(memoryview(answer)[start : answer._idx])


def _receive(sock: socket.socket) -> tuple[bytes, Exception | None]:
    """What the socket has, and the error that ends the connection."""
    try:
        data = sock.recv(_RECEIVE_BYTES)
    except (BlockingIOError, InterruptedError):
        return b"", None
    except OSError as error:
        return b"", client.KafkaConnectionError(error)
    return data, None if data else client.KafkaConnectionError("socket disconnected")


def _receive_tls(sock: ssl.SSLSocket) -> tuple[bytes, Exception | None]:
    """As `_receive`, record by record, until the socket has no more."""
    received: list[bytes] = []
    try:
        while data := sock.recv(_TLS_RECORD_BYTES):
            received.append(data)
    except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return b"".join(received), None
    except OSError as error:
        return b"".join(received), client.KafkaConnectionError(error)
    return b"".join(received), client.KafkaConnectionError("socket disconnected")


def finish_joining(consumer: KafkaConsumer) -> None:
    """Lets a member go on to join its group until it has joined.

    A member that leads joins again when its topic has new partitions. The library (3.0.12) takes that as done
    once they are assigned: where a poll ends before the group has answered, nobody waits for the answer, and
    the member reads nothing ever after.
    """
    coordinator = consumer._coordinator
    need_rejoin = coordinator.need_rejoin

    def is_joining() -> bool:
        return coordinator.state is MemberState.REBALANCING or bool(need_rejoin())

    coordinator.need_rejoin = is_joining


def fetch_position(consumer: KafkaConsumer, tp: TopicPartition) -> int | None:
    """The next offset that the consumer will ask for, control batches passed over; None when not known."""
    state = consumer._subscription.assignment.get(tp)
    return None if state is None or state.position is None else int(state.position.offset)


def is_fenced(consumer: KafkaConsumer) -> bool:
    """Whether another member of the same name has taken this one's place.

    The client learns of it from a heartbeat, sends no more of them and tells nobody: a member without an
    event to commit would wait for ever.
    """
    coordinator = consumer._coordinator
    with coordinator._lock:
        joined = coordinator.state is MemberState.STABLE and not coordinator.rejoin_needed
        return joined and not coordinator._heartbeat_enabled and not coordinator._heartbeat_closed


# --- writing ------------------------------------------------------------------------------------------


class WholeBatch(ProducerBatch):  # type: ignore[misc]  # the library has no types
    """A record batch that was encoded at once; nobody waits for its single records."""

    def __init__(self, tp: TopicPartition, records: MemoryRecordsBuilder) -> None:
        self.left_queue = threading.Event()
        self._drained: float | None = None
        super().__init__(tp, records)

    @property
    def drained(self) -> float | None:
        """When the sender thread took the batch to send it; None before that."""
        return self._drained

    @drained.setter
    def drained(self, at: float | None) -> None:
        self._drained = at
        if at is not None:
            self.left_queue.set()

    def _complete_future(self, *outcome: Any) -> None:
        super()._complete_future(*outcome)
        self.left_queue.set()


class PendingBatch:
    """The answer to one batch, once the broker has given it."""

    __slots__ = ("_future", "_left_queue")

    def __init__(self, batch: WholeBatch) -> None:
        self._future: FutureProduceResult = batch.produce_future
        self._left_queue: threading.Event = batch.left_queue

    def wait_sent(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the sender to take the batch; whether it has."""
        return self._left_queue.wait(timeout)

    @property
    def done(self) -> bool:
        """Whether the batch has been acknowledged or has failed."""
        return bool(self._future.is_done)

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds; whether the answer is there."""
        return bool(self._future.wait(timeout))

    def outcome(self) -> int:
        """The offset of the batch's first record; raises the client's error when it failed."""
        base_offset, _timestamp, record_error = self._future.value
        if record_error is not None:
            raise record_error(0)
        return int(base_offset)


def _filled(encoded: Encoded, compression: int, batch_size: int) -> MemoryRecordsBuilder:
    records = MemoryRecordsBuilder(2, compression, batch_size)
    builder = records._builder
    builder._buffer = encoded.buffer
    builder._num_records = encoded.rows
    builder._last_offset = encoded.rows - 1
    builder._first_timestamp = encoded.first_timestamp
    builder._max_timestamp = encoded.max_timestamp
    records._next_offset = encoded.rows
    return records


def compression_of(producer: KafkaProducer) -> int:
    """The codec, as a batch's attributes name it, that the producer's options ask for."""
    return int(producer._accumulator.config["compression_attrs"])


def enqueue(
    producer: KafkaProducer, topic: str, partition: int, encoded: Encoded, compression: int
) -> PendingBatch:
    """Hands one batch to the producer's sender thread; call `wake` after the last one.

    Args:
        producer: Sends it.
        topic: Where it goes.
        partition: Its partition.
        encoded: Its records.
        compression: Its codec, as a batch's attributes name it; 0 for none.

    Raises:
        KafkaError: The producer is closed, or its transaction has failed.
    """
    tp = TopicPartition(topic, partition)
    manager = producer._transaction_manager
    if manager.is_transactional():
        manager.maybe_add_partition_to_transaction(tp)
    accumulator = producer._accumulator
    batch = WholeBatch(tp, _filled(encoded, compression, accumulator.config["batch_size"]))
    accumulator._appends_in_progress.increment()
    try:
        with accumulator._tp_lock(tp):
            if accumulator._closed:
                raise client.IllegalStateError("the producer is closed")
            accumulator._batches[tp].append(batch)
            accumulator._incomplete.add(batch)
    finally:
        accumulator._appends_in_progress.decrement()
    return PendingBatch(batch)


def wake(producer: KafkaProducer) -> None:
    """Lets the sender thread look at its queue at once."""
    producer._sender.wakeup()


def surface_too_large(producer: KafkaProducer) -> None:
    """Makes a batch that the broker finds too large fail, where the library would split it.

    A split replaces the batch by others with futures of their own, and ours would never be answered. The
    sequence numbers of the refused batch are given back, so that the next batch continues without a gap.
    """
    sender, accumulator, manager = producer._sender, producer._accumulator, producer._transaction_manager
    dispatch = sender._dispatch_error

    def fail_too_large(batch: ProducerBatch, exception: Exception, partition_response: Any) -> None:
        if not isinstance(batch, WholeBatch) or not isinstance(exception, _TOO_LARGE):
            dispatch(batch, exception, partition_response)
            return
        manager.set_sequence_number(batch.topic_partition, batch.base_sequence)
        if manager.is_transactional():
            manager.transition_to_abortable_error(exception)
        if batch.complete_exceptionally(exception, lambda _row: exception):
            sender._maybe_remove_from_inflight_batches(batch)
            accumulator.deallocate(batch)
        accumulator.muted.discard(batch.topic_partition)

    sender._dispatch_error = fail_too_large


def keep_unsent(producer: KafkaProducer) -> None:
    """Lets a step of a transaction be tried again whose connection is lost before it is sent.

    The library (3.0.12) forgets it then: its sender expects to be told that a node is not ready, and meets an
    error instead. Whoever waits for the step would wait until its deadline.
    """
    network: KafkaNetClient = producer._sender._client
    await_ready = network.await_ready

    def is_ready(node_id: Any, timeout_ms: float = 30_000) -> bool:
        try:
            return bool(await_ready(node_id, timeout_ms=timeout_ms))
        except client.KafkaConnectionError:
            # The sender asks again at once.
            pause_ms = network.connection_delay(node_id) * 1000
            network.poll(timeout_ms=min(max(pause_ms, 1), _LONGEST_PAUSE_MS))
            return False

    network.await_ready = is_ready


def give_up(producer: KafkaProducer) -> None:
    """Closes a producer at once; what nobody has acknowledged by now fails."""
    producer._sender.force_close()
    producer._sender.join(_LONGEST_GOODBYE)
    with suppress(client.KafkaTimeoutError):
        producer.close(timeout=0)
    # Else its finalizer would wait once more, and raise.
    producer._closed = True


class _AnnouncedGroup(AddOffsetsToTxnHandler):  # type: ignore[misc]  # the library has no types
    """Makes a group part of the transaction; the library's own goes on to commit its offsets at once."""

    def __init__(self, manager: TransactionManager, group_metadata: Any) -> None:
        super().__init__(manager, group_metadata, {})

    def handle_response(self, response: Any) -> None:
        if client.for_code(response.error_code) is not client.NoError:
            super().handle_response(response)
            return
        self.transaction_manager._transaction_started = True
        self._result.done()


class Announced:
    """What a transaction will hold, told to the broker before there is anything to write.

    Args:
        producer: In a transaction that has just been opened.
        places: The partitions that will be written to, as (topic, partition).
        group_metadata: Of the member whose offsets will be committed.
    """

    def __init__(
        self, producer: KafkaProducer, places: Iterable[tuple[str, int]], group_metadata: Any
    ) -> None:
        manager = producer._transaction_manager
        with manager._lock:
            for place in places:
                manager.maybe_add_partition_to_transaction(TopicPartition(*place))
            group = _AnnouncedGroup(manager, group_metadata)
            manager._enqueue_request(group)
        self._told: TransactionalRequestResult = group.result
        wake(producer)

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the group; whether the answer is there. Raises its error."""
        return bool(self._told.wait(timeout_ms=timeout * 1000))


def _commit_offsets(
    manager: TransactionManager, offsets: Mapping[TopicPartition, Any], group_metadata: Any
) -> TransactionalRequestResult:
    """Sends offsets of a group that is part of the transaction already."""
    with manager._lock:
        manager._maybe_fail_with_error()
        if manager._current_state != TransactionState.IN_TRANSACTION:
            raise client.KafkaError("Invalid transition attempted: there is no open transaction")
        manager._pending_txn_offset_commits.update(offsets)
        handler = TxnOffsetCommitHandler(manager, group_metadata, manager._pending_txn_offset_commits, None)
        manager._enqueue_request(handler)
    result: TransactionalRequestResult = handler.result
    return result


def start_step(producer: KafkaProducer, step: str, *arguments: Any) -> Callable[[float], bool]:
    """Starts a transaction call that the library would wait for without end.

    Args:
        producer: The transactional producer.
        step: "send_offsets", "commit_offsets" (of a group that was announced), "commit" or "abort".
        arguments: What the step takes.

    Returns:
        A function that waits up to so many seconds, says whether the step is done, and raises its error.
    """
    manager = producer._transaction_manager
    steps: Mapping[str, Callable[..., TransactionalRequestResult]] = {
        "commit_offsets": functools.partial(_commit_offsets, manager),
        "send_offsets": manager.send_offsets_to_transaction,
        "commit": manager.begin_commit,
        "abort": manager.begin_abort,
    }
    result = steps[step](*arguments)
    producer._sender.wakeup()
    return lambda timeout: bool(result.wait(timeout_ms=timeout * 1000))


def built(encoded: Encoded, compression: int = 0) -> bytes:
    """The batch of `enqueue` as it goes to the broker; uses `encoded` up."""
    records = _filled(encoded, compression, 1 << 20)
    records.close()
    return bytes(records.buffer())
