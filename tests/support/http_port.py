"""The consumer's HTTP port with made-up workers behind it, and clients of all manners."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse

from consumer.operations.telemetry import Telemetry
from consumer.settings import ConsumerSettings
from consumer.web.state import History, State
from shared.settings import load
from tests.support.pages import Look, sample_history, sample_state

#: What a browser says that it takes.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def settings(*arguments: str) -> ConsumerSettings:
    """A consumer's settings, with a secret among them."""
    options = ["--model", "models/threshold", "--kafka-option", "sasl_plain_password=hunter2", *arguments]
    return load(ConsumerSettings, options, "python -m consumer")


def ready_worker(number: int = 0) -> Telemetry:
    """What a worker at work tells."""
    telemetry = Telemetry(number)
    telemetry.assigned({number})
    telemetry.positions({number: 5})
    telemetry.ends({number: 8})
    return telemetry


def ask(
    port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[HTTPResponse, str]:
    """The answer to a request, and its content; an underscore in a header's name stands for a hyphen."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers=named)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def say(port: int, words: bytes) -> bytes:
    """What the server answers to bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(words)
        answer = b""
        while part := client.recv(4096):
            answer += part
    return answer


def say_or_closed(port: int, words: bytes = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") -> bytes:
    """As `say`; nothing where the connection is cut off."""
    with suppress(ConnectionError):
        return say(port, words)
    return b""


class SampleWatch:
    """Stands in for consumer/web/history.py: tells samples, a second later at each look.

    Args:
        look: Which samples.
    """

    def __init__(self, look: Look = "calm") -> None:
        self._look = look
        self._ticked = threading.Condition()
        #: How often it has looked.
        self.ticks = 0

    def tick(self) -> State:
        with self._ticked:
            self.ticks += 1
            self._ticked.notify_all()
        return self.state()

    def state(self) -> State:
        return sample_state(self._look, at=1_000_000.0 + self.ticks)

    def history(self) -> History:
        return sample_history(self._look, at=1_000_000.0 + self.ticks)

    def wait_for(self, ticks: int) -> None:
        """Waits until it has looked so often."""
        with self._ticked:
            assert self._ticked.wait_for(lambda: self.ticks >= ticks, timeout=20)


class EventStream:
    """A client of the page's stream.

    Args:
        port: Where.
        receive_buffer: Bytes that the system may hold for the client; None: as usual.
    """

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(10)
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(b"GET /page/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self._response = HTTPResponse(self._socket)

    def begin(self) -> HTTPResponse:
        """Waits for the head of the answer."""
        self._response.begin()
        return self._response

    def events(self) -> Iterator[tuple[str, str]]:
        """The events' names and data, to the end of the stream."""
        name, data = "", ""
        while line := self._response.readline().decode():
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = value
            elif not line.strip() and name:
                yield name, data
                name = ""

    def close(self) -> None:
        """Goes away."""
        self._response.close()
        self._socket.close()


@contextmanager
def stream_of(port: int, receive_buffer: int | None = None) -> Iterator[EventStream]:
    """A client of the page's stream that has been answered."""
    client = EventStream(port, receive_buffer)
    try:
        assert client.begin().status == 200
        yield client
    finally:
        client.close()
