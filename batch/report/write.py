"""Writes report.json and report.html: each of them is there whole, or as it was before."""

import json
import os
from pathlib import Path
from typing import Final

from batch import durable
from batch.folder import LocalFolder
from batch.report.document import Report
from shared.errors import InputError

REPORT_JSON: Final = "report.json"
REPORT_PAGE: Final = "report.html"


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
        # Half a surrogate pair, which a JSON event may hold, is no character that UTF-8 has.
        _replace(folder / name, text.encode("utf-8", errors="replace"))


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
