"""What open pages are told: the history once, then each second the state, to all of them the same bytes.

A page that takes it slowly misses states and is sent the newest; nothing is kept for it.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from consumer.web.protocol import keep_open
from consumer.web.state import PERIOD, Frozen, History, State

logger = logging.getLogger(__name__)

# Pages that are told at the same time; another one is turned away.
_AT_ONCE: Final = 32
# Milliseconds after which a browser whose stream ended asks for it again.
_RETRY: Final = 1_000
_KIND: Final = "text/event-stream"
#: Headers of an answer that comes in pieces: a proxy that would gather them first is asked not to.
IN_PIECES: Final = {"X-Accel-Buffering": "no"}


class Watching(Protocol):
    """Who knows the consumer's state and history (consumer/web/history.py)."""

    def tick(self) -> State:
        """Looks at the consumer; called once a second."""

    def state(self) -> State:
        """The consumer at the last tick."""

    def history(self) -> History:
        """Its last minutes."""


class Live:
    """Has the consumer looked at once a second, and tells it to all open pages.

    All methods run on the server's event loop.

    Args:
        watch: Looks.
    """

    def __init__(self, watch: Watching) -> None:
        self._watch = watch
        self._open = 0
        self._closed = False
        self._failing = False
        self._ticks = 0
        self._next = asyncio.Event()
        # Of the last tick, made when the first page asks.
        self._state: bytes | None = None
        self._history: bytes | None = None

    async def run(self) -> None:
        """Looks for as long as it is not cancelled."""
        due = time.monotonic()
        while True:
            self.tick()
            # After a pause of the machine the looks that were missed are not made up for.
            due = max(due + PERIOD, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def tick(self) -> None:
        """Looks, and wakes the pages.

        A fault leaves the pages without news, which they show, and health and metrics as they are.
        """
        try:
            self._watch.tick()
        except Exception:
            if not self._failing:
                logger.exception("The live page stands still: the consumer could not be looked at")
            self._failing = True
            return
        self._failing = False
        self._state = self._history = None
        self._ticks += 1
        self._wake()

    def close(self) -> None:
        """Ends all streams."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    def state(self) -> bytes:
        """The consumer at the last tick, as JSON."""
        if self._state is None:
            self._state = _json(self._watch.state())
        return self._state

    def history(self) -> bytes:
        """Its last minutes, as JSON."""
        if self._history is None:
            self._history = _json(self._watch.history())
        return self._history

    async def answer(self, request: Request) -> Response:
        """Answers the request of a page for the stream."""
        if request.method == "HEAD":
            return Response(media_type=_KIND)
        if self._open >= _AT_ONCE:
            return PlainTextResponse(
                f"{_AT_ONCE} pages are open, as many as there may be: close one.\n",
                HTTPStatus.SERVICE_UNAVAILABLE,
                {"Retry-After": "10"},
            )
        return _Stream(self)

    async def events(self) -> AsyncIterator[bytes]:
        """The stream's events, until it ends."""
        yield b"retry: %d\n\nevent: history\ndata: %b\n\n" % (_RETRY, self.history())
        told = -1
        while not self._closed:
            if told != self._ticks:
                told = self._ticks
                yield b"event: state\ndata: %b\n\n" % self.state()
            else:
                await self._next.wait()

    def opened(self, streams: int) -> None:
        """Notes that a stream begins (1) or ends (-1)."""
        self._open += streams


class _Stream(StreamingResponse):
    """One open page's stream; it ends with the page, and with the server.

    Starlette's own response is enough: sse-starlette's listens for the end of a uvicorn that runs on the main
    thread and takes the signals, which this one does not, by a flag that all servers of a process share.
    """

    def __init__(self, live: Live) -> None:
        super().__init__(live.events(), headers=IN_PIECES, media_type=_KIND)
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        keep_open(scope)
        self._live.opened(1)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._live.opened(-1)


def _json(told: Frozen) -> bytes:
    return told.model_dump_json().encode()
