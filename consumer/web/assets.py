"""The files of the live page: its own (static/), and uPlot's from the package youplot that carries them.

All are read once, at the start, and served from memory: no path that a client sends is looked for on disk.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError

#: The page itself; the other files are what it asks for.
INDEX: Final = "index.html"
#: uPlot's files within youplot, which bundles them as they are released.
UPLOT: Final = ("uplot.iife.min.js", "uplot.min.css")

_STATIC: Final = Path(__file__).with_name("static")
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page.

    Attributes:
        kind: Its content type.
        body: Its content.
        etag: Another one for another content, as the header ETag has it.
    """

    kind: str
    body: bytes
    etag: str


def assets() -> Mapping[str, Asset]:
    """All files of the page by name.

    Raises:
        ConfigurationError: youplot is not installed as it should be.
    """
    return {path.name: _read(path) for path in (*_own(), *_uplot())}


def _own() -> Iterator[Path]:
    return (path for path in sorted(_STATIC.iterdir()) if path.suffix in _KINDS)


def _uplot() -> Iterator[Path]:
    # The package is not imported: it draws figures in Python, and only the files are wanted.
    found = find_spec("youplot")
    for folder in (found.submodule_search_locations or []) if found else []:
        paths = [Path(folder, "vendor", name) for name in UPLOT]
        if all(path.is_file() for path in paths):
            return iter(paths)
    raise ConfigurationError(
        "the live page's chart library is not there: the package youplot 1.0.0, with its folder vendor",
        hint="Install Tandem with its dependencies again, or give --page off.",
    )


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(_KINDS[path.suffix], body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
