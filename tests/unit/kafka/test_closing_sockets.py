"""A client leaves no socket open: not one that is refused, nor those it has as it is closed."""

import socket
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

from shared.deadline import Deadline
from shared.kafka import fast
from tests.support.broker import free_port

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


@pytest.fixture
def refusing() -> int:
    """A port at which nobody listens."""
    return free_port()


class Count(Protocol):
    """Says how many sockets a client leaves open that is closed."""

    def __call__(self, port: int, unsent: bytes = b"", *, mended: bool = True) -> int:
        """The count.

        Args:
            port: What the client connects to.
            unsent: What it is to send as it is closed.
            mended: Whether it is to close all of them.
        """


@pytest.fixture
def left_open(monkeypatch: pytest.MonkeyPatch) -> Count:
    """Counts what a client leaves open."""
    opened: list[socket.socket] = []
    make = KafkaNetSocket.socket

    def noted(*arguments: Any) -> socket.socket:
        opened.append(make(*arguments))
        return opened[-1]

    monkeypatch.setattr(KafkaNetSocket, "socket", noted)
    # What an earlier test has mended holds for the whole process.
    monkeypatch.setattr(KafkaNetSocket, "sock_connect", fast._sock_connect)

    def count(port: int, unsent: bytes = b"", *, mended: bool = True) -> int:
        opened.clear()
        _connect_and_close(port, unsent, mended=mended)
        assert opened
        left = [one for one in opened if one.fileno() != -1]
        for one in left:
            one.close()
        return len(left)

    return count


def _connect_and_close(port: int, unsent: bytes, *, mended: bool) -> None:
    network = KafkaNetClient(bootstrap_servers=f"127.0.0.1:{port}")
    if mended:
        fast.close_sockets(network)
    [node] = [broker.node_id for broker in network._manager.cluster.bootstrap_brokers()]
    connection = network._manager.get_connection(node)
    deadline = Deadline.after(10 if unsent else 0.2)
    while not deadline.passed and not connection.transport and not connection.closed:
        network.poll(timeout_ms=5)
    if unsent:
        connection.transport.write(unsent)
        connection.init_future.success(None)
        network.poll(timeout_ms=5)
    network.close()


def test_one_that_is_connecting_is_closed(left_open: Count, full: int) -> None:
    assert left_open(full) == 0


def test_one_with_something_to_send_is_closed(left_open: Count, listening: int) -> None:
    assert left_open(listening, LARGE) == 0


def test_one_that_is_refused_is_closed(left_open: Count, refusing: int) -> None:
    assert left_open(refusing) == 0


def test_the_library_alone_leaves_them(left_open: Count, full: int, listening: int, refusing: int) -> None:
    """When this fails, the library has mended it, and `close_sockets` can go."""
    assert left_open(full, mended=False) == 1
    assert left_open(listening, LARGE, mended=False) == 1
    assert left_open(refusing, mended=False) == 1
