"""Sending one event by hand, and following it to what becomes of it: only with --send-form."""

import threading
import time
from collections import deque
from http import HTTPStatus
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from consumer.settings import ConsumerSettings
from consumer.web.delivery import Delivery, NewEvent
from consumer.web.form import form_of
from consumer.web.stream import IN_PIECES
from shared.errors import TandemError
from shared.models.directory import first_problem

# Events on their way at the same time, and begun within a second.
_AT_ONCE: Final = 2
_A_SECOND: Final = 3


class _Sent(BaseModel):
    """What the page asks for.

    Attributes:
        value: The event's text, whatever it is: what is no event becomes a dead letter.
        key: The record's key; the customer's id in the event unless given, as the producer has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    value: str
    key: str | None = None


class FullError(Exception):
    """There are enough events for now; the text says what to do."""


class Turnstile:
    """Lets in a few at once, and a few a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._entered: deque[float] = deque(maxlen=_A_SECOND)

    def enter(self, now: float) -> None:
        """Lets one in, who must leave.

        Args:
            now: The time on the monotonic clock.

        Raises:
            FullError: There are enough.
        """
        with self._lock:
            if self._inside >= _AT_ONCE:
                raise FullError(
                    f"{_AT_ONCE} events are on their way, as many as may be: wait until one is answered."
                )
            if len(self._entered) == _A_SECOND and now - self._entered[0] < 1:
                raise FullError(
                    f"{_A_SECOND} events were sent within a second, as many as may be: wait a moment, or"
                    " send many with python -m producer."
                )
            self._entered.append(now)
            self._inside += 1

    def leave(self) -> None:
        """Makes room for another one."""
        with self._lock:
            self._inside -= 1


def routes(settings: ConsumerSettings) -> list[Route]:
    """What the page's form needs: `/page/form` and `/page/send`; nothing without --send-form."""
    if not settings.send_form:
        return []
    turnstile = Turnstile()

    # A plain function, which Starlette runs in a thread: it reads a file.
    def form(_: Request) -> Response:
        try:
            return Response(form_of(settings.model).model_dump_json(), media_type="application/json")
        except TandemError as error:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    async def send(request: Request) -> Response:
        try:
            event = _asked(await request.body())
            turnstile.enter(time.monotonic())
        except ValueError as error:
            return _refused(HTTPStatus.BAD_REQUEST, str(error))
        except FullError as error:
            return _refused(HTTPStatus.TOO_MANY_REQUESTS, str(error), {"Retry-After": "1"})
        delivery = Delivery(settings, event, done=turnstile.leave)
        delivery.start()
        return StreamingResponse(delivery.lines(), headers=IN_PIECES, media_type="application/x-ndjson")

    return [Route("/page/form", form), Route("/page/send", send, methods=["POST"])]


def _refused(status: HTTPStatus, why: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{why}\n", status, headers)


def _asked(body: bytes) -> NewEvent:
    """The event that a request holds.

    Raises:
        ValueError: It holds none; with what it must be.
    """
    try:
        sent = _Sent.model_validate_json(body)
        return NewEvent(sent.value.encode(), None if sent.key is None else sent.key.encode())
    except ValidationError as error:
        raise ValueError(
            f"The request is not one of the form's: {first_problem(error)}. It must be a JSON object:"
            ' {"value": "the event\'s text"}, with "key" where the record is to have another one.'
        ) from None
