"""The page's files: all that it asks for is there, and the chart library is the one that was looked at."""

import hashlib
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from consumer.web.assets import assets
from shared.errors import ConfigurationError
from tests.support.http_port import ask

# Those of uPlot 1.6.31 as its authors release it.
UPLOT = {
    "uplot.iife.min.js": "2d27e8ad3d228164525ce213f9dc716f39b4e3aee0cc773fb3491c96cf4921a2",
    "uplot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
KINDS = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "uplot.iife.min.js": "text/javascript; charset=utf-8",
    "uplot.min.css": "text/css; charset=utf-8",
}


def test_the_chart_library_is_uplot_as_its_authors_release_it() -> None:
    assert version("youplot") == "1.0.0"
    found = assets()
    assert {name: hashlib.sha256(found[name].body).hexdigest() for name in UPLOT} == UPLOT


def test_the_package_that_carries_it_is_not_run() -> None:
    script = "import sys; from consumer.web.assets import assets; assets(); print('youplot' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_an_install_without_it_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.web.assets.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"youplot 1\.0\.0") as raised:
        assets()
    assert "--page off" in str(raised.value)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_each_kind_of_file_is_served_as_what_it_is(port: int, name: str) -> None:
    answer, body = ask(port, f"/page/static/{name}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, KINDS[name])
    assert body.encode() == assets()[name].body


def test_all_that_the_page_and_its_scripts_name_is_there_and_nothing_from_elsewhere() -> None:
    found = assets()
    own = {name: asset.body.decode() for name, asset in found.items() if name not in UPLOT}
    naming = re.compile(r'(?:from |import |import\()"\./([^"]+)"|/page/static/([\w.]+)')
    named = {name for text in own.values() for pair in naming.findall(text) for name in pair if name}
    assert {"page.js", "page.css", *UPLOT} <= named <= set(found)
    # Names of what the web calls namespaces are no addresses.
    elsewhere = re.compile(r"(?:src|href)=[\"']//|https?://(?!www\.w3\.org/)")
    assert [name for name, text in own.items() if elsewhere.search(text)] == []
