"""What is served where, and that it shows nothing else."""

import json
from pathlib import Path

import pytest

from consumer.operations.telemetry import WorkerSnapshot
from consumer.web.assets import assets
from consumer.web.server import serving
from tests.support.http_port import BROWSER, ask, say, settings

PATHS = ["/", "/livez", "/readyz", "/metrics", "/page/state", "/page/static/page.js", "/nothing"]
OF_THE_PAGE = [
    "/page/state",
    "/page/stream",
    "/page/static/page.js",
    "/page/report",
    "/page/form",
    "/page/send",
]


def test_the_index_lists_what_there_is_for_who_is_no_browser(port: int) -> None:
    for accept in ("*/*", "text/plain", ""):
        answer, body = ask(port, "/?from=a+person", Accept=accept)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert all(path in body for path in ("/livez", "/readyz", "/metrics", "/page/state", "/page/stream"))


def test_the_index_is_the_page_for_a_browser(port: int) -> None:
    answer, body = ask(port, "/", Accept=BROWSER)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Vary"] == "Accept"
    assert body.encode() == assets()["index.html"].body


def test_without_a_page_all_that_belongs_to_it_is_404_and_a_browser_has_the_list() -> None:
    with serving(settings("--http-port", "0", "--page", "off"), list) as port:
        assert port is not None
        answer, body = ask(port, "/", Accept=BROWSER, Host="tandem.example")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert "/metrics" in body
        assert "/page" not in body
        for path in OF_THE_PAGE:
            assert ask(port, path)[0].status == 404


def test_a_page_of_figures_has_no_events_in_its_state(port: int) -> None:
    assert json.loads(ask(port, "/page/state")[1])["latest"] is not None
    with serving(settings("--http-port", "0", "--page", "figures"), list) as figures:
        assert figures is not None
        assert json.loads(ask(figures, "/page/state")[1])["latest"] is None
        assert ask(figures, "/", Accept=BROWSER)[0].headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_form_and_a_report_are_there_only_when_asked_for(port: int, tmp_path: Path) -> None:
    for path in ("/page/form", "/page/report"):
        assert ask(port, path)[1] == "404 Not Found\n"
    asked = settings("--http-port", "0", "--send-form", "--proof", str(tmp_path))
    with serving(asked, list) as more:
        assert more is not None
        assert ask(more, "/page/form")[0].status == 200
        answer, body = ask(more, "/page/report")
        assert (answer.status, "--proof" in body) == (404, True)
        answer, _ = ask(more, "/page/send")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", [*PATHS[:-1], "/page/stream"])
def test_head_gives_the_headers_alone(port: int, path: str) -> None:
    # To the end of the connection: a stream that went on without a word would be one for ever.
    answer = say(port, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert (head.partition(" OK")[0], body) == ("HTTP/1.1 200", "")
    assert "content-type: " in head


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/metrics/",
        "/..%2f..%2fetc/passwd",
        "/livez%00",
        "/page/static/..%2fapp.py",
        "/page/static/",
    ],
)
def test_anything_else_is_404_and_repeats_nothing_of_what_was_asked(port: int, path: str) -> None:
    answer, body = ask(port, path)
    assert (answer.status, body) == (404, "404 Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
@pytest.mark.parametrize("path", ["/metrics", "/page/state", "/page/static/page.js"])
def test_only_reading_is_allowed(port: int, method: str, path: str) -> None:
    answer, body = ask(port, path, method, Content_Type="application/json")
    assert (answer.status, body) == (405, "405 Method Not Allowed\n")
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", PATHS)
def test_no_page_shows_a_setting(port: int, path: str) -> None:
    _, body = ask(port, path)
    for secret in ("hunter2", "localhost:", "models/", str(Path.cwd())):
        assert secret not in body


def test_a_page_that_fails_is_logged_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> list[WorkerSnapshot]:
        raise ValueError("no snapshot")

    with serving(settings("--http-port", "0", "--page", "off"), failing) as port:
        assert port is not None
        answer, body = ask(port, "/livez")
        assert (answer.status, body) == (500, "500 Internal Server Error\n")
        assert answer.headers["Cache-Control"] == "no-store"
        assert ask(port, "/nothing")[0].status == 404
    (fault,) = caplog.records
    assert fault.exc_info is not None
    assert (fault.getMessage(), str(fault.exc_info[1])) == ("A page of the HTTP port failed", "no snapshot")


def test_a_file_is_taken_again_only_when_it_is_another(port: int) -> None:
    for path, accept in (("/page/static/page.js", "*/*"), ("/", BROWSER)):
        answer, body = ask(port, path, Accept=accept)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
        etag = answer.headers["ETag"]
        again, nothing = ask(port, path, Accept=accept, If_None_Match=etag)
        assert (again.status, nothing, again.headers["ETag"]) == (304, "", etag)
        assert ask(port, path, Accept=accept, If_None_Match='"of-another-version"')[1] == body
