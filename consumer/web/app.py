"""What is served where: health and metrics for machines, the live page for people."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from consumer.web.assets import INDEX, Asset
from consumer.web.guard import PAGE, Guard, takes_html
from consumer.web.health import PAGES, Answer, Question, Snapshots
from consumer.web.stream import Live

_Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_STATE: Final = f"{PAGE}state"
_STREAM: Final = f"{PAGE}stream"
_LISTED: Final = {
    _STATE: "What the live page shows, as JSON.",
    _STREAM: "The same each second, as server-sent events.",
}


@dataclass(frozen=True, slots=True)
class LivePage:
    """What the live page is made of.

    Attributes:
        live: What open pages are told.
        assets: Its files.
        routes: Further parts of it.
        url: Where people find it, when it is not where it is served.
        host: Where it is served.
    """

    live: Live
    assets: Mapping[str, Asset]
    routes: Sequence[BaseRoute] = ()
    url: str | None = None
    host: str | None = None


def application(snapshots: Snapshots, page: LivePage | None) -> ASGIApp:
    """All that the HTTP port serves.

    Args:
        snapshots: Gives what each worker says of itself; called at each request for health or metrics.
        page: The live page; None: there is none.
    """
    routes = [Route("/", _index(page)), *(Route(path, _asked(ask, snapshots)) for path, ask in PAGES.items())]
    if page is not None:
        routes += [
            Route(_STATE, _told(page.live)),
            Route(_STREAM, page.live.answer),
            Route(f"{PAGE}static/{{name}}", _static(page.assets)),
        ]
    app = Starlette(
        routes=[*routes, *(page.routes if page else ())],
        exception_handlers={HTTPException: _refused, Exception: _refused},
    )
    # /metrics/ is not there; nobody is sent elsewhere by an address made of what a client sent.
    app.router.redirect_slashes = False
    if page is None:
        return Guard(app, has_page=False)
    return Guard(app, has_page=True, page_url=page.url, http_host=page.host)


def _index(page: LivePage | None) -> _Endpoint:
    listed = {path: answer.__doc__ for path, answer in PAGES.items()} | (_LISTED if page else {})
    width = max(map(len, listed)) + 2
    lines = ["Tandem's consumer", "", *(f"{path:<{width}}{what}" for path, what in listed.items()), ""]

    async def index(request: Request) -> Response:
        if page is not None and takes_html(request.headers):
            return _file(page.assets[INDEX], request, {"Vary": "Accept"})
        return PlainTextResponse("\n".join(lines), headers={"Vary": "Accept"})

    return index


def _asked(answer: Callable[[Question], Answer], snapshots: Snapshots) -> _Endpoint:
    async def asked(request: Request) -> Response:
        told = answer(Question(snapshots(), time.monotonic(), request.headers.get("Accept", "")))
        return Response(told.body, told.status, {"Content-Type": told.kind})

    return asked


def _told(live: Live) -> _Endpoint:
    async def told(_: Request) -> Response:
        return Response(live.state(), media_type="application/json")

    return told


def _static(assets: Mapping[str, Asset]) -> _Endpoint:
    async def static(request: Request) -> Response:
        asset = assets.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return _file(asset, request)

    return static


def _file(asset: Asset, request: Request, headers: Mapping[str, str] | None = None) -> Response:
    """A file of the page; a browser that has it already is told so, and asks again each time."""
    said = {"Cache-Control": "no-cache", "ETag": asset.etag, **(headers or {})}
    if asset.etag in request.headers.get("If-None-Match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=said)
    return Response(asset.body, headers={**said, "Content-Type": asset.kind})


async def _refused(_: Request, error: Exception) -> Response:
    """Refuses with a status and nothing of what the client sent."""
    status, headers = HTTPStatus.INTERNAL_SERVER_ERROR, {}
    if isinstance(error, HTTPException):
        status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return PlainTextResponse(f"{status.value} {status.phrase}\n", status, headers)
