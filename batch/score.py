"""`python -m batch score`: reads files, scores their rows, and writes predictions, rejections, manifest."""

import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from batch.databases.settings import DatabaseSettings
from batch.destinations import Delivered, Destination
from batch.destinations.settings import DeliverySettings, delivered_as_json, told
from batch.dry_run import plan_of, try_inputs
from batch.folder import Folder, folder_at
from batch.inputs import check_apart, check_places, sources_of
from batch.job import Job
from batch.lakes import is_lake, open_lake
from batch.manifest import Counts, Predictions, settings_of
from batch.memory import default_memory, rows_at_once, threads_within
from batch.run import BatchRun, is_begun, is_finished
from batch.selection.passing import check_inputs, check_output
from batch.selection.selection import Selection
from batch.selection.settings import SelectionSettings
from batch.sources import REJECTED_SCHEMA, Reading, Scorable
from batch.writers import ROWS_PER_PART
from shared import logs
from shared.errors import AnswerIsNo, ConfigurationError, ExitCode, InputError
from shared.logs import LogSettings
from shared.predict import Predictor
from shared.progress import show_json, show_summary
from shared.settings import Delimiter, JsonSettings, load, secrets_in
from shared.stores.address import shown_address

_LOG = logging.getLogger(__name__)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ScoreSettings(JsonSettings, DatabaseSettings, DeliverySettings, LogSettings, SelectionSettings):
    """Scores the rows of files with a model.

    Reads Parquet, Arrow, CSV and NDJSON (also as .gz and .zst), here or in an object store (s3://, gs://,
    abfs://); a snapshot made by `python -m batch export`; a table or query of a database; or a table of a
    lake: delta:PATH or iceberg:CATALOG/NAMESPACE.TABLE, with @VERSION or as it is now. Writes part files
    with the predictions, rejected files with the rows that could not be scored and why, and manifest.json
    last: a folder without one holds nothing that counts. What goes to a table is delivered after that, all
    in one transaction.

    Example:
      python -m batch score customers.csv --model models/churn --output scored
      python -m batch score 'data/2026-*/*.parquet' --model models/churn --output scored --format ndjson
      python -m batch score postgresql://me@db/shop --table customers --model models/churn --output scored
    """

    input: CliPositionalArg[list[str]] = Field(
        min_length=1,
        description="Files, folders (read with all below them) or quoted glob patterns; a database; a table "
        "of a lake.",
    )
    model: Path = Field(description="The model's directory.")
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
    format: Literal["parquet", "csv", "ndjson", "arrow"] = Field(
        "parquet", description="The format of the parts."
    )
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
    memory: int | None = Field(
        None,
        ge=256,
        description="About how many MiB the run may take: fewer workers and smaller batches where it is "
        "little. Not given: 200 for each worker, and at least 400. It changes no result.",
    )
    batch_rows: int = Field(
        65_536, ge=1, le=1_048_576, description="Rows scored at once; changes memory and speed, no result."
    )
    part_rows: int = Field(ROWS_PER_PART, ge=1, description="The most rows read for a part file.")
    engine: Literal["local", "spark"] = Field(
        "local", description="What scores: this machine, or Spark; changes no result."
    )
    spark_master: str | None = Field(
        None, description="Spark's master, such as local[4]. Not given: what spark-submit says."
    )
    dry_run: bool = Field(
        False, description="Score the first rows of every input, say what a run would do, and write nothing."
    )

    @property
    def memory_limit(self) -> int:
        """What the run may take, in MiB."""
        return self.memory or default_memory(self.workers)

    @property
    def threads(self) -> int:
        """How many workers there is memory for."""
        return threads_within(self.memory_limit, self.workers)


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: Something stops the run, or too many rows were rejected.
    """
    settings = load(ScoreSettings, arguments, "python -m batch score")
    logs.set_up(settings.log_format, settings.log_level)
    for name in secrets_in(arguments):
        _LOG.warning("the %s stands on the command line, where every user of this machine can read it", name)
    settings = _with_versions(settings)
    if settings.dry_run and settings.as_json:
        raise ConfigurationError("--json: what --dry-run prints is for people", hint="Leave one of them out.")
    if settings.dry_run:
        return dry_run(settings)
    manifest, delivered = score(settings)
    files = f"{len(manifest.parts) + len(manifest.rejected)} files"
    place = told(delivered) if delivered else f"{shown_address(settings.output)} ({files})"
    if settings.as_json:
        show_json(_as_json(settings, manifest, delivered))
    else:
        _show(manifest, place)
    _check_error_rate(settings, manifest.counts, place)
    return ExitCode.DONE


def _with_versions(settings: ScoreSettings) -> ScoreSettings:
    """The same settings, the tables of a lake with the version that is scored: results depend on it."""
    inputs = [open_lake(text).address if is_lake(text) else text for text in settings.input]
    return settings.model_copy(update={"input": inputs})


def score(settings: ScoreSettings) -> tuple[Predictions, Delivered | None]:
    """Scores, and writes the output folder; delivers it when the output is a table.

    Returns:
        The manifest that was written, and what was delivered when the output is a table.

    Raises:
        TandemError: The model, an input or the output cannot be used.
    """
    destination = _destination(settings)
    if destination is None:
        return _score_into(settings, settings.output), None
    return settings.deliver_after(destination, lambda folder: _score_into(settings, str(folder), destination))


def _score_into(settings: ScoreSettings, output: str, destination: Destination | None = None) -> Predictions:
    """Scores into a folder, once it is clear that the destination will take the results."""
    started = datetime.now(UTC)
    predictor = Predictor.load(settings.model, explain=settings.explain)
    folder = folder_at(output)
    _check_folder(settings, folder)
    selection = settings.selection(predictor.model, ignore_case=settings.ignore_case)
    sources = _sources(settings, predictor, selection)
    check_apart(settings.input, output)
    for source in sources:
        source.check(predictor)
    check_places(sources)
    job = _job(settings, output, predictor, sources, selection)
    if destination is not None:
        destination.check(job.form(predictor.model).schema, REJECTED_SCHEMA)
    if settings.engine == "spark":
        from batch.spark import check_sources  # noqa: PLC0415 - few runs need it

        check_sources(job)
    folder.create()
    with folder.locked():
        _check_folder(settings, folder)
        workers, memory = settings.threads, settings.memory_limit
        batch = BatchRun(
            job,
            predictor,
            folder,
            settings_of(settings),
            workers,
            memory,
            by_spark=settings.engine == "spark",
            spark_master=settings.spark_master,
        )
        return batch.finished() if is_finished(folder) else batch.score(started)


def dry_run(settings: ScoreSettings) -> int:
    """Scores the first rows of every input, and prints what a run would do.

    Raises:
        TandemError: The model, an input or the output cannot be used; what can be said is printed.
    """
    predictor = Predictor.load(settings.model, explain=settings.explain)
    selection = settings.selection(predictor.model, ignore_case=settings.ignore_case)
    destination = _destination(settings)
    results = settings.output if destination is None else settings.work_folder
    if results is not None:
        _check_folder(settings, folder_at(str(results)))
    sources = _sources(settings, predictor, selection)
    if results is not None:
        check_apart(settings.input, str(results))
    tried = try_inputs(sources, predictor, selection)
    usable = [source for source, one in zip(sources, tried, strict=True) if one.refused is None]
    job = _job(settings, settings.output, predictor, usable, selection)
    print(plan_of(job, predictor, tried, settings.threads, settings.memory_limit))
    if len(usable) < len(sources):
        raise InputError(
            f"{len(sources) - len(usable):,} of {len(sources):,} inputs cannot be scored",
            hint="The plan says why of each: mend them, or leave them out.",
        )
    check_places(usable)
    if destination is not None:
        destination.check(job.form(predictor.model).schema, REJECTED_SCHEMA)
    return ExitCode.DONE


def _job(
    settings: ScoreSettings,
    output: str,
    predictor: Predictor,
    sources: Sequence[Scorable],
    selection: Selection,
) -> Job:
    """The run, once its inputs and its output are seen to suit each other."""
    job = Job(
        model=settings.model,
        explain=settings.explain,
        sources=tuple(sources),
        output=output,
        format=settings.format,
        part_rows=settings.part_rows,
        selection=selection,
        passed=check_inputs(sources, predictor, selection, renamed=bool(settings.map)),
        partition_by=tuple(settings.partition_by),
        compress=settings.compress,
    )
    check_output(job.form(predictor.model), job.passed)
    return job


def _check_folder(settings: ScoreSettings, folder: Folder) -> None:
    """Sees that a folder is empty, or holds the run that is to go on: nobody else's files are touched."""
    if not (settings.resume and is_begun(folder)):
        folder.check_empty()


