"""The HTTP port: what it answers, whom it turns away, and that it shows nothing else."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from consumer.web import health
from consumer.operations.telemetry import Telemetry, WorkerSnapshot
from consumer.web.server import serving
from consumer.settings import ConsumerSettings
from shared.deadline import Deadline
from shared.errors import ConfigurationError
from shared.settings import load
from tests.support.broker import free_port
from tests.support.promlint import problems


def settings(*arguments: str) -> ConsumerSettings:
    options = ["--model", "models/threshold", "--kafka-option", "sasl_plain_password=hunter2", *arguments]
    return load(ConsumerSettings, options, "python -m consumer")


def ready_worker(number: int = 0) -> Telemetry:
    telemetry = Telemetry(number)
    telemetry.assigned({number})
    telemetry.positions({number: 5})
    telemetry.ends({number: 8})
    return telemetry


@pytest.fixture
def workers() -> list[Telemetry]:
    """What is served; a test may change it."""
    return [ready_worker(0), ready_worker(1)]


@pytest.fixture
def port(workers: list[Telemetry]) -> Iterator[int]:
    with serving(settings("--http-port", "0"), lambda: [worker.snapshot() for worker in workers]) as chosen:
        assert chosen is not None
        yield chosen


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def say(port: int, words: bytes) -> bytes:
    """What the server answers to bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(words)
        answer = b""
        while part := client.recv(4096):
            answer += part
    return answer


def test_all_workers_ready_is_200_with_each_of_them_named(port: int) -> None:
    for path, word in (("/readyz", "ready"), ("/livez", "live")):
        answer, body = ask(port, path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        worker = {word: True, "why": []}
        assert json.loads(body) == {word: True, "workers": {"0": worker, "1": worker}}


def test_one_worker_that_is_not_ready_is_503_and_says_why(port: int, workers: list[Telemetry]) -> None:
    workers[1] = Telemetry(1)
    answer, body = ask(port, "/readyz")
    assert answer.status == 503
    told = json.loads(body)
    assert (told["ready"], told["workers"]["0"]["ready"]) == (False, True)
    assert told["workers"]["1"]["why"] == ["the group has not taken it in yet", "no broker has answered yet"]
    assert ask(port, "/livez")[0].status == 200


def test_a_tripped_watchdog_is_503_on_both(port: int, workers: list[Telemetry]) -> None:
    workers[0].trip("partition 3 has stood")
    for path in ("/livez", "/readyz"):
        answer, body = ask(port, path)
        assert (answer.status, json.loads(body)["workers"]["0"]["why"]) == (503, ["partition 3 has stood"])


def test_without_a_worker_nothing_is_ready(port: int, workers: list[Telemetry]) -> None:
    workers.clear()
    assert ask(port, "/readyz")[0].status == 503


def silent_for(*seconds: float) -> health.Question:
    now = time.monotonic()
    snapshots: list[WorkerSnapshot] = [
        {**ready_worker(number).snapshot(), "at": now - silent} for number, silent in enumerate(seconds)
    ]
    return health.Question(snapshots, now)


@pytest.mark.parametrize(
    ("silent", "is_ready", "is_live"),
    [((0, 1), True, True), ((0, 6), False, True), ((0, 99), False, True), ((99, 99), False, False)],
)
def test_a_silent_worker_is_not_ready_and_when_all_are_silent_the_supervisor_is_at_fault(
    silent: tuple[float, ...], is_ready: bool, is_live: bool
) -> None:
    request = silent_for(*silent)
    assert (health.ready(request).status == 200, health.live(request).status == 200) == (is_ready, is_live)


def test_metrics_are_those_of_all_workers_in_the_form_that_is_asked_for(port: int) -> None:
    answer, body = ask(port, "/metrics")
    assert (answer.status, answer.headers["Content-Type"]) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    assert problems(body) == []
    for series in ('partition_lag{partition="0"}', 'partition_lag{partition="1"}', 'ready{worker="1"}'):
        assert f"tandem_{series} " in body
    answer, body = ask(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_the_index_lists_the_pages(port: int) -> None:
    _, body = ask(port, "/?from=a+person")
    assert all(path in body for path in ("/livez", "/readyz", "/metrics"))


@pytest.mark.parametrize("path", ["/", "/livez", "/metrics"])
def test_head_gives_the_headers_alone(port: int, path: str) -> None:
    answer, body = ask(port, path, "HEAD")
    assert (answer.status, body) == (200, "")
    assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/..%2f..%2fetc/passwd", "/livez%00"])
def test_anything_else_is_404_and_repeats_nothing_of_what_was_asked(port: int, path: str) -> None:
    answer, body = ask(port, path)
    assert (answer.status, body) == (404, "404 Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "<script>"])
def test_only_reading_is_allowed(port: int, method: str) -> None:
    answer, body = ask(port, "/metrics", method)
    assert (answer.status, body) == (405, "405 Method Not Allowed\n")
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/readyz", "/metrics", "/nothing"])
def test_every_answer_is_one_that_nobody_keeps_or_guesses_at_and_tells_nothing_of_python(
    port: int, path: str
) -> None:
    answer, _ = ask(port, path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Server"].strip() == "tandem"


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics"])
def test_no_page_shows_a_setting(port: int, path: str) -> None:
    _, body = ask(port, path)
    for secret in ("hunter2", "localhost", "9092", "models/", str(Path.cwd())):
        assert secret not in body


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 9000, b"HTTP/1.0 431 "),
        (b"GET /" + b"x" * 9000, b"HTTP/1.0 431 "),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"HTTP/1.0 400 "),
        (b"GET /livez HTTP/9.9\r\n\r\n", b"HTTP/1.0 505 "),
        (b"GET / livez HTTP/1.1\r\n\r\n", b"HTTP/1.0 400 "),
        (b"GET /livez HTTP/1.1\nHost: x\n\n", b"HTTP/1.0 200 "),
    ],
    ids=["long header", "long line", "TLS", "unknown version", "too many words", "bare line feeds"],
)
def test_what_is_no_request_is_refused_in_a_line(port: int, words: bytes, answer: bytes) -> None:
    assert say(port, words).startswith(answer)
    assert ask(port, "/livez")[0].status == 200


