"""`python -m batch score`: reads files, scores their rows, and writes predictions, rejections, manifest."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from batch.folder import Folder
from batch.manifest import (
    Column,
    Counts,
    InputFile,
    ModelUsed,
    Predictions,
    Run,
    has_manifest,
    settings_of,
    write_manifest,
)
from batch.pipeline import ahead
from batch.snapshots import sources_of_snapshot
from batch.sources import REJECTED_SCHEMA, FileRows, Reading, Scorable, Scored, describe, state
from batch.writers import OUTPUT_FORMATS, ROWS_PER_PART, OutputFormat, PartWriter
from shared import logs
from shared.errors import AnswerIsNo, ExitCode, InputError
from shared.files import find_sources
from shared.ledger import Account, Ledger
from shared.logs import LogSettings
from shared.predict import Predictor
from shared.progress import Meter, show_summary
from shared.settings import CommandSettings, Delimiter, load


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
    output: Path = Field(description="A folder that is new or empty.")
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
    part_rows: int = Field(ROWS_PER_PART, ge=1, description="The most rows of a part file.")


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
    folder = Folder(settings.output)
    folder.check()
    sources = _sources(settings, predictor)
    for source in sources:
        source.check(predictor)
    folder.create()
    form = OUTPUT_FORMATS[settings.format](predictor.model, explained=settings.explain is not None)
    run = _Run(predictor, folder, form, settings.part_rows)
    manifest = run.score(sources, settings, started)
    write_manifest(folder, manifest)
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


@dataclass(slots=True)
class _Run:
    """One run over all sources."""

    predictor: Predictor
    folder: Folder
    form: OutputFormat
    part_rows: int

    def score(self, sources: Sequence[Scorable], settings: ScoreSettings, started: datetime) -> Predictions:
        begin, ledger = time.monotonic(), Ledger()
        with ExitStack() as stack:
            parts = stack.enter_context(self._writer("part"))
            rejected = stack.enter_context(self._writer("rejected"))
            digests = stack.enter_context(ThreadPoolExecutor(1, "digest"))
            meter = stack.enter_context(Meter())
            inputs = self._score_all(sources, ledger, parts, rejected, digests, meter)
        model = self.predictor.model
        return Predictions(
            model=ModelUsed.of(model),
            format=self.form.name,
            inputs=[entry.result() for entry in inputs],
            counts=Counts.total(ledger),
            ledger={place: Counts.of(account) for place, account in ledger.accounts.items()},
            columns=Column.all_of(self.form.schema),
            parts=parts.parts,
            rejected_columns=Column.all_of(REJECTED_SCHEMA),
            rejected=rejected.parts,
            settings=settings_of(settings),
            run=Run.of(started, time.monotonic() - begin, ledger.read),
        )

    def _score_all(
        self,
        sources: Sequence[Scorable],
        ledger: Ledger,
        parts: PartWriter,
        rejected: PartWriter,
        digests: ThreadPoolExecutor,
        meter: Meter,
    ) -> list[Future[InputFile]]:
        states = [state(source.path) for source in sources]
        total, behind = sum(size for size, _ in states) or 1, 0
        inputs = []
        for source, before in zip(sources, states, strict=True):
            rows = 0
            ledger.accounts.setdefault(source.place, Account())
            for scored in ahead(self._scored(source)):
                parts.write(self.form.predictions(scored.outcome, scored.ids))
                rejected.write(self.form.rejections(scored.rejected))
                ledger.add(scored.place, scored.read, scored.outcome)
                rows += scored.read
                meter.add(scored.read, source.name, (behind + before[0] * scored.done) / total)
            behind += before[0]
            inputs.append(digests.submit(describe, source, rows, before))
        return inputs

    def _scored(self, source: Scorable) -> Iterator[Scored]:
        for chunk in ahead(source.chunks(self.predictor)):
            yield source.score(self.predictor, chunk)

    def _writer(self, stem: str) -> PartWriter:
        schema = self.form.schema if stem == "part" else REJECTED_SCHEMA
        return PartWriter(
            self.folder, stem, self.form.name, lambda file: self.form.open(file, schema), self.part_rows
        )


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
