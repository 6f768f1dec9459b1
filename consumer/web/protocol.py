"""How connections are kept short and few: the one file that uses private parts of uvicorn.

uvicorn and h11 give a client all the time it wants to say what it wants and to take the answer, and a
connection to any number of clients. Here a client has a few seconds and a few kilobytes, there are few
connections at a time, and each has one request. Open pages stay connected; they are counted apart.
"""

import asyncio
import logging
import socket
import sys
import weakref
from http import HTTPStatus
from typing import Any, Final

from starlette.types import ASGIApp, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

# Seconds for a request's head to arrive, and again for the client to take what it was sent.
_PATIENCE: Final = 5.0
# The same for a page that stays connected: a phone may be out of reach for a moment.
_PATIENCE_WITH_A_PAGE: Final = 30.0
# Seconds for what was sent to be taken when the server ends.
_FAREWELL: Final = 0.5
# Bytes of a request's head.
_MOST_BYTES: Final = 8 << 10
# Connections at the same time, but for pages that stay; others are turned away.
_AT_ONCE: Final = 16
# Bytes that the system may hold for a page that stays: what it holds is not the newest.
_HELD_BYTES: Final = 64 << 10


class Connection(H11Protocol):
    """A client's connection, with a time for each thing that the client has to do."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # A weak one: the collector, which would have to find the circle, may be off.
        super().__init__(config, server_state, {**app_state, "connection": weakref.ref(self)}, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._patience = _PATIENCE
        self._seen = 0
        #: Whether it is an open page's.
        self.stays = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begins to wait for a request, unless there are enough clients."""
        super().connection_made(transport)
        self._must_go_on()
        if sum(not getattr(other, "stays", False) for other in self.connections) > _AT_ONCE:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        super().connection_lost(exc)
        self._went_on()

    def data_received(self, data: bytes) -> None:
        """Takes in what the client says, up to the end of a request's head within bounds."""
        if self._request() is None:
            # One byte more than a head may have: without its end by then, h11 refuses it.
            head, data = data[: _MOST_BYTES + 1 - self._seen], data[_MOST_BYTES + 1 - self._seen :]
            self._seen += len(head)
            super().data_received(head)
            if self._request() is not None:
                self._went_on()
        if data and not self.transport.is_closing():
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as uvicorn calls it
        """Refuses what is no request, in a line and with nothing of what the client sent."""
        if self._request() is not None:
            # It went wrong within a request, whose answer may be on its way.
            self.transport.abort()
            return
        status = HTTPStatus(getattr(sys.exception(), "error_status_hint", HTTPStatus.BAD_REQUEST))
        body = f"{status.value} {status.phrase}\n"
        head = (
            f"HTTP/1.1 {body[:-1]}",
            "Server: tandem",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
        )
        self.transport.write("\r\n".join([*head, "", body]).encode())
        self.transport.close()

    def pause_writing(self) -> None:
        """Gives the client a while to take what it was sent, before there is more."""
        super().pause_writing()
        self._must_go_on()

    def resume_writing(self) -> None:
        """Goes on with the answer; at its end, the while is for all of it."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._went_on()

    def on_response_complete(self) -> None:
        """Gives the client a while to take the rest of the answer."""
        super().on_response_complete()
        self._must_go_on()

    def shutdown(self) -> None:
        """Ends when the server does: what is on its way has a moment to arrive."""
        request = self._request()
        if request is None:
            self.transport.abort()
        else:
            request.keep_alive = False
            self._must_go_on(_FAREWELL)

    def stay(self) -> None:
        """Makes it an open page's: counted apart, and with nothing held back but the newest."""
        self.stays = True
        self._patience = _PATIENCE_WITH_A_PAGE
        self.transport.set_write_buffer_limits(high=0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _HELD_BYTES)

    def _request(self) -> RequestResponseCycle | None:
        """The request that is answered; None before its head is here."""
        return self.cycle

    def _must_go_on(self, seconds: float | None = None) -> None:
        self._went_on()
        patience = self._patience if seconds is None else seconds
        self._timer = self.loop.call_later(patience, self.transport.abort)

    def _went_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def keep_open(scope: Scope) -> None:
    """Lets a request's connection stay for as long as its page is open."""
    connection = scope["state"]["connection"]()
    if connection is not None:
        connection.stay()


def server(app: ASGIApp) -> Server:
    """A server of an application; `serve` runs it on a socket, and `should_exit` ends it.

    What uvicorn has to say is left out of the log but for faults of the application.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return Server(
        Config(
            app,
            loop="asyncio",
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            # Of the variables that uvicorn would look for, none is meant for this server.
            workers=1,
            proxy_headers=False,
            forwarded_allow_ips=[],
            server_header=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_MOST_BYTES,
        )
    )
