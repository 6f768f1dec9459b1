"""Asks an ASGI application without a server."""

import asyncio
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message


@dataclass(slots=True)
class Answered:
    """An answer.

    Attributes:
        status: The HTTP status.
        headers: By name in lower case.
        body: The content.
        parts: The content as it came.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """The content."""
        return b"".join(self.parts)


def ask(app: ASGIApp, path: str, method: str = "GET", body: bytes = b"") -> Answered:
    """The whole answer to a request."""
    return asyncio.run(asked(app, path, method, body))


async def asked(app: ASGIApp, path: str, method: str = "GET", body: bytes = b"") -> Answered:
    """The whole answer to a request, within a loop."""
    answered, given, ended = Answered(), False, asyncio.Event()

    async def receive() -> Message:
        nonlocal given
        if given:
            await ended.wait()
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            answered.parts.append(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    ended.set()
    return answered
