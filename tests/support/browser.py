"""A real browser without a window, and what a page does in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from tests.support.trouble import give_up

#: Milliseconds for what depends on processes that share a busy machine.
PATIENCE = 60_000
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_REMEDY = "install Chromium, for instance by: apt-get install chromium"
# Nothing leaves this machine while the browser runs, whatever it does for itself.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_WIDTH, _HEIGHT = 1280, 900


@contextmanager
def running_browser() -> Iterator[Browser]:
    """This machine's own Chromium; skips the test where there is none, and fails it under CI=true.

    While it runs, no other code of this thread can run an event loop.
    """
    command = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if command is None:
        give_up(f"there is no browser on this machine: {_REMEDY}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page that is open, and what it did.

    Attributes:
        page: The page.
        console: What it wrote to the console, and the errors that nobody caught.
        requests: The addresses that it asked for.
        failures: Those that were not answered, or with a fault, and why.
    """

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def listen(self) -> None:
        """Notes from now on what it does."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        self.failures.append((request.url, request.failure or ""))

    def _answered(self, response: Response) -> None:
        if not response.ok and response.status != 304:
            self.failures.append((response.url, str(response.status)))

    def open(self, where: str | Path) -> None:
        """Loads a page by its address or its path."""
        self.page.goto(where.resolve().as_uri() if isinstance(where, Path) else where)


@contextmanager
def opened(browser: Browser, width: int = _WIDTH, height: int = _HEIGHT, **options: Any) -> Iterator[Tab]:
    """An empty page that shares nothing with other ones.

    Args:
        browser: Opens it.
        width: Of its window, in CSS pixels.
        height: Likewise.
        options: Of Playwright's `new_context`, such as color_scheme.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    try:
        tab = Tab(context.new_page())
        tab.listen()
        yield tab
    finally:
        context.close()


def faults_found_by_axe(page: Page) -> str:
    """What is wrong with a page for who does not see it or has no mouse, by axe; empty without a fault."""
    found = Axe().run(page)
    return str(found.generate_report()) if found.violations_count else ""
