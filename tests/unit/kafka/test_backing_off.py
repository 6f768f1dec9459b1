"""What accepts a connection and drops it is not asked again and again without a pause."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from kafka import errors as client
from kafka.net.compat import KafkaNetClient

from shared.deadline import Deadline
from shared.kafka import fast


class Dropping:
    """Listens, and drops whoever connects."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.dropped += 1
            connection.close()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def dropping() -> Iterator[Dropping]:
    there = Dropping()
    yield there
    there.close()


def connections_tried(dropping: Dropping, *, backing_off: bool, most: int) -> int:
    """How often a client connects that wants to at all times, in half a second or until `most`."""
    network = KafkaNetClient(bootstrap_servers=f"127.0.0.1:{dropping.port}", reconnect_backoff_max_ms=1000)
    if backing_off:
        fast.back_off(network)
    manager = network._manager
    [node] = [broker.node_id for broker in manager.cluster.bootstrap_brokers()]
    deadline = Deadline.after(0.5)
    while not deadline.passed and dropping.dropped < most:
        with suppress(client.NodeNotReadyError):
            manager.get_connection(node)
        network.poll(timeout_ms=5)
    network.close()
    return dropping.dropped


def test_the_pause_grows_while_connections_are_dropped(dropping: Dropping) -> None:
    # 50 ms, and twice as long each time, give or take a fifth.
    assert 1 <= connections_tried(dropping, backing_off=True, most=50) <= 6


def test_the_library_alone_does_not_pause(dropping: Dropping) -> None:
    """When this fails, the library has mended it, and `back_off` can go."""
    assert connections_tried(dropping, backing_off=False, most=8) == 8
