"""Health and metrics over HTTP: read only, four pages, nothing of the settings.

A client has a few seconds and a few kilobytes to say what it wants, and one answer a connection.
"""

import errno
import io
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final, TypeAlias

from consumer.operations.measures import FAMILIES
from consumer.operations.telemetry import WorkerSnapshot
from consumer.settings import ConsumerSettings
from shared.errors import ConfigurationError
from shared.metrics import exposition, merge

logger = logging.getLogger(__name__)

#: Gives what each worker says of itself.
Snapshots: TypeAlias = Callable[[], Sequence[WorkerSnapshot]]

# Seconds for a request to arrive, and again for its answer to be taken; bytes of a request.
_PATIENCE: Final = 5.0
_MOST_BYTES: Final = 8 << 10
# Seconds from one look for the end to the next.
_LOOK: Final = 0.1
# Requests that are answered at the same time; others are turned away.
_AT_ONCE: Final = 16
# A worker that has said nothing for so many seconds is not ready; when all have said nothing for more, the
# process is not alive.
_SILENT: Final = 5.0
_DEAD: Final = 60.0
_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        status: The HTTP status.
        kind: The content type.
        body: The content.
    """

    status: HTTPStatus
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """What a page may depend on.

    Attributes:
        workers: What each worker says of itself.
        now: The time on the monotonic clock.
        accept: The content types that the client takes.
    """

    workers: Sequence[WorkerSnapshot]
    now: float
    accept: str = ""


def live(request: Request) -> Answer:
    """Whether to leave the process alone: 503 means that only a restart helps."""
    workers = request.workers
    found = {worker["worker"]: [worker["tripped"]] for worker in workers if worker["tripped"] is not None}
    if workers and all(request.now - worker["at"] > _DEAD for worker in workers):
        # A supervisor replaces one silent worker; that it hears of none is its own fault.
        found |= {worker["worker"]: [_silent(worker, request.now)] for worker in workers}
    return _health(request, "live", found)


def ready(request: Request) -> Answer:
    """Whether every worker is at work; if not, why."""
    found = {}
    for worker in request.workers:
        reasons = list(worker["unready"])
        if request.now - worker["at"] > _SILENT:
            reasons.append(_silent(worker, request.now))
        if reasons:
            found[worker["worker"]] = reasons
    return _health(request, "ready", found)


def _silent(worker: WorkerSnapshot, now: float) -> str:
    return f"it has said nothing for {now - worker['at']:.0f} s"


def _health(request: Request, word: str, found: Mapping[int, list[str]]) -> Answer:
    workers = {
        str(worker["worker"]): {word: worker["worker"] not in found, "why": found.get(worker["worker"], [])}
        for worker in request.workers
    }
    fine = bool(workers) and not found
    body = json.dumps({word: fine, "workers": workers}) + "\n"
    return Answer(HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE, _JSON, body.encode())


def metrics(request: Request) -> Answer:
    """All workers' metrics as Prometheus reads them."""
    merged = merge(FAMILIES, [worker["metrics"] for worker in request.workers])
    body, kind = exposition(FAMILIES, merged, request.accept)
    return Answer(HTTPStatus.OK, kind, body)


def index(_: Request) -> Answer:
    """What there is."""
    lines = (f"{path:<10}{page.__doc__}" for path, page in ROUTES.items() if page is not index)
    return Answer(HTTPStatus.OK, _TEXT, "\n".join(["Tandem's consumer", "", *lines, ""]).encode())


#: What is served where.
ROUTES: Final[Mapping[str, Callable[[Request], Answer]]] = {
    "/": index,
    "/livez": live,
    "/readyz": ready,
    "/metrics": metrics,
}


