"""One browser for the tests of a file."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import running_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window; it ends with the file's tests, since its event loop is in others' way."""
    with running_browser() as browser:
        yield browser
