"""`python -m batch score`: reads files, scores their rows, and writes predictions, rejections, manifest."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from batch.folder import Folder, folder_at
from batch.job import Job
from batch.manifest import Counts, Predictions, has_manifest, read_manifest, settings_of
from batch.run import BatchRun, is_finished
from batch.snapshots import sources_of_snapshot
from batch.sources import FileRows, Reading, Scorable
from batch.writers import ROWS_PER_PART
from shared import logs
from shared.errors import AnswerIsNo, ExitCode, InputError
from shared.files import find_sources
from shared.logs import LogSettings
from shared.predict import Predictor
from shared.progress import show_summary
from shared.settings import CommandSettings, Delimiter, load


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ScoreSettings(LogSettings, CommandSettings):
    """Scores the rows of files with a model.

    Reads CSV, NDJSON and Parquet, or a snapshot made by `python -m batch export`. Writes part files with the
    predictions, rejected files with the rows that could not be scored and why, and manifest.json last: a
    folder without one holds nothing that counts.

    Example:
      python -m batch score customers.csv --model models/churn --output scored
      python -m batch score 'data/2026-*/*.parquet' --model models/churn --output scored --format ndjson
    """

    input: CliPositionalArg[list[str]] = Field(
        min_length=1, description="Files, folders (read with all below them) or quoted glob patterns."
    )
    model: Path = Field(description="The model's directory.")
    output: str = Field(description="A folder that is new or empty.")
    resume: bool = Field(
        False,
        description="Go on with the run that was broken off in the output folder, if there is one: its "
        "finished parts stay. Refused when the inputs, the model or a setting that matters has changed.",
    )
    workers: int = Field(
        default_factory=_cores,
        ge=1,
        description="How many pieces are scored at once; changes speed and memory, no result. "
        "Not given: one for each core.",
    )
    format: Literal["parquet", "csv", "ndjson"] = Field("parquet", description="The format of the parts.")
    max_error_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0,
        description="The largest share of rows that may be rejected. Above it everything is written all the "
        "same, and the exit status is 1.",
    )
    explain: int | None = Field(
        None,
        ge=1,
        description="Give with each prediction this many inputs that contributed most to its score.",
    )
    ignore_case: bool = Field(
        False, description="Match the columns of CSV and Parquet files to the model's inputs in any case."
    )
    delimiter: Delimiter = Field(
        ",", description="What separates the fields of CSV files: one character, or the word tab."
    )
    batch_rows: int = Field(
        65_536, ge=1, le=1_048_576, description="Rows scored at once; changes memory and speed, no result."
    )
    part_rows: int = Field(ROWS_PER_PART, ge=1, description="The most rows read for a part file.")


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: Something stops the run, or too many rows were rejected.
    """
    settings = load(ScoreSettings, arguments, "python -m batch score")
    logs.set_up(settings.log_format, settings.log_level)
    manifest = score(settings)
    _show(settings, manifest)
    _check_error_rate(settings, manifest.counts)
    return ExitCode.DONE


def score(settings: ScoreSettings) -> Predictions:
    """Scores, and writes the output folder.

    Returns:
        The manifest that was written.

    Raises:
        TandemError: The model, an input or the output folder cannot be used.
    """
    started = datetime.now(UTC)
    predictor = Predictor.load(settings.model, explain=settings.explain)
    folder = folder_at(settings.output)
    if not settings.resume:
        folder.check_empty()
    sources = _sources(settings, predictor)
    for source in sources:
        source.check(predictor)
    folder.create()
    with folder.locked():
        if is_finished(folder):
            return _finished(settings, folder)
        if not settings.resume:
            folder.check_empty()
        job = Job(
            model=settings.model,
            explain=settings.explain,
            sources=tuple(sources),
            output=settings.output,
            format=settings.format,
            part_rows=settings.part_rows,
        )
        return BatchRun(job, predictor, folder, settings_of(settings), settings.workers).score(started)


def _finished(settings: ScoreSettings, folder: Folder) -> Predictions:
    """The manifest of a run that has ended already: to resume it is to see that it is the same one."""
    manifest = read_manifest(Path(settings.output))
    if not isinstance(manifest, Predictions) or manifest.settings != settings_of(settings):
        raise InputError(
            f"{folder.address}: another run has ended in this folder",
            hint="Its settings are in manifest.json. Name a new folder for this one.",
        )
    folder.end()
    return manifest


def _sources(settings: ScoreSettings, predictor: Predictor) -> list[Scorable]:
    """What the inputs stand for: a folder with a manifest is a snapshot, all else are files."""
    reading = Reading(settings.ignore_case, settings.delimiter, settings.batch_rows)
    snapshots = [text for text in settings.input if has_manifest(Path(text))]
    files = [text for text in settings.input if text not in snapshots]
    found: list[Scorable] = []
    for text in snapshots:
        parts = sources_of_snapshot(Path(text), predictor, settings.batch_rows)
        places = {source.place for source in found}
        if again := next((part.place for part in parts if part.place in places), None):
            raise InputError(
                f"{text}: another of the snapshots holds {again} too",
                hint="Score them one by one: the same event must not be scored twice in one run.",
            )
        found += parts
    return found + [FileRows(source, reading) for source in find_sources(files)]


def _show(settings: ScoreSettings, manifest: Predictions) -> None:
    counts = manifest.counts
    lines = {
        "rows": f"{counts.read:,}",
        "scored": f"{counts.scored:,}",
        "rejected": f"{counts.read - counts.scored:,}",
        **{f"  {reason}": f"{count:,}" for reason, count in counts.rejected.items()},
        "rows/s": f"{manifest.run.rows_per_second:,.0f}",
        "model": f"{manifest.model.id} {manifest.model.sha256[:12]}",
        "output": f"{settings.output} ({len(manifest.parts) + len(manifest.rejected)} files)",
    }
    show_summary(lines)


def _check_error_rate(settings: ScoreSettings, counts: Counts) -> None:
    rejected = counts.read - counts.scored
    if counts.read and rejected / counts.read > settings.max_error_rate:
        raise AnswerIsNo(
            f"{rejected:,} of {counts.read:,} rows ({rejected / counts.read:.2%}) were rejected,"
            f" more than --max-error-rate {settings.max_error_rate:g} allows",
            hint=f"Everything is written: see the rejected files in {settings.output} for the reasons.",
        )
