"""Who may ask the page for what."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import patch

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from consumer.web.guard import origin_of
from consumer.web.server import serving
from tests.support.http_port import BROWSER, ask, say, settings

URL = "https://tandem.example/"
JSON = "application/json"


async def repeat(request: Request) -> Response:
    """Stands in for what is sent to the page."""
    body = await request.body()
    return JSONResponse({"bytes": len(body)})


@pytest.fixture(scope="module")
def form() -> Iterator[int]:
    """A port that takes what is sent to /page/send."""
    routes = [Route("/page/send", repeat, methods=["POST"])]
    with (
        patch("consumer.web.sending.routes", lambda _: routes),
        serving(settings("--http-port", "0", "--page-url", URL), list) as chosen,
    ):
        assert chosen is not None
        yield chosen


@pytest.mark.parametrize(
    "path", ["/", "/livez", "/page/state", "/page/static/page.js", "/nothing", "/page/none"]
)
def test_every_answer_is_one_that_nobody_frames_keeps_or_guesses_at_and_tells_nothing_of_python(
    port: int, path: str
) -> None:
    for host in ("127.0.0.1", "evil.example"):
        answer, _ = ask(port, path, Host=host)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers.get_all("Server") == ["tandem"]
        assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:9464", "[::1]:9464", "192.0.2.7", "localhost", "LocalHost:9464"),
        *("tandem.localhost:80", "localhost.", socket.gethostname(), "tandem.example", "Tandem.Example:443"),
    ],
)
def test_the_page_answers_under_its_own_names(form: int, host: str) -> None:
    assert ask(form, "/page/state", Host=host)[0].status == 200
    assert ask(form, "/", Host=host, Accept=BROWSER)[0].status == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
        ),
        *("a@127.0.0.1.evil.example", "[::1", "", "0x7f000001", "tandem.example.evil"),
    ],
)
def test_a_foreign_name_is_refused_with_what_to_do_and_not_repeated(form: int, host: str) -> None:
    for path, accept in (("/page/state", "*/*"), ("/page/stream", "*/*"), ("/", BROWSER)):
        answer, body = ask(form, path, Host=host, Accept=accept)
        assert (answer.status, "--page-url" in body, "evil" in body) == (421, True, False)


def test_a_request_without_a_name_is_refused_too(port: int) -> None:
    assert say(port, b"GET /page/state HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics"])
def test_machines_find_health_and_metrics_under_any_name(port: int, path: str) -> None:
    assert ask(port, path, Host="tandem.monitoring.svc:9464", Accept="*/*")[0].status == 200


def send(port: int, body: bytes, **headers: str) -> tuple[int, str]:
    answer, told = ask(port, "/page/send", "POST", body, **({"Content_Type": JSON} | headers))
    return answer.status, told


def test_what_the_page_itself_sends_arrives(form: int) -> None:
    for headers in (
        {},
        {"Origin": f"http://127.0.0.1:{form}", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "http://localhost:80", "Host": "localhost:80"},
        {"Origin": "https://tandem.example", "Sec_Fetch_Site": "same-origin"},
        {"Content_Type": "Application/JSON; charset=utf-8"},
    ):
        assert send(form, b"x" * 60_000, **headers) == (200, '{"bytes":60000}')


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://tandem.example:8443"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
    ],
    ids=str,
)
def test_what_another_site_sends_is_refused_with_what_to_do(form: int, headers: dict[str, str]) -> None:
    status, told = send(form, b"{}", **headers)
    assert (status, "--page-url" in told, "evil" in told) == (403, True, False)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_what_a_form_of_any_site_could_send_is_refused(form: int, kind: str) -> None:
    status, told = send(form, b"{}", Content_Type=kind)
    assert (status, "application/json" in told) == (415, True)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Tandem.Example:443/", "https://tandem.example"),
        ("HTTP://tandem.example:80", "http://tandem.example"),
        ("https://tandem.example:80/", "https://tandem.example:80"),
        ("https://tandem.example:8443/", "https://tandem.example:8443"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]"),
    ],
)
def test_a_browsers_origin_has_no_port_that_its_scheme_implies(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_a_foreign_name_may_not_send(form: int) -> None:
    assert send(form, b"{}", Host="evil.example", Origin="http://evil.example")[0] == 421


def test_a_large_body_is_refused_whether_its_length_is_said_or_not(form: int) -> None:
    head = b"POST /page/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert send(form, b"x" * (64 << 10))[0] == 200
    said = say(form, head + b"Content-Length: 65537\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413 ")
    chunk = b"%x\r\n%b\r\n" % (9_000, b"x" * 9_000)
    with socket.create_connection(("127.0.0.1", form), timeout=10) as client:
        client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            for _ in range(8):
                client.sendall(chunk)
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert json.loads(send(form, b"{}")[1]) == {"bytes": 2}


def test_a_body_that_does_not_arrive_is_not_waited_for(form: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.web.guard._PATIENCE", 0.1)
    head = b"POST /page/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert say(form, head + b"Content-Length: 9\r\n\r\n{").startswith(b"HTTP/1.1 408 ")
