"""The port: opened where it is asked for, told of, and closed at once."""

import logging
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from consumer.settings import ConsumerSettings
from consumer.web import server
from consumer.web.server import address_of, serving
from shared.errors import ConfigurationError
from tests.support.broker import free_port
from tests.support.http_port import ask, settings


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("consumer.")]


def test_nothing_is_served_when_nothing_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), serving(settings("--no-http"), list) as port:
        assert port is None
    assert said(caplog) == []


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another process listens on."""
    with socket.create_server(("127.0.0.1", free_port())) as server:
        yield int(server.getsockname()[1])


def test_the_usual_port_gives_way_to_a_free_one_and_the_log_says_which(
    taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    usual = dict(settings()) | {"http_port": taken}
    unchosen = ConsumerSettings.model_construct(_fields_set={"model"}, **usual)
    with caplog.at_level("INFO"), serving(unchosen, list) as port:
        assert port not in (None, taken)
    assert said(caplog) == [
        f"Port {taken} is taken, so another is chosen",
        f"Health and metrics at http://127.0.0.1:{port}/",
        f"The page is at http://127.0.0.1:{port}/",
    ]
    assert [vars(record)["http_port"] for record in caplog.records if hasattr(record, "http_port")] == [port]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["--page-url", "https://tandem.example/"], "https://tandem.example/"),
        (["--http-host", "0.0.0.0"], "http://localhost:{port}/"),  # noqa: S104 - that is the case
        (["--http-host", "::1"], "http://[::1]:{port}/"),
        (["--page", "off"], None),
    ],
)
def test_the_log_says_where_a_person_finds_the_page(
    arguments: list[str], where: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"), serving(settings("--http-port", "0", *arguments), list) as port:
        pass
    told = [line.removeprefix("The page is at ") for line in said(caplog) if "page" in line]
    assert told == ([] if where is None else [where.format(port=port)])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        *(["--http-host", host] for host in ("0.0.0.0", "::", "::1", "192.0.2.7")),  # noqa: S104 - the case
        *(["--http-host", host] for host in ("localhost", "Scorer", "scorer.lan.")),
        ["--page-url", "https://tandem.example./"],
        ["--http-host", "scorer", "--page-url", "http://tandem.example:8080"],
    ],
    ids=str,
)
def test_the_page_answers_where_the_log_says_that_it_is(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = server._listen
    # Whatever the names mean on this machine.
    monkeypatch.setattr(server, "_listen", lambda _, port: listen("127.0.0.1", port))
    told = settings("--http-port", "0", *arguments)
    with serving(told, list) as port:
        assert port is not None
        assert ask(port, "/page/state", Host=urlsplit(address_of(told, port)).netloc)[0].status == 200


@pytest.mark.parametrize("host", [None, "203.0.113.1", "no.such.host.invalid"])
def test_a_port_or_host_that_was_chosen_and_cannot_be_had_is_refused_with_what_to_change(
    taken: int, host: str | None
) -> None:
    chosen = ["--http-port", str(taken)] if host is None else ["--http-host", host]
    with (
        pytest.raises(
            ConfigurationError, match="the live page, health and metrics cannot be served on"
        ) as raised,
        serving(settings(*chosen), list),
    ):
        pass
    assert "--http-port" in str(raised.value)


def test_the_port_is_free_again_afterwards_and_its_thread_is_gone() -> None:
    earlier = set(threading.enumerate())
    with serving(settings("--http-port", "0"), list) as port:
        pass
    assert set(threading.enumerate()) <= earlier
    with serving(settings("--http-port", str(port)), list) as again:
        assert again == port


def test_a_server_that_failed_is_said_and_fails_nobody_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("consumer.web.server._Server._serve", failing)
    with serving(settings("--http-port", "0"), list):
        for thread in threading.enumerate():
            if thread.name == "http":
                thread.join(10)
    assert [record.message for record in caplog.records] == [
        "Health, metrics and the live page are no longer served"
    ]


@pytest.mark.parametrize(
    "url",
    [
        *("tandem.example", "ftp://tandem.example/", "https://", "https://[::1/", "https://:443/"),
        *(
            "https://x:99999/",
            "https://x:0/",
            "https://ada:hunter2@x/",
            "https://ada:hunter2@x:99999/",
            "https://ada@x/",
            "https://tandem.example/live/",
        ),
    ],
)
def test_a_page_url_that_no_browser_opens_is_refused_and_no_password_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings("--page-url", url)
    said = str(raised.value)
    assert "--page-url" in said
    assert "must" in said
    assert "hunter2" not in said


def test_what_the_server_itself_has_to_say_is_left_out_of_the_log(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        ask(port, "/livez")
        ask(port, "/livez", Connection="upgrade", Upgrade="websocket")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"nonsense\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert [record for record in caplog.records if record.name == "uvicorn.error"] == []
    # Only pytest listens here.
    assert not logging.getLogger("uvicorn.access").propagate
    assert logging.getLogger("uvicorn.error").isEnabledFor(logging.ERROR)


@pytest.mark.parametrize("without", [["--page", "off"], ["--no-http"]])
def test_where_a_page_is_that_is_not_there_is_refused(without: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="--page-url says where the page is"):
        settings("--page-url", "http://tandem.example/", *without)
