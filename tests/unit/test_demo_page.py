"""The door to the live page passes connections on, whatever becomes of a consumer."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import yaml

from demo import page
from demo.page import Door

ROOT = Path(__file__).resolve().parents[2]
HERE = "127.0.0.1"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, port: int = 0, address: str = HERE) -> AsyncIterator[int]:
    """Serves there, and gives the port; at the end it waits for those who are served."""
    served: list[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = asyncio.get_running_loop().create_future()
        served.append(done)
        await handler(reader, writer)
        done.set_result(None)

    server = await asyncio.start_server(serve, address, port)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await asyncio.gather(*served)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HERE, port)
    try:
        yield reader, writer
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each line in capitals, until it is told to end."""
    while (line := await reader.readline()) not in (b"", b"end\n"):
        writer.write(line.upper())
    await close(writer)


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await close(writer)


def answering(says: bytes) -> Handler:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(says)
        await close(writer)

    return answer


def within_a_while(test: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


def test_what_either_side_says_is_passed_on_until_one_of_them_ends() -> None:
    async def run() -> None:
        async with (
            serving(shout) as port,
            serving(Door(HERE, port).pass_on) as door,
            connected(door) as (reader, writer),
        ):
            for word in (b"one\n", b"x" * 60_000 + b"\n"):
                writer.write(word)
                assert await reader.readexactly(len(word)) == word.upper()
            writer.write(b"end\n")
            assert await reader.read() == b""

    within_a_while(run())


def test_a_service_that_is_gone_closes_the_connection_and_is_found_again() -> None:
    async def run() -> None:
        async with serving(shout) as port:
            pass
        async with serving(Door(HERE, port).pass_on) as door:
            async with connected(door) as (reader, _):
                assert await reader.read() == b""
            async with serving(shout, port), connected(door) as (reader, writer):
                writer.write(b"again\n")
                assert await reader.readline() == b"AGAIN\n"

    within_a_while(run())


def test_of_several_containers_it_stays_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def used(door: Door) -> str:
        reader, writer = await door.connect()
        address = str(writer.get_extra_info("peername")[0])
        assert await reader.read() == b""
        await close(writer)
        return address

    async def run() -> None:
        first, second = "127.0.0.1", "127.0.0.2"
        async with serving(hang_up, address=second) as port:

            async def both(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
                return [(2, 1, 6, "", (address, port)) for address in (first, second)]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
            door = Door("consumer", port)
            assert await used(door) == second
            async with serving(hang_up, port, first):
                assert await used(door) == second
                assert await used(Door("consumer", port)) == first

    within_a_while(run())


@pytest.mark.parametrize(
    ("says", "ready"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 No\r\n\r\n", False), (b"", False)],
)
def test_the_page_is_said_to_be_there_when_the_consumer_is_ready(says: bytes, ready: bool) -> None:
    async def run() -> None:
        async with serving(answering(says)) as port:
            assert await Door(HERE, port).answers() is ready

    within_a_while(run())


def test_the_commands_that_are_told_name_services_of_the_tour() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    told = set(re.findall(r"docker compose run --rm (\w+)", page.WELCOME))
    assert told == {name for name, service in services.items() if service.get("profiles") == ["tour"]}
    assert "consumer" in services
