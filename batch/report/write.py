"""Makes a report and writes report.json and report.html: each is there whole, or as it was before."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from batch import durable
from batch.advice.result import Advice
from batch.folder import LocalFolder
from batch.proof.result import Proof
from batch.replaying.result import Replay
from batch.report.document import Environment, Report
from shared.errors import InputError
from shared.settings import CommandSettings, shown

REPORT_JSON: Final = "report.json"
REPORT_PAGE: Final = "report.html"


def new_report(
    settings: CommandSettings,
    seconds: float,
    *,
    proof: Proof | None = None,
    advice: Advice | None = None,
    replay: Replay | None = None,
) -> Report:
    """A report of what was found just now.

    Args:
        settings: Those of the command; its secrets are masked.
        seconds: How long the command took.
        proof: What `prove` found.
        advice: What `advise` found.
        replay: What `replay` found.
    """
    return Report(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shown(settings),
        seconds=round(seconds, 3),
        environment=Environment.this(),
        proof=proof,
        advice=advice,
        replay=replay,
    )


def check_report_folder(folder: Path) -> None:
    """Makes the folder of a report before the work begins, so that no work is lost for want of it.

    Args:
        folder: As write_report takes it.

    Raises:
        InputError: It is no folder, or it cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"--report: {folder} is a file",
            hint=f"Name a folder: {REPORT_PAGE} and {REPORT_JSON} are written to it.",
        )
    LocalFolder(folder).create()
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--report: {folder} may not be written to", hint="Name another folder.")


def write_report(folder: Path, report: Report) -> None:
    """Writes a report as a document and as a page.

    Args:
        folder: Where to; it is made where it is not there. What else it holds stays, and an older report is
            replaced.
        report: What to write.

    Raises:
        InputError: The disk is full, or the folder cannot be made or written to.
    """
    from batch.report.page import page  # noqa: PLC0415 - jinja2, which only a report needs

    document = json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    shown = page(report)
    LocalFolder(folder).create()
    for name, text in ((REPORT_JSON, document + "\n"), (REPORT_PAGE, shown)):
        # Half a surrogate pair, which JSON can hold, is no character that UTF-8 has.
        _replace(folder / name, text.encode("utf-8", errors="replace"))


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tandem-unfinished")
    try:
        try:
            with unfinished.open("wb", buffering=0) as file:
                durable.write(file, content)
                durable.sync(file)
            durable.rename(unfinished, path)
            durable.sync_folder(path.parent)
        finally:
            durable.remove(unfinished)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error}",
            hint="See that there is space, and that the folder may be written to, or name another one.",
        ) from error
