"""A step of a transaction whose connection is lost before it is sent is tried again."""

from types import SimpleNamespace
from typing import Any

from kafka.net.compat import KafkaNetClient
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import EndTxnHandler, TransactionManager

from shared.kafka import fast


def steps_left(*, kept: bool) -> list[Any]:
    """What a sender still has to do that found the coordinator away when it was to end a transaction."""
    network = KafkaNetClient(bootstrap_servers="127.0.0.1:1")
    fast.close_sockets(network)
    [away] = network.cluster.bootstrap_brokers()
    manager = TransactionManager(transactional_id="steps", api_version=(4, 0))
    manager._transaction_coordinator, manager._transaction_started = away.node_id, True
    sender = Sender(network, None, RecordAccumulator(), transaction_manager=manager, request_timeout_ms=1000)
    if kept:
        fast.keep_unsent(SimpleNamespace(_sender=sender))
    manager._enqueue_request(EndTxnHandler(manager, committed=True))
    assert sender._maybe_send_pending_request()
    network.close()
    return [handler for _, _, handler in manager._pending_requests if isinstance(handler, EndTxnHandler)]


def test_it_is_still_to_do() -> None:
    [step] = steps_left(kept=True)
    assert step.is_retry


def test_the_library_alone_forgets_it() -> None:
    """When this fails, the library has mended it, and `keep_unsent` can go."""
    assert steps_left(kept=False) == []
