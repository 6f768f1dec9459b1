"""What is served where: health and metrics for machines, the live page for people."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
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


def application(
    snapshots: Snapshots,
    live: Live | None,
    assets: Mapping[str, Asset],
    more: Sequence[BaseRoute] = (),
    page_url: str | None = None,
) -> ASGIApp:
    """All that the HTTP port serves.

    Args:
        snapshots: Gives what each worker says of itself; called at each request for health or metrics.
        live: What open pages are told; None: there is no page.
        assets: The page's files.
        more: Further routes of the page.
        page_url: Where people find the page, when it is not where it is served.
    """
    routes = [Route(path, _asked(answer, snapshots)) for path, answer in PAGES.items()]
    if live is not None:
        routes += [
            Route(_STATE, _told(live)),
            Route(_STREAM, live.answer),
            Route(f"{PAGE}static/{{name}}", _static(assets)),
        ]
    app = Starlette(
        routes=[Route("/", _index(assets if live else {})), *routes, *more],
        exception_handlers={HTTPException: _refused, Exception: _refused},
    )
    # As curl has it, /metrics/ is another page than /metrics.
    app.router.redirect_slashes = False
    return Guard(app, page_url)


def _index(assets: Mapping[str, Asset]) -> _Endpoint:
    pages = {path: answer.__doc__ for path, answer in PAGES.items()} | (_LISTED if assets else {})
    width = max(map(len, pages)) + 2
    lines = ["Tandem's consumer", "", *(f"{path:<{width}}{what}" for path, what in pages.items()), ""]

    async def index(request: Request) -> Response:
        if INDEX in assets and takes_html(request.headers):
            return _file(assets[INDEX], request, {"Vary": "Accept"})
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
