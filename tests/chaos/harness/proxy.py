"""A TCP proxy in front of a broker, whose connections can be cut, refused, silenced and slowed."""

import asyncio
import threading
from collections.abc import Collection, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

_CHUNK: Final = 1 << 20
_HOST: Final = "127.0.0.1"
_SECONDS: Final = 10.0


class Proxy:
    """Passes on what comes, on a thread of its own, for as long as the block runs.

    Args:
        port: Where to listen, on the loopback.
        target: The port to connect to.
    """

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._server: asyncio.Server | None = None
        # By the client's port, which tells whose connection it is.
        self._links: dict[int, tuple[asyncio.StreamWriter, ...]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def clients(self) -> set[int]:
        """The ports from which clients are connected now."""
        return set(self._links)

    def cut(self, clients: Collection[int]) -> None:
        """Resets the connections of these client ports."""
        self._run(self._cut(clients))

    def cut_all(self) -> None:
        """Resets all connections."""
        self._run(self._cut(None))

    def refuse(self) -> None:
        """Resets all connections and takes no more of them."""
        self._run(self._refuse())

    def admit(self) -> None:
        """Takes connections again."""
        self._run(self._listen())

    def silence(self) -> None:
        """Leaves connections open, and takes new ones, but passes nothing on."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        """Resets what was silent, and passes on again what comes after."""
        self._run(self._resume())

    def slow(self, seconds: float) -> None:
        """Passes on each piece so many seconds late; 0: at once."""
        self._delay = seconds

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(_SECONDS)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, _HOST, self._port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut(None)

    async def _cut(self, clients: Collection[int] | None) -> None:
        chosen = [port for port in self._links if clients is None or port in clients]
        for port in chosen:
            for writer in self._links.pop(port):
                # Not close: that would first send what is left.
                writer.transport.abort()

    async def _resume(self) -> None:
        await self._cut(None)
        self._flowing.set()

    async def _close(self) -> None:
        await self._refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(writer.get_extra_info("peername")[1])
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._links[port] = (writer,)
        try:
            source, sink = await asyncio.open_connection(_HOST, self._target)
            if port not in self._links:
                sink.transport.abort()
                return
            self._links[port] = (writer, sink)
            await asyncio.gather(self._pass(reader, sink), self._pass(source, writer))
        except (OSError, asyncio.CancelledError):
            # The broker is away, one end was cut, or the proxy ends.
            pass
        finally:
            for end in self._links.pop(port, (writer,)):
                end.transport.abort()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes bytes on until one side ends; the other side is ended with it."""
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                await self._flowing.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
        writer.close()
