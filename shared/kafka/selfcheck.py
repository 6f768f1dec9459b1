"""Whether shared/kafka/fast.py fits the installed client: its version, private parts, and a round trip."""

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import kafka
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.coordinator.base import BaseCoordinator
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.producer.kafka import KafkaProducer
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import (
    AddOffsetsToTxnHandler,
    TransactionalRequestResult,
    TransactionManager,
    TxnOffsetCommitHandler,
)
from kafka.protocol.frame import KafkaBytes
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from shared.kafka import fast
from shared.kafka.columns import Header
from shared.kafka.encode import encode_records

_VERSION = "3.0."
_SAMPLE_KEYS: list[bytes | None] = [b"key", None, b"", b"k" * 70]
_SAMPLE_VALUES: list[bytes | None] = [b"value", b"", None, b"v" * 70_000]
_SAMPLE_HEADERS: list[list[Header]] = [[], [("name", b"value"), ("null", None)], [], [("", b"")]]
_SAMPLE_TIMES = [1_700_000_000_000, 1_700_000_000_001, 1_699_999_999_999, 1_700_000_100_000]
_CODECS = (DefaultRecordBatch.CODEC_NONE, DefaultRecordBatch.CODEC_GZIP)
# What classes of the client must have.
_ATTRIBUTES: Final[Sequence[tuple[Any, str]]] = [
    (Fetcher.PartitionRecords, "_unpack_records"),
    (Fetcher.PartitionRecords, "drain"),
    (MemoryRecords, "_cache_next"),
    (KafkaConnectionManager, "_build_transport"),
    (KafkaConnectionManager, "reset_backoff"),
    (KafkaConnectionManager, "update_backoff"),
    (NetworkSelector, "register_event"),
    (KafkaTCPTransport, "_sock_recv"),
    (KafkaSSLTransport, "_sock_recv"),
    (RecordAccumulator, "_tp_lock"),
    (RecordAccumulator, "deallocate"),
    (Sender, "wakeup"),
    (Sender, "_dispatch_error"),
    (Sender, "_maybe_remove_from_inflight_batches"),
    (ProducerBatch, "_complete_future"),
    (TransactionManager, "maybe_add_partition_to_transaction"),
    (TransactionManager, "set_sequence_number"),
    (TransactionManager, "transition_to_abortable_error"),
    (TransactionManager, "send_offsets_to_transaction"),
    (TransactionManager, "begin_commit"),
    (TransactionManager, "begin_abort"),
    (TransactionManager, "_enqueue_request"),
    (TransactionManager, "_maybe_fail_with_error"),
    (AddOffsetsToTxnHandler, "handle_response"),
    (TxnOffsetCommitHandler, "handle_response"),
    (TransactionalRequestResult, "wait"),
    (DefaultRecordBatch, "_maybe_uncompress"),
    (DefaultRecordBatchBuilder, "build"),
]
# What the modules of classes must say: names of instances, and how methods call each other.
_TEXTS: Final[Mapping[Any, Sequence[str]]] = {
    Fetcher: (
        "self.PartitionRecords(",
        "part_records = part.take(max_records)",
        "part.next_fetch_offset == position.offset",
        "part.next_fetch_offset, '', part.leader_epoch)",
    ),
    KafkaConsumer: ("self._client =", "self._fetcher =", "self._subscription =", "self._coordinator ="),
    BaseCoordinator: (
        "self._lock =",
        "self.state = MemberState.STABLE",
        "self.rejoin_needed =",
        "self._heartbeat_enabled =",
        "self._heartbeat_closed =",
        "while self.need_rejoin():",
        "self.state = MemberState.REBALANCING",
    ),
    KafkaConnectionManager: (
        "await self._build_transport(",
        "reset_backoff_on_connect=True):",
        "self._conns[node_id] = conn",
    ),
    KafkaNetSocket: ("return await self.sock_connect(net, sock, sockaddr, timeout_at=timeout_at)",),
    KafkaBytes: ("bytes(self[start:self._idx])",),
    KafkaTCPTransport: ("= self._sock_recv()", "self._sock ="),
    MemoryRecords: ("self._next_slice =",),
    KafkaNetClient: ("self._net =", "self._net.close()", "self._manager ="),
    KafkaProducer: ("self._accumulator =", "self._sender =", "self._transaction_manager ="),
    RecordAccumulator: (
        "self._batches",
        "self._incomplete",
        "self._appends_in_progress",
        "self.muted",
        "batch.drained = now",
        "self.config['compression_attrs']",
    ),
    Sender: ("self._dispatch_error(", "self._client =", "elif not self._client.await_ready(target_node"),
    TransactionManager: (
        "self._transaction_started =",
        "self._pending_txn_offset_commits =",
        "self._current_state =",
        "self._lock = threading.Condition()",
    ),
    ProducerBatch: ("self.drained = None", "self._complete_future("),
}


