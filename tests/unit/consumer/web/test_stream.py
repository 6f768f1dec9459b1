"""What open pages are told, and that nobody waits for them."""

import json
import socket
import threading
from collections.abc import Iterator
from itertools import islice

import pytest

from consumer.web.server import serving
from shared.deadline import Deadline
from tests.support.http_port import EventStream, SampleWatch, ask, settings, stream_of


@pytest.fixture
def quick(watch: SampleWatch, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port whose page is told of a look every hundredth of a second."""
    monkeypatch.setattr("consumer.web.stream.PERIOD", 0.01)
    with serving(settings("--http-port", "0"), list) as port:
        assert port is not None
        watch.wait_for(1)
        yield port


def moments(client: EventStream, most: int) -> list[float]:
    return [json.loads(data)["at"] for name, data in islice(client.events(), most) if name == "state"]


def test_a_page_is_told_the_history_and_then_each_state_as_it_comes(quick: int) -> None:
    with stream_of(quick) as client:
        events = client.events()
        name, data = next(events)
        assert (name, len(json.loads(data)["at"])) == ("history", 600)
        told = list(islice(events, 5))
    assert [name for name, _ in told] == ["state"] * 5
    times = [json.loads(data)["at"] for _, data in told]
    assert times == sorted(set(times))


def test_the_stream_is_one_that_a_browser_asks_for_again_and_no_proxy_holds_back(quick: int) -> None:
    client = EventStream(quick)
    try:
        head = client.begin()
        assert head.headers["Content-Type"].startswith("text/event-stream")
        assert (head.headers["Cache-Control"], head.headers["X-Accel-Buffering"]) == ("no-store", "no")
        assert head.readline() == b"retry: 1000\n"
    finally:
        client.close()


def test_all_pages_are_told_the_same_bytes(quick: int) -> None:
    with stream_of(quick) as one, stream_of(quick) as other:
        told = [
            {data for name, data in islice(client.events(), 60) if name == "state"} for client in (one, other)
        ]
    assert told[0] & told[1]


def test_pages_beyond_those_that_there_may_be_are_told_so_and_room_comes_back(
    quick: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.web.stream._AT_ONCE", 2)
    with stream_of(quick), stream_of(quick):
        answer, body = ask(quick, "/page/stream")
        assert (answer.status, answer.headers["Retry-After"], "close one" in body) == (503, "10", True)
    deadline = Deadline.after(8)
    while not opened(quick):
        assert not deadline.passed


def opened(port: int) -> bool:
    client = EventStream(port)
    try:
        return client.begin().status == 200
    finally:
        client.close()


def test_open_pages_take_no_room_from_requests(quick: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.web.protocol._AT_ONCE", 2)
    with stream_of(quick), stream_of(quick), stream_of(quick):
        assert ask(quick, "/livez")[0].status == 503
        assert ask(quick, "/page/state")[0].status == 200


def test_a_page_that_reads_slowly_misses_states_and_then_has_the_newest(
    quick: int, watch: SampleWatch
) -> None:
    with stream_of(quick, receive_buffer=4096) as client:
        assert len(moments(client, 3)) == 2
        before = watch.ticks
        watch.wait_for(before + 150)
        made = watch.ticks
        received = 0
        for at in iter(lambda: moments(client, 1)[0], None):
            received += 1
            if at >= 1_000_000 + made:
                break
        # What the system holds: some tens of kilobytes of some kilobytes each.
        assert received < 60


def test_a_page_that_reads_nothing_is_left_after_a_while(quick: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.web.protocol._PATIENCE_WITH_A_PAGE", 0.3)
    monkeypatch.setattr("consumer.web.stream._AT_ONCE", 1)
    with stream_of(quick, receive_buffer=4096):
        deadline = Deadline.after(20)
        while not opened(quick):
            assert not deadline.passed


@pytest.mark.usefixtures("watch")
def test_streams_end_by_themselves_when_the_server_does() -> None:
    earlier = set(threading.enumerate())
    clients = []
    with serving(settings("--http-port", "0"), list) as port:
        assert port is not None
        for _ in range(3):
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            client.sendall(b"GET /page/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
            clients.append(client)
    assert set(threading.enumerate()) <= earlier
    for client in clients:
        with client, client.makefile("rb") as answer:
            told = answer.read()
        # As a stream that is cut off would not end.
        assert told.endswith(b"\r\n0\r\n\r\n")
        assert b"event: state" in told


def test_a_page_that_reads_nothing_does_not_hold_up_the_end(
    watch: SampleWatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("consumer.web.stream.PERIOD", 0.01)
    earlier = set(threading.enumerate())
    with serving(settings("--http-port", "0"), list) as port:
        assert port is not None
        stuck = EventStream(port, receive_buffer=4096)
        watch.wait_for(watch.ticks + 100)
    stuck.close()
    assert set(threading.enumerate()) <= earlier
    # Nor is it a fault to be told of.
    assert caplog.records == []


def test_a_consumer_that_cannot_be_looked_at_is_told_of_once_and_health_goes_on(
    watch: SampleWatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = threading.Semaphore(0)

    def failing() -> None:
        looks.release()
        raise ValueError("no look")

    monkeypatch.setattr(watch, "tick", failing)
    monkeypatch.setattr("consumer.web.stream.PERIOD", 0.01)
    with serving(settings("--http-port", "0"), list) as port:
        assert port is not None
        for _ in range(5):
            assert looks.acquire(timeout=10)
        assert ask(port, "/livez")[0].status == 503
    assert [record.getMessage() for record in caplog.records] == [
        "The live page stands still: the consumer could not be looked at"
    ]
