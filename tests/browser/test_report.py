"""A real browser shows the report: no error, no request, the verdict in its text, and something to see."""

import json
import re
import shutil
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from batch.report.page import headline
from batch.report.write import write_report
from tests.support import reports
from tests.support.markup import parsed
from tests.support.trouble import give_up

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_REMEDY = "install Chromium, for instance by: apt-get install chromium"
SAMPLES = {
    "holding": reports.holding(),
    "failing": reports.failing(reports.HOSTILE),
    "replayed": reports.replayed(),
}
# Nothing leaves this machine while the browser runs, whatever it does for itself.
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page.

    Attributes:
        dom: The page, as it stands once it is loaded.
        console: What its console holds.
        requests: The addresses that the page asked for.
    """

    dom: str
    console: list[str]
    requests: list[str]


@dataclass(frozen=True)
class Browser:
    """A browser without a window.

    Attributes:
        command: Where it is.
        folder: For what it stores.
    """

    command: str
    folder: Path

    def run(self, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
        profile = f"--user-data-dir={self.folder / 'profile'}"
        command = [self.command, *_FLAGS, profile, *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    def open(self, page: Path) -> Seen:
        log = self.folder / "net.json"
        ended = self.run(page, "--enable-logging=stderr", "--v=0", f"--log-net-log={log}", "--dump-dom")
        events = json.loads(log.read_text(encoding="utf-8"))["events"]
        return Seen(ended.stdout, re.findall(r"CONSOLE.*", ended.stderr), _asked_by_the_page(events))

    def picture(self, page: Path, width: int, height: int, *options: str) -> bytes:
        file = self.folder / "picture.png"
        self.run(page, f"--window-size={width},{height}", f"--screenshot={file}", *options)
        return file.read_bytes()


def _asked_by_the_page(events: list[dict[str, Any]]) -> list[str]:
    """Requests with an initiator; the browser's own have `not an origin`."""
    asked = [event.get("params", {}) for event in events]
    return [
        one["url"]
        for one in asked
        if one.get("initiator", "not an origin") != "not an origin" and "url" in one
    ]


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    command = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if command is None:
        give_up(f"there is no browser on this machine: {_REMEDY}")
    return Browser(command, tmp_path)


@pytest.fixture(params=SAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_report_opens_without_an_error_and_without_a_request(browser: Browser, name: str) -> None:
    write_report(browser.folder / name, SAMPLES[name])
    seen = browser.open(browser.folder / name / "report.html")
    assert (seen.console, seen.requests) == ([], [])
    assert headline(SAMPLES[name]) in parsed(seen.dom).text


def test_an_error_or_a_request_of_a_page_would_be_seen(browser: Browser) -> None:
    page = browser.folder / "planted.html"
    page.write_text(
        "<!DOCTYPE html><html><body><img src='http://127.0.0.1:9/x.png'><script>planted()</script></body></html>",
        encoding="utf-8",
    )
    seen = browser.open(page)
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert "planted is not defined" in seen.console[0]


@pytest.mark.parametrize(
    ("width", "height", "options", "ground"),
    [
        (1280, 2400, (), range(200, 256)),
        (1280, 2400, ("--blink-settings=preferredColorScheme=0",), range(50)),
        (500, 2000, (), range(200, 256)),
    ],
    ids=["light", "dark", "small"],
)
def test_a_picture_of_a_report_shows_something(
    browser: Browser, width: int, height: int, options: tuple[str, ...], ground: range
) -> None:
    write_report(browser.folder / "report", reports.holding())
    picture = browser.picture(browser.folder / "report" / "report.html", width, height, *options)
    assert struct.unpack(">II", picture[16:24]) == (width, height)
    # A blank page of that size is a few kilobytes.
    assert len(picture) > 60_000
    assert _corner(picture) in ground


def _corner(picture: bytes) -> int:
    """The red part of a PNG's first point, whose line has no line above it to be a difference from."""
    begin, content = 8, b""
    while begin < len(picture):
        (length,) = struct.unpack(">I", picture[begin : begin + 4])
        if picture[begin + 4 : begin + 8] == b"IDAT":
            content += picture[begin + 8 : begin + 8 + length]
        begin += length + 12
    return zlib.decompress(content)[1]


def test_a_report_prints_on_paper_with_what_is_folded_opened(browser: Browser) -> None:
    write_report(browser.folder / "few", reports.ledgers_of(10))
    write_report(browser.folder / "many", reports.ledgers_of(150))
    sizes = {}
    for name in ("few", "many"):
        file = browser.folder / f"{name}.pdf"
        browser.run(browser.folder / name / "report.html", "--no-pdf-header-footer", f"--print-to-pdf={file}")
        sizes[name] = len(re.findall(rb"/Type\s*/Page\b", file.read_bytes()))
    assert 2 <= sizes["few"] <= 5
    assert sizes["many"] >= sizes["few"] + 3