@pytest.mark.parametrize("words", [b"", b"GET /livez HTTP/1.1\r\n"], ids=["silent", "half a request"])
def test_a_slow_client_is_left_after_a_while(
    port: int, words: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE", 0.1)
    assert say(port, words) == b""


def test_a_client_that_says_a_byte_now_and_then_has_no_more_time_than_others(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE", 0.3)
    deadline = Deadline.after(8)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client, suppress(ConnectionError):
        while not deadline.passed:
            client.sendall(b"G")
            time.sleep(0.05)
    assert not deadline.passed


def test_more_clients_at_once_than_there_is_room_for_are_turned_away_and_room_comes_back(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE", 1)
    crowd = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(16)]
    try:
        assert say_or_closed(port) == b""
    finally:
        for client in crowd:
            client.close()
    deadline = Deadline.after(10)
    while not say_or_closed(port).startswith(b"HTTP/1.0 200"):
        assert not deadline.passed


def say_or_closed(port: int) -> bytes:
    try:
        return say(port, b"GET /livez HTTP/1.1\r\n\r\n")
    except ConnectionError:
        return b""


def test_a_page_that_fails_is_logged_and_the_server_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing() -> list[WorkerSnapshot]:
        raise ValueError("no snapshot")

    with serving(settings("--http-port", "0"), failing) as port:
        assert port is not None
        assert say(port, b"GET /livez HTTP/1.1\r\n\r\n") == b""
        assert ask(port, "/nothing")[0].status == 404
    assert any(record.exc_info and "no snapshot" in str(record.exc_info[1]) for record in caplog.records)


def test_nothing_is_served_when_nothing_is_wanted() -> None:
    with serving(settings("--no-http"), list) as port:
        assert port is None


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
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"Port {taken} is taken, so health and metrics take another",
        f"Health and metrics at http://127.0.0.1:{port}/",
    ]


@pytest.mark.parametrize("host", [None, "203.0.113.1", "no.such.host.invalid"])
def test_a_port_or_host_that_was_chosen_and_cannot_be_had_is_refused_with_what_to_change(
    taken: int, host: str | None
) -> None:
    chosen = ["--http-port", str(taken)] if host is None else ["--http-host", host]
    with (
        pytest.raises(ConfigurationError, match="cannot be served on") as raised,
        serving(settings(*chosen), list),
    ):
        pass
    assert "--http-port" in str(raised.value)


def test_the_port_is_free_again_afterwards() -> None:
    with serving(settings("--http-port", "0"), list) as port:
        pass
    with serving(settings("--http-port", str(port)), list) as again:
        assert again == port