class _Handler(BaseHTTPRequestHandler):
    """One connection: one request, one answer.

    Args:
        snapshots: Gives what each worker says of itself.
        connection: As http.server gives them: the socket, the client's address, the server.
    """

    server_version, sys_version = "tandem", ""

    def __init__(self, snapshots: Snapshots, *connection: Any) -> None:
        self._snapshots = snapshots
        super().__init__(*connection)

    def handle(self) -> None:
        """Answers, unless the client is too slow or gone."""
        try:
            head = self._head()
            self.connection.settimeout(_PATIENCE)
            if head is not None:
                self.rfile = io.BytesIO(head)
                self.raw_requestline = self.rfile.readline()
                if self.parse_request():
                    self._answer()
        except OSError as error:
            logger.debug("A client of the HTTP port is gone: %s", error)

    def _head(self) -> bytes | None:
        """What the client says up to the empty line, within bounds; None when it says nothing of use."""
        head, until = b"", time.monotonic() + _PATIENCE
        while b"\r\n\r\n" not in head and b"\n\n" not in head:
            if len(head) > _MOST_BYTES:
                self.requestline, self.command = "", ""
                self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return None
            self.connection.settimeout(max(0.01, until - time.monotonic()))
            part = self.connection.recv(4096) if time.monotonic() < until else b""
            if not part:
                return None
            head += part
        return head

    def _answer(self) -> None:
        page = ROUTES.get(self.path.partition("?")[0])
        if page is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.command not in ("GET", "HEAD"):
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            accept = self.headers.get("Accept", "")
            self._send(page(Request(self._snapshots(), time.monotonic(), accept)))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - as http.server calls it
        """Answers with a status and nothing of what the client sent."""
        status = HTTPStatus(code)
        self._send(Answer(status, _TEXT, f"{status.value} {status.phrase}\n".encode()))

    def _send(self, answer: Answer) -> None:
        # What is no request at all would count as one of HTTP/0.9, whose answers have no headers.
        self.request_version = self.protocol_version
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Keeps requests out of the log but for debugging; what a client sent is quoted."""
        logger.debug("HTTP port: %r", format % args)


class _Server(ThreadingTCPServer):
    """Answers each connection in a thread, a few at once."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, host: str, port: int, snapshots: Snapshots) -> None:
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.address_family = family
        super().__init__(address, partial(_Handler, snapshots))  # type: ignore[arg-type]  # it may have 4 parts

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread, or closes the connection when there are enough."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Runs in the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as socketserver calls it
        """Logs a fault of a page; the server goes on."""
        logger.error("A page of the HTTP port failed", exc_info=sys.exception())

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.socket.getsockname()[1])


@contextmanager
def serving(settings: ConsumerSettings, snapshots: Snapshots) -> Iterator[int | None]:
    """Serves health and metrics for as long as the block runs.

    Args:
        settings: The address and the port; or that nothing is served.
        snapshots: Gives what each worker says of itself; called at each request, on another thread.

    Yields:
        The port; None when nothing is served.

    Raises:
        ConfigurationError: It cannot listen there.
    """
    if not settings.http:
        yield None
        return
    with _open(settings, snapshots) as server:
        logger.info(
            "Health and metrics at http://%s:%d/",
            f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host,
            server.port,
            extra={"http_port": server.port},
        )
        thread = threading.Thread(target=server.serve_forever, args=[_LOOK], name="http", daemon=True)
        thread.start()
        try:
            yield server.port
        finally:
            server.shutdown()


def _open(settings: ConsumerSettings, snapshots: Snapshots) -> _Server:
    chosen = "http_port" in settings.model_fields_set
    try:
        return _Server(settings.http_host, settings.http_port, snapshots)
    except OSError as error:
        if chosen or error.errno != errno.EADDRINUSE:
            raise _cannot_listen(settings, error) from error
    logger.info("Port %d is taken, so health and metrics take another", settings.http_port)
    try:
        return _Server(settings.http_host, 0, snapshots)
    except OSError as error:
        raise _cannot_listen(settings, error) from error


def _cannot_listen(settings: ConsumerSettings, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"health and metrics cannot be served on {settings.http_host}, port {settings.http_port}:"
        f" {error.strerror or error}",
        hint="Choose another with --http-host and --http-port (0: any that is free), or give --no-http.",
    )
