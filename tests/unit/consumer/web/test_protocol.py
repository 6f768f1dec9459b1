"""How connections are kept short and few; and that uvicorn's private parts are as this project uses them."""

import asyncio
import inspect
import socket
import time
from contextlib import suppress
from unittest.mock import Mock

import pytest
from h11 import RemoteProtocolError
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from consumer.web.protocol import Connection, server
from consumer.web.server import serving
from shared.deadline import Deadline
from tests.support.http_port import ask, say, say_or_closed, settings

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (LIVEZ + b"X: " + b"x" * 9000, 431),
        (LIVEZ + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 9000, 431),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET / livez HTTP/1.1\r\n\r\n", 400),
        (b"<script> /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (LIVEZ + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    ],
    ids=["long header", "long whole head", "long line", "TLS", "words", "method", "no host", "encoding"],
)
def test_what_is_no_request_is_refused_in_a_line(port: int, words: bytes, status: int) -> None:
    answer = say_or_closed(port, words).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {body[:-1]}\r\nServer: tandem\r\n")
    assert (body[:3], body.count("\n"), "script" in answer) == (str(status), 1, False)
    assert ask(port, "/livez")[0].status == 200


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"GET /livez HTTP/1.1\nHost: x\n\n", 200),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (LIVEZ + b"X: " + b"x" * 8000 + b"\r\n\r\n", 200),
        (LIVEZ + b"\r\n" + LIVEZ + b"\r\n", 200),
    ],
    ids=["unknown version", "bare line feeds", "old version", "nearly too long", "two at once"],
)
def test_what_is_a_request_has_one_answer(port: int, words: bytes, status: int) -> None:
    answer = say(port, words)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("words", [b"", LIVEZ], ids=["silent", "half a request"])
def test_a_slow_client_is_left_after_a_while(
    port: int, words: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE", 0.1)
    assert say_or_closed(port, words) == b""


def test_a_client_that_says_a_byte_now_and_then_has_no_more_time_than_others(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE", 0.3)
    deadline = Deadline.after(8)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client, suppress(ConnectionError):
        while not deadline.passed:
            client.sendall(b"G")
            time.sleep(0.05)
    assert not deadline.passed


def test_more_clients_at_once_than_there_is_room_for_are_turned_away_and_room_comes_back(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE", 8)
    crowd = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(16)]
    try:
        assert say_or_closed(port) == b""
    finally:
        for client in crowd:
            client.close()
    deadline = Deadline.after(5)
    while not say_or_closed(port).startswith(b"HTTP/1.1 200"):
        assert not deadline.passed


def test_a_client_that_does_not_take_its_answer_is_left_and_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE", 0.3)
    monkeypatch.setattr("consumer.web.protocol._AT_ONCE", 1)
    # More than the system takes off the server's hands.
    monkeypatch.setattr("consumer.web.health.exposition", lambda *_: (b"x" * (32 << 20), "text/plain"))
    with serving(settings("--http-port", "0", "--page", "off"), list) as port:
        assert port is not None
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1024).startswith(b"HTTP/1.1 200")
            deadline = Deadline.after(8)
            while not say_or_closed(port).startswith(b"HTTP/1.1 503"):
                assert not deadline.passed


def test_the_rest_of_an_answer_is_not_waited_for_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE", 0.05)

    async def answer() -> None:
        loop, left = asyncio.get_running_loop(), asyncio.Event()
        # It takes what is written, and sends none of it.
        transport = Mock(spec=asyncio.Transport)
        transport.is_closing.side_effect = lambda: transport.close.called
        transport.abort.side_effect = left.set
        connection = Connection(server(PlainTextResponse("short")).config, ServerState(), {}, loop)
        connection.connection_made(transport)
        connection.data_received(LIVEZ + b"Connection: close\r\n\r\n")
        await asyncio.wait_for(left.wait(), 10)
        assert transport.close.called

    asyncio.run(answer())


def test_uvicorn_has_the_parts_that_are_overridden_as_they_are_called_here() -> None:
    for name in ("connection_made", "connection_lost", "data_received", "send_400_response", "pause_writing"):
        assert name in vars(H11Protocol)
    for name in ("resume_writing", "on_response_complete", "shutdown"):
        assert name in vars(H11Protocol)
    made = inspect.signature(H11Protocol.__init__).parameters
    assert list(made) == ["self", "config", "server_state", "app_state", "_loop"]
    source = inspect.getsource(H11Protocol)
    # What is no request is refused while h11's error, which knows the status, is handled.
    assert "except h11.RemoteProtocolError:" in source
    assert "self.send_400_response(msg)" in source
    assert RemoteProtocolError("x", error_status_hint=431).error_status_hint == 431
    # A request's state is the server's, by a copy; and the end of an answer is told to the protocol.
    assert '"state": self.app_state.copy()' in source
    assert "on_response=self.on_response_complete" in source
    assert "self.cycle: RequestResponseCycle = None" in source
    assert "self.keep_alive" in inspect.getsource(RequestResponseCycle)


def test_uvicorn_takes_no_signals_off_the_main_thread_and_ends_when_told_to() -> None:
    assert "is not threading.main_thread()" in inspect.getsource(Server.capture_signals)
    assert "if self.should_exit:" in inspect.getsource(Server.on_tick)
    assert "connection.shutdown()" in inspect.getsource(Server.shutdown)
