"""A client that is closed while it connects, or has something left to send, leaves no socket open."""

import gc
import socket
import warnings
from collections.abc import Iterator

import pytest
from kafka.net.compat import KafkaNetClient

from shared.deadline import Deadline
from shared.kafka import fast

LARGE = bytes(64 << 20)


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of one who lets clients connect and never reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def full() -> Iterator[int]:
    """The port of one whose queue is full: whoever connects to it waits."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield port


def left_open(port: int, *, closing: bool, unsent: bytes = b"") -> int:
    """How many sockets a closed client has left to the interpreter."""
    gc.collect()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _connect_and_close(port, closing=closing, unsent=unsent)
        gc.collect()
    return sum("unclosed <socket" in str(one.message) for one in told)


def _connect_and_close(port: int, *, closing: bool, unsent: bytes) -> None:
    network = KafkaNetClient(bootstrap_servers=f"127.0.0.1:{port}")
    if closing:
        fast.close_sockets(network)
    [node] = [broker.node_id for broker in network._manager.cluster.bootstrap_brokers()]
    connection = network._manager.get_connection(node)
    deadline = Deadline.after(0.2 if not unsent else 10)
    while not deadline.passed and not connection.transport:
        network.poll(timeout_ms=5)
    if unsent:
        connection.transport.write(unsent)
        connection.init_future.success(None)
        network.poll(timeout_ms=5)
    network.close()


def test_one_that_is_connecting_is_closed(full: int) -> None:
    assert left_open(full, closing=True) == 0


def test_one_with_something_to_send_is_closed(listening: int) -> None:
    assert left_open(listening, closing=True, unsent=LARGE) == 0


def test_the_library_alone_leaves_them(full: int, listening: int) -> None:
    """When this fails, the library has mended it, and `close_sockets` can go."""
    assert left_open(full, closing=False) == 1
    assert left_open(listening, closing=False, unsent=LARGE) == 1
