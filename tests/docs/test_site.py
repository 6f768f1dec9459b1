"""The documents as a site: it builds without a warning, and its pages ask no other host for anything."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.test_documents_are_true import DOCUMENTS, ROOT

#: Attributes whose address a browser fetches by itself. An `<a href>` is followed by a person alone.
_FETCHED = {"src", "srcset", "data", "poster", "action", "formaction", "background"}
_IN_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")
_ADDRESS = re.compile(r"https?://[^\s)>`\"'|]+")


class Fetched(HTMLParser):
    """Gathers what a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.own: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            fetched = name in _FETCHED or (tag == "link" and name == "href")
            if fetched and urlsplit(value or "").netloc:
                self.foreign.append(f"<{tag} {name}={value}>")
            elif fetched and not (value or "").startswith("data:"):
                self.own.append(urlsplit(value or "").path)
            if name == "class":
                self.classes.update((value or "").split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a dead link or anchor, or a page that no menu names, ends the build."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_document_is_a_page_of_the_site(site: Path) -> None:
    pages = {path.relative_to(site) for path in site.rglob("*.html")}
    documents = (ROOT / "docs").rglob("*.md")
    assert {path.relative_to(ROOT / "docs").with_suffix(".html") for path in documents} <= pages


def test_no_page_of_the_site_asks_another_host_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = Fetched()
        fetched.feed(text)
        assert not fetched.foreign, page.name
        assert all((page.parent / path).exists() for path in fetched.own if path[:1] != "/"), page.name
        assert not _IN_STYLES.findall(text), page.name
        # The theme's script would load a program of diagrams from elsewhere for such a block.
        assert "mermaid" not in fetched.classes, page.name
    for style in site.rglob("*.css"):
        assert not _IN_STYLES.findall(style.read_text(encoding="utf-8")), style.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_addresses_of_other_sites_are_whole(document: Path) -> None:
    """Only their form is looked at: the network is not asked."""
    for address in _ADDRESS.findall(document.read_text(encoding="utf-8")):
        parts = urlsplit(address)
        assert parts.hostname, address
        assert re.fullmatch(r"[A-Za-z0-9.-]+", parts.hostname), address
        assert parts.port is None or parts.port > 0, address
