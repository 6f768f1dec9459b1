"""What machines ask: alive, ready, and the metrics."""

import json
import time
from collections.abc import Iterator

import pytest

from consumer.operations.telemetry import Telemetry, WorkerSnapshot
from consumer.web import health
from consumer.web.server import serving
from tests.support.http_port import ask, ready_worker, settings
from tests.support.promlint import problems


@pytest.fixture
def workers() -> list[Telemetry]:
    """Those behind the port; a test may change them."""
    return [ready_worker(0), ready_worker(1)]


@pytest.fixture
def port(workers: list[Telemetry]) -> Iterator[int]:
    """The port."""
    asked = settings("--http-port", "0", "--page", "off")
    with serving(asked, lambda: [worker.snapshot() for worker in workers]) as chosen:
        assert chosen is not None
        yield chosen


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
    question = silent_for(*silent)
    assert (health.ready(question).status == 200, health.live(question).status == 200) == (is_ready, is_live)


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
