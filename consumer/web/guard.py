"""Who may ask the page for what, and the headers that every answer has.

A browser lends its hands to any site that its user looks at, and the page has no password. So a foreign name
for its address is refused, or a site whose name is made to point here could read all; and what is sent must
come from the page itself.
"""

import asyncio
import logging
import socket
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumer.web.settings import in_url

logger = logging.getLogger(__name__)

#: Where the page's parts are; health and metrics are elsewhere and answer under any name.
PAGE: Final = "/page/"
# Bytes of what may be sent to the page, and seconds for it to arrive.
_MOST_BYTES: Final = 64 << 10
_PATIENCE: Final = 5.0
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "tandem",
    "X-Content-Type-Options": "nosniff",
}
_USUAL_PORTS: Final = {"http": 80, "https": 443}
_UNKNOWN_VERSION: Final = "Ask with HTTP/1.1."
_FOREIGN_NAME: Final = (
    "The page is not served under this name, lest another site reads it through your browser. Open it by its"
    " IP address or as localhost; or start the consumer with --page-url and the address that you opened."
)
_FOREIGN_SITE: Final = (
    "Only the page itself may send. If this is it, and a proxy is between: start the consumer with --page-url"
    " and the address that you opened."
)
_NOT_JSON: Final = "What is sent must be JSON, with the header Content-Type: application/json."
_TOO_LARGE: Final = f"What is sent may have {_MOST_BYTES} bytes."
_TOO_SLOW: Final = f"What is sent must arrive within {_PATIENCE:g} seconds."


class _RefusedError(Exception):
    """A request that is not passed on.

    Args:
        status: The HTTP status of the answer.
        why: What to do, as a sentence.
    """

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Guard:
    """Stands before the application.

    Args:
        app: Answers.
        has_page: Whether there is a page to guard.
        page_url: Where people find it, when it is not where it is served.
        http_host: Where it is served: whoever runs the consumer chose that name.
    """

    def __init__(
        self, app: ASGIApp, *, has_page: bool, page_url: str | None = None, http_host: str | None = None
    ) -> None:
        self._app = app
        self._has_page = has_page
        url = urlsplit(page_url or "")
        self._origin = origin_of(page_url) if page_url else None
        names = (url.hostname, http_host, socket.gethostname())
        self._names = {name.lower().rstrip(".") for name in names if name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; a fault is logged, and the server goes on."""
        try:
            try:
                receive = await self._checked(scope, receive)
            except _RefusedError as refused:
                answer = PlainTextResponse(f"{refused.why}\n", refused.status)
                await answer(scope, receive, _with_headers(send))
                return
            await self._app(scope, receive, _with_headers(send))
        except Exception:
            logger.exception("A page of the HTTP port failed")

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        if scope["http_version"] not in ("1.0", "1.1"):
            raise _RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, _UNKNOWN_VERSION)
        headers = Headers(scope=scope)
        path: str = scope["path"]
        if not self._has_page or not (path.startswith(PAGE) or (path == "/" and takes_html(headers))):
            return receive
        if not self._is_own(headers):
            raise _RefusedError(HTTPStatus.MISDIRECTED_REQUEST, _FOREIGN_NAME)
        if scope["method"] != "POST":
            return receive
        self._check_sender(headers)
        return _replay(await _body(headers, receive), receive)

    def _is_own(self, headers: Headers) -> bool:
        try:
            name = (urlsplit(f"//{headers.get('Host', '')}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self._names or name == "localhost" or name.endswith(".localhost") or _is_address(name)

    def _check_sender(self, headers: Headers) -> None:
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
        own = {f"{scheme}://{headers.get('Host', '')}".lower() for scheme in ("http", "https")}
        if origin is not None and origin.lower() not in own | {self._origin}:
            raise _RefusedError(HTTPStatus.FORBIDDEN, _FOREIGN_SITE)
        if site not in (None, "same-origin"):
            raise _RefusedError(HTTPStatus.FORBIDDEN, _FOREIGN_SITE)
        if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _NOT_JSON)


def origin_of(url: str) -> str:
    """What a browser sends as the origin of a page: scheme and host, and the port where it is no usual one.

    Args:
        url: The page's address, as `HttpSettings` has checked it.
    """
    parts = urlsplit(url)
    host = in_url(parts.hostname or "")
    usual = parts.port in (None, _USUAL_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{host}" if usual else f"{parts.scheme}://{host}:{parts.port}"


def takes_html(headers: Headers) -> bool:
    """Whether the client is a browser, as far as it says what it takes."""
    return "text/html" in headers.get("Accept", "").lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _body(headers: Headers, receive: Receive) -> bytes:
    length = headers.get("Content-Length", "0")
    if not length.isdecimal() or int(length) > _MOST_BYTES:
        raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
    body, more = b"", True
    try:
        async with asyncio.timeout(_PATIENCE):
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > _MOST_BYTES:
                    raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
    except TimeoutError:
        raise _RefusedError(HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW) from None
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then what comes after it: that the client is gone."""
    given = False

    async def replaying() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
