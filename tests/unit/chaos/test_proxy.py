"""The proxy passes bytes on, and is as troublesome as it is told to be."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from shared.deadline import Deadline
from tests.chaos.harness.connections import client_ports
from tests.chaos.harness.proxy import Proxy
from tests.support.broker import free_port


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        # Wakes the thread that waits for the next connection.
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def serve(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=send_back, args=(connection,), daemon=True).start()


def send_back(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while data := connection.recv(65536):
            connection.sendall(data)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def proxy(echo: int, port: int) -> Iterator[Proxy]:
    with Proxy(port, echo) as made:
        yield made


@contextmanager
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def ask(connection: socket.socket, data: bytes = b"hello") -> bytes:
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and (data := connection.recv(size)):
        received += data
    return received


def is_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_bytes_are_passed_on_both_ways(proxy: Proxy, port: int) -> None:
    large = bytes(range(256)) * 20_000
    with client(port) as connection:
        writer = threading.Thread(target=connection.sendall, args=(large,))
        writer.start()
        assert receive(connection, len(large)) == large
        writer.join()
        assert proxy.clients == {connection.getsockname()[1]}


@pytest.mark.usefixtures("proxy")
def test_a_connection_that_its_client_ends_is_ended_at_the_server(proxy: Proxy, port: int) -> None:
    with client(port) as connection:
        assert ask(connection) == b"hello"
    deadline = Deadline.after(10)
    while proxy.clients:
        assert not deadline.passed


def test_all_connections_are_cut_and_new_ones_pass(proxy: Proxy, port: int) -> None:
    with client(port) as first, client(port) as second:
        assert ask(first) == ask(second) == b"hello"
        proxy.cut_all()
        assert is_cut(first)
        assert is_cut(second)
    with client(port) as third:
        assert ask(third) == b"hello"


def test_one_clients_connections_are_cut_and_the_others_stay(proxy: Proxy, port: int) -> None:
    with client(port) as first, client(port) as second:
        assert ask(first) == ask(second) == b"hello"
        proxy.cut({first.getsockname()[1]})
        assert is_cut(first)
        assert ask(second) == b"hello"


def test_connections_are_refused_until_they_are_admitted(proxy: Proxy, port: int) -> None:
    with client(port) as before:
        assert ask(before) == b"hello"
        proxy.refuse()
        assert is_cut(before)
    with pytest.raises(ConnectionRefusedError), client(port):
        pass
    proxy.admit()
    with client(port) as after:
        assert ask(after) == b"hello"


def test_a_silent_connection_stays_open_and_is_cut_at_the_end(proxy: Proxy, port: int) -> None:
    with client(port) as connection:
        assert ask(connection) == b"hello"
        proxy.silence()
        connection.sendall(b"anyone?")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        proxy.resume()
        assert is_cut(connection)
    with client(port) as after:
        assert ask(after) == b"hello"


def test_a_server_that_is_away_ends_the_connection(port: int) -> None:
    with Proxy(port, free_port()), client(port) as connection:
        assert is_cut(connection)


@pytest.mark.usefixtures("proxy")
def test_a_process_is_known_by_its_connections(port: int) -> None:
    with client(port) as connection:
        assert ask(connection) == b"hello"
        own = connection.getsockname()[1]
        # The client's end and the proxy's run in one process here; only the client's leads to the port.
        assert client_ports(os.getpid(), port) == {own}
        assert client_ports(os.getpid(), own + 1 if own < 65535 else 1) == set()