def _destination(settings: ScoreSettings) -> Destination | None:
    """The table that the results go to; None for a folder.

    Raises:
        ConfigurationError: An option does not go with it.
    """
    destination = settings.destination(settings.database_password_file, settings.format)
    if destination is None:
        return None
    if settings.resume and settings.work_folder is None:
        raise ConfigurationError(
            f"--resume: the output {destination.address} is a table",
            hint="Name the folder that was begun with --work-folder.",
        )
    if settings.partition_by:
        raise ConfigurationError(
            f"--partition-by: the output {destination.address} is a table, which has no folders",
            hint="Leave it out: a table is partitioned by its own declaration.",
        )
    return destination


def _sources(settings: ScoreSettings, predictor: Predictor, selection: Selection) -> list[Scorable]:
    """What the inputs stand for, read in batches for which there is memory."""
    columns = len(predictor.model.schema.fields) + len(selection.read)
    batch_rows = rows_at_once(settings.memory_limit, settings.threads, columns, settings.batch_rows)
    reading = Reading(settings.ignore_case, settings.delimiter, batch_rows, selection.read, settings.map)
    return sources_of(settings.input, predictor, reading, settings.wish(settings.input))


def _show(manifest: Predictions, place: str) -> None:
    counts = manifest.counts
    lines = {
        "rows": f"{counts.read:,}",
        "scored": f"{counts.scored:,}",
        "rejected": f"{counts.read - counts.scored:,}",
        **{f"  {reason}": f"{count:,}" for reason, count in counts.rejected.items()},
        **({"left out": f"{counts.left_out:,}"} if counts.left_out else {}),
        "rows/s": f"{manifest.run.rows_per_second:,.0f}",
        "model": f"{manifest.model.id} {manifest.model.sha256[:12]}",
        "output": place,
    }
    show_summary(lines)


def _as_json(
    settings: ScoreSettings, manifest: Predictions, delivered: Delivered | None
) -> dict[str, object]:
    """The summary for a script; these names are a contract."""
    counts = manifest.counts
    return {
        "rows": counts.read,
        "scored": counts.scored,
        "rejected": counts.read - counts.scored,
        "rejected_by_reason": counts.rejected,
        "left_out": counts.left_out,
        "seconds": manifest.run.seconds,
        "rows_per_second": manifest.run.rows_per_second,
        "model": manifest.model.id,
        "model_sha256": manifest.model.sha256,
        "output": shown_address(settings.output),
        "delivered": delivered_as_json(delivered) if delivered else None,
    }


def _check_error_rate(settings: ScoreSettings, counts: Counts, place: str) -> None:
    rejected = counts.read - counts.scored
    if counts.read and rejected / counts.read > settings.max_error_rate:
        raise AnswerIsNo(
            f"{rejected:,} of {counts.read:,} rows ({rejected / counts.read:.2%}) were rejected,"
            f" more than --max-error-rate {settings.max_error_rate:g} allows",
            hint=f"Everything is written: see the rejected rows in {place} for the reasons.",
        )
