"""The consumer's HTTP port, as a page or a scraper meets it."""

import logging
from collections.abc import Iterator

import pytest

from consumer.web.server import serving
from tests.support.http_port import SampleWatch, ready_worker, settings


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Lets the log be heard from warnings on, whatever level another test has left; a test may want more."""
    caplog.set_level(logging.WARNING)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port, with two workers behind it that are at work."""
    workers = [ready_worker(0), ready_worker(1)]
    with serving(settings("--http-port", "0"), lambda: [worker.snapshot() for worker in workers]) as chosen:
        assert chosen is not None
        yield chosen


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> SampleWatch:
    """What open pages are told, in place of what workers say; asked for before the port."""
    sample = SampleWatch()
    monkeypatch.setattr("consumer.web.history.Watch", lambda *_: sample)
    return sample
