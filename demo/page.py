"""The door to the live page in docker-compose.yml: it says where the page is, and passes connections on.

However many consumers there are, and whenever one of them is killed, the page keeps its one address on the
host: a published port belongs to one container, and would be refused to a second consumer.
"""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_SOON: Final = "The live page will be at {url} as soon as the consumer runs: in about half a minute."
#: Kills a worker: of the processes that the container's first one has started, the first.
KILL: Final = """docker compose exec consumer sh -c 'kill -9 $(cut -d " " -f 1 /proc/1/task/1/children)'"""
#: What is said once the page is there.
WELCOME: Final = """\
The live page is at {url}

While you watch it, in another terminal (docs/tour.md says what is seen):
  kill a worker     {kill}
  send poison       docker compose run --rm poison
  swap the models   docker compose run --rm swap
  batch job         docker compose run --rm batch
  prove it all      docker compose run --rm prove
"""
_CHUNK: Final = 1 << 16
_POLL_SECONDS: Final = 0.5
# A consumer that is gone without a word must not keep a browser waiting.
_CONNECT_SECONDS: Final = 3.0


class Door:
    """Passes connections on to a service, to the same container of it as long as that one is there.

    Args:
        host: The service's name; it has an address for each container.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._used: str | None = None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects to the container that was used last, or to another one.

        Raises:
            OSError: None of them answers, or there is none.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses = sorted(
            {str(address[0]) for *_, address in found}, key=lambda one: (one != self._used, one)
        )
        for address in sorted(addresses, key=lambda one: one != self._used):
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT_SECONDS):
                    connection = await asyncio.open_connection(address, self._port)
                self._used = address
                return connection
        raise ConnectionRefusedError(f"{self._host} has no container that answers.")

    async def answers(self) -> bool:
        """Whether the service says that it is ready."""
        try:
            reader, writer = await self.connect()
        except OSError:
            return False
        try:
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(_CONNECT_SECONDS):
                return b" 200 " in await reader.readline()
        except OSError:  # TimeoutError is one
            return False
        finally:
            await _close(writer)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes on what either side says until one of them ends; a browser then comes again by itself."""
        try:
            their_reader, their_writer = await self.connect()
        except OSError:
            await _close(writer)
            return
        ways = [
            asyncio.ensure_future(_copy(reader, their_writer)),
            asyncio.ensure_future(_copy(their_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await _close(their_writer)
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # the other side was quicker
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _run(url: str, door: Door, listen: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Inside the container; docker-compose.yml publishes it on this machine's own address alone.
    server = await asyncio.start_server(door.pass_on, "0.0.0.0", listen)  # noqa: S104
    print(_SOON.format(url=url), flush=True)
    while not stop.is_set():
        if await door.answers():
            print(WELCOME.format(url=url, kill=KILL), flush=True)
            await stop.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _POLL_SECONDS)
    server.close()


def main(arguments: Sequence[str]) -> None:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser("python -m demo.page", description=__doc__)
    parser.add_argument("url", help="where people find the page")
    parser.add_argument("service", help="the consumers' host:port, as seen from here")
    parser.add_argument("--listen", type=int, default=9464, help="the port to listen on (%(default)s)")
    told = parser.parse_args(arguments)
    host, _, port = told.service.rpartition(":")
    asyncio.run(_run(told.url, Door(host, int(port)), told.listen))


if __name__ == "__main__":
    main(sys.argv[1:])
