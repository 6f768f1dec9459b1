"""Health, metrics and the live page over HTTP, on a thread of their own beside the consumer."""

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from consumer.settings import ConsumerSettings
from consumer.web.health import Snapshots
from consumer.web.settings import Page, in_url
from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from consumer.web.app import LivePage
    from consumer.web.history import Watch

logger = logging.getLogger(__name__)

# Clients that wait to be let in.
_BACKLOG: Final = 32
_ALL_ADDRESSES: Final = ("0.0.0.0", "::")  # noqa: S104 - to tell them apart
# Seconds for the server to end; what it has not sent by then is lost with the process.
_PATIENCE: Final = 3.0


@contextmanager
def serving(
    settings: ConsumerSettings, snapshots: Snapshots, watch: "Watch | None" = None
) -> Iterator[int | None]:
    """Serves health, metrics and the live page for as long as the block runs.

    Args:
        settings: The address and the port, and what the page shows; or that nothing is served.
        snapshots: Gives what each worker says of itself; called on another thread.
        watch: Looks at them for the page, once a second; None: one of the page's own.

    Yields:
        The port; None when nothing is served.

    Raises:
        ConfigurationError: It cannot listen there, or cannot show what it is told to.
    """
    if not settings.http:
        yield None
        return
    with _open(settings) as listener:
        port = int(listener.getsockname()[1])
        server = _Server(settings, snapshots, watch, listener)
        _say_where(settings, port)
        server.start()
        try:
            yield port
        finally:
            server.close()


class _Server(threading.Thread):
    """The server's thread.

    Args:
        settings: What the page shows.
        snapshots: Gives what each worker says of itself.
        watch: Looks at them for the page; None: one of the page's own.
        listener: Listens already.
    """

    def __init__(
        self,
        settings: ConsumerSettings,
        snapshots: Snapshots,
        watch: "Watch | None",
        listener: socket.socket,
    ) -> None:
        super().__init__(name="http", daemon=True)
        # What only a server needs is loaded only where one is wanted.
        from consumer.web.app import application  # noqa: PLC0415
        from consumer.web.protocol import server  # noqa: PLC0415

        page = None if settings.shows is Page.OFF else _page(settings, watch or watching(settings, snapshots))
        self._live = page.live if page is not None else None
        self._server = server(application(snapshots, page))
        self._listener = listener
        self._loop = asyncio.new_event_loop()

    def run(self) -> None:
        """Serves until it is closed."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except Exception:
            logger.exception("Health, metrics and the live page are no longer served")

    async def _serve(self) -> None:
        looking = asyncio.create_task(self._live.run()) if self._live is not None else None
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            if looking is not None:
                looking.cancel()

    def close(self) -> None:
        """Ends the server, and at once what it streams to open pages."""
        self._server.should_exit = True
        if self._live is not None:
            # A loop that failed is closed, and its fault was told of.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._live.close)
        self.join(_PATIENCE)


def watching(settings: ConsumerSettings, snapshots: Snapshots) -> "Watch":
    """What looks at the consumer for the page, or for a terminal.

    Args:
        settings: What the consumer was told.
        snapshots: Gives what each worker says of itself.
    """
    from consumer.web import proof  # noqa: PLC0415
    from consumer.web.history import Watch  # noqa: PLC0415

    return Watch(settings, snapshots, proof.ProofFolder.of(settings))


def _page(settings: ConsumerSettings, watch: "Watch") -> "LivePage":
    from consumer.web import proof, sending  # noqa: PLC0415
    from consumer.web.app import LivePage  # noqa: PLC0415
    from consumer.web.assets import assets  # noqa: PLC0415
    from consumer.web.stream import Live  # noqa: PLC0415

    routes = [*sending.routes(settings), *proof.routes(settings)]
    return LivePage(Live(watch), assets(), routes, settings.page_url, settings.http_host)


def address_of(settings: ConsumerSettings, port: int) -> str:
    """Where a person finds the page.

    Args:
        settings: The host, and the address that was given for it.
        port: The port that was taken.
    """
    # All addresses of a machine are none that a browser opens.
    name = "localhost" if settings.http_host in _ALL_ADDRESSES else in_url(settings.http_host)
    return settings.page_url or f"http://{name}:{port}/"


def _say_where(settings: ConsumerSettings, port: int) -> None:
    where = f"http://{in_url(settings.http_host)}:{port}/"
    logger.info("Health and metrics at %s", where, extra={"http_port": port})
    if settings.shows is not Page.OFF:
        logger.info("The page is at %s", address_of(settings, port), extra={"shows": settings.shows.value})


def _open(settings: ConsumerSettings) -> socket.socket:
    chosen = "http_port" in settings.model_fields_set
    try:
        return _listen(settings.http_host, settings.http_port)
    except OSError as error:
        if chosen or error.errno != errno.EADDRINUSE:
            raise _cannot_listen(settings, error) from error
    logger.info("Port %d is taken, so another is chosen", settings.http_port)
    try:
        return _listen(settings.http_host, 0)
    except OSError as error:
        raise _cannot_listen(settings, error) from error


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _cannot_listen(settings: ConsumerSettings, error: OSError) -> ConfigurationError:
    what = "health and metrics" if settings.shows is Page.OFF else "the live page, health and metrics"
    return ConfigurationError(
        f"{what} cannot be served on {settings.http_host}, port {settings.http_port}:"
        f" {error.strerror or error}",
        hint="Choose another with --http-host and --http-port (0: any that is free), or give --no-http.",
    )
