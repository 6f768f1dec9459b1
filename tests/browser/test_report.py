"""A real browser shows the report: no error, no request, the verdict in its text, and something to see."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from batch.report.page import headline
from batch.report.write import write_report
from tests.support import reports
from tests.support.browser import Tab, faults_found_by_axe, opened
from tests.support.markup import parsed

pytestmark = pytest.mark.slow

SAMPLES = {
    "holding": reports.holding(),
    "failing": reports.failing(reports.HOSTILE),
    "replayed": reports.replayed(),
}


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    with opened(browser) as tab:
        yield tab


@pytest.fixture(params=SAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_report_opens_without_an_error_and_without_a_request(tab: Tab, tmp_path: Path, name: str) -> None:
    write_report(tmp_path, SAMPLES[name])
    page = tmp_path / "report.html"
    tab.open(page)
    assert (tab.console, tab.failures, tab.requests) == ([], [], [page.as_uri()])
    assert headline(SAMPLES[name]) in parsed(tab.page.content()).text
    assert faults_found_by_axe(tab.page) == ""


def test_an_error_or_a_request_of_a_page_would_be_seen(tab: Tab, tmp_path: Path) -> None:
    page = tmp_path / "planted.html"
    page.write_text(
        "<!DOCTYPE html><html><body><img src='http://127.0.0.1:9/x.png'><script>planted()</script></body></html>",
        encoding="utf-8",
    )
    tab.open(page)
    assert tab.requests == [page.as_uri(), "http://127.0.0.1:9/x.png"]
    assert [address for address, _ in tab.failures] == ["http://127.0.0.1:9/x.png"]
    assert any("planted is not defined" in said for said in tab.console)


@pytest.mark.parametrize(
    ("width", "scheme", "ground"),
    [(1280, "light", range(200, 256)), (1280, "dark", range(50)), (500, "light", range(200, 256))],
    ids=["light", "dark", "small"],
)
def test_a_picture_of_a_report_shows_something(
    browser: Browser, tmp_path: Path, width: int, scheme: str, ground: range
) -> None:
    write_report(tmp_path, reports.holding())
    with opened(browser, width, 2000, color_scheme=scheme) as tab:
        tab.open(tmp_path / "report.html")
        colour = tab.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        picture = tab.page.screenshot()
    assert int(re.findall(r"\d+", colour)[0]) in ground
    # A blank page of that size is a few kilobytes.
    assert len(picture) > 60_000


def test_a_report_prints_on_paper_with_what_is_folded_opened(tab: Tab, tmp_path: Path) -> None:
    sizes = {}
    for count in (10, 150):
        write_report(tmp_path / str(count), reports.ledgers_of(count))
        tab.open(tmp_path / str(count) / "report.html")
        sizes[count] = len(re.findall(rb"/Type\s*/Page\b", tab.page.pdf()))
    assert 2 <= sizes[10] <= 5
    assert sizes[150] >= sizes[10] + 3