def library_records(data: bytes) -> list[tuple[Any, ...]]:
    """Offset, timestamp, key, value and headers of each record, by the library's own decoder."""
    return [
        (record.offset, record.timestamp, record.key, record.value, record.headers)
        for batch in MemoryRecords(data)
        for record in batch
    ]


def column_records(data: bytes) -> list[tuple[Any, ...]]:
    """As `library_records`, by our own; all batches together."""
    records = fast.ColumnRecords(MemoryRecords(data), TopicPartition("check", 0), 0)
    columns = fast.ColumnBatch.columns(list(iter(records.next_batch, None)))
    headers = [columns.headers.get(row, []) for row in range(len(columns))]
    return list(zip(columns.offsets, columns.timestamps, columns.keys, columns.values, headers, strict=True))


def library_built(
    rows: list[tuple[int, bytes | None, bytes | None, list[Header]]], compression: int = 0
) -> bytes:
    """A batch of (timestamp, key, value, headers) rows, by the library's own encoder."""
    records = MemoryRecordsBuilder(2, compression, 1 << 30)
    for row in rows:
        records.append(*row)
    records.close()
    return bytes(records.buffer())


def _private_parts() -> list[str]:
    """What this file uses and the installed client does not have."""
    missing = [f"{owner.__name__}.{name}" for owner, name in _ATTRIBUTES if not hasattr(owner, name)]
    for owner, texts in _TEXTS.items():
        # Of the whole module: to find where a class ends takes 15 ms each.
        source = inspect.getsource(sys.modules[owner.__module__])
        missing += [f"{owner.__name__}: {text}" for text in texts if text not in source]
    return missing


def self_check() -> str | None:
    """Why the private parts cannot be used with the installed client; None when they can."""
    if not kafka.__version__.startswith(_VERSION):
        return f"it is written for kafka-python {_VERSION}x, and {kafka.__version__} is installed"
    if missing := _private_parts():
        return f"kafka-python {kafka.__version__} lacks {', '.join(missing)}"
    encoded = encode_records(_SAMPLE_KEYS, _SAMPLE_VALUES, _SAMPLE_HEADERS, _SAMPLE_TIMES)
    rows = list(zip(_SAMPLE_TIMES, _SAMPLE_KEYS, _SAMPLE_VALUES, _SAMPLE_HEADERS, strict=True))
    expected = [(offset, *row) for offset, row in enumerate(rows)]
    # The same again often enough to be read by column, not by row.
    many = rows * 10
    for codec in _CODECS:
        if library_records(fast.built(encoded, codec)) != expected:
            return "what it encodes, kafka-python reads differently"
        if column_records(library_built(rows, codec)) != expected:
            return "what kafka-python encodes, it reads differently"
        # Behind a small batch, to be read with it.
        data = library_built(rows, codec) + library_built(many, codec)
        if column_records(data) != library_records(data):
            return "what kafka-python encodes, it reads differently by column"
    return None
