"""The last proof, as `python -m batch prove --report` leaves it in a folder, told by the page.

The folder belongs to whoever runs the proof: it may not be there yet, hold anything, and be on a disk that
does not answer. What is not such a report is said in the log, once, and shown as no proof; nobody who asks
for the last proof waits for the disk.
"""

import errno
import logging
import os
import stat
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from consumer.web.settings import HttpSettings, Page
from consumer.web.state import Proof
from shared.models.directory import first_problem

logger = logging.getLogger(__name__)

_DOCUMENT: Final = "report.json"
_PAGE: Final = "report.html"
# A report is some hundred kilobytes; what is larger is not read into a consumer's memory.
_MOST_BYTES: Final = 32 << 20
#: What a report's page needs: styles and pictures within it. No script, and nothing from elsewhere.
REPORT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

# What tells one content of a file from another: time, size, which file it is, and of what kind.
_Version: TypeAlias = tuple[int, int, int, int]
# Of one of which nothing can be known: why, is told when it is read.
_UNREADABLE: Final[_Version] = (0, 0, 0, 0)


class _Proof(BaseModel):
    """What is read of a report's proof; docs/report.schema.json has the rest."""

    model_config = ConfigDict(strict=True)

    verdict: str
    holds: bool
    events: int
    counts: dict[str, int]
    certificate: str


class _Report(BaseModel):
    """What is read of a report."""

    version: Literal[1]
    made: AwareDatetime
    proof: _Proof | None


class ProofFolder:
    """The folder of a proof's report.

    Args:
        path: The folder; it need not be there yet.
        with_page: Whether the report's page may be shown: it quotes events.
    """

    def __init__(self, path: Path, *, with_page: bool = True) -> None:
        self._path, self._with_page = path, with_page
        self._lock = threading.Lock()
        self._version: _Version | None = None
        self._found: _Report | None = None
        self._latest: Proof | None = None
        self._looking: threading.Thread | None = None

    @classmethod
    def of(cls, settings: HttpSettings) -> "ProofFolder | None":
        """The one that the settings name, if any; its page is left out where no event may be shown."""
        if settings.proof is None:
            return None
        return cls(settings.proof, with_page=settings.shows is Page.EVENTS and not settings.mask_customers)

    def latest(self) -> Proof | None:
        """What the folder held when it was looked at last; None where that was no proof, or not looked yet.

        It is looked at again on a thread that nobody waits for, one at a time.
        """
        with self._lock:
            if self._looking is None or not self._looking.is_alive():
                looking = threading.Thread(target=self._look_aside, name="proof", daemon=True)
                looking.start()
                self._looking = looking
        return self._latest

    def _look_aside(self) -> None:
        try:
            self._latest = self.look()
        except Exception:
            logger.exception("The proof in %s could not be looked at", self._path)

    def look(self) -> Proof | None:
        """What the report in the folder says now; None where there is none.

        It takes as long as the disk does. The file is read again only when it has changed.
        """
        report = self._report_now()
        if report is None or report.proof is None:
            return None
        proof = report.proof
        return Proof(
            at=report.made.timestamp(),
            holds=proof.holds,
            headline=proof.verdict,
            events=proof.events,
            counts={name: count for name, count in proof.counts.items() if count},
            certificate=proof.certificate,
            report=self.report() is not None,
        )

    def _report_now(self) -> _Report | None:
        version = _version_of(self._path / _DOCUMENT)
        if version != self._version:
            self._version = version
            self._found = None if version is None else _read(self._path / _DOCUMENT)
        return self._found

    def report(self) -> Path | None:
        """The report's page; None where there is none, it may not be shown, or is no file to be read."""
        page = self._path / _PAGE
        version = _version_of(page) if self._with_page else None
        if version is None or not stat.S_ISREG(version[3]) or version[1] > _MOST_BYTES:
            return None
        return page


def routes(settings: HttpSettings) -> list[Route]:
    """`/page/report`, the page of the last proof's report; nothing without --proof."""
    folder = ProofFolder.of(settings)
    if folder is None:
        return []

    # A plain function, which Starlette runs in a thread: it reads a file.
    def report(_: Request) -> Response:
        page = folder.report()
        try:
            content = None if page is None else _content(page)
        except OSError as error:
            logger.warning("%s cannot be read: %s", page, error.strerror or error)
            content = None
        if content is None:
            return PlainTextResponse(
                "There is no report: python -m batch prove --report writes one to the folder of --proof.\n",
                HTTPStatus.NOT_FOUND,
            )
        policy = {"Content-Security-Policy": REPORT_POLICY}
        return Response(content, headers=policy, media_type="text/html; charset=utf-8")

    return [Route("/page/report", report)]


def _version_of(path: Path) -> _Version | None:
    """What is known of a file without reading it; None when it is not there."""
    try:
        known = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return _UNREADABLE
    return known.st_mtime_ns, known.st_size, known.st_ino, known.st_mode


def _content(path: Path) -> bytes:
    """What a file holds.

    Raises:
        OSError: It cannot be read, is no regular file, or is too large.
    """
    # Whoever opens a pipe otherwise waits until somebody writes to it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        known = os.fstat(file.fileno())
        if not stat.S_ISREG(known.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if known.st_size > _MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has {known.st_size:,} bytes, more than {_MOST_BYTES:,}")
        return file.read(_MOST_BYTES)


def _read(path: Path) -> _Report | None:
    try:
        return _Report.model_validate_json(_content(path))
    except OSError as error:
        logger.warning("%s cannot be read: %s", path, error.strerror or error)
    except ValidationError as error:
        logger.warning(
            "%s is not shown, as it is no report of this version: %s. Write it again with python -m batch"
            " prove --report %s",
            *(path, first_problem(error), path.parent),
        )
    return None
