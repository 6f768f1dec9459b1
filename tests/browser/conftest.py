"""One browser for the tests of a file, and patience with its pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import PATIENCE, running_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window; it ends with the file's tests, since its event loop is in others' way."""
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """What is expected of the page is waited for."""
    expect.set_options(timeout=PATIENCE)
    yield
    expect.set_options(timeout=5_000)
