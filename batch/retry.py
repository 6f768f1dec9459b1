"""`python -m batch retry`: rejected rows that were fixed are scored, and folded into the results."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
from pydantic import Field
from pydantic_settings import CliPositionalArg

from batch.fixed import FixedRows, Kind
from batch.folder import Folder, folder_at
from batch.job import Job, pieces_of
from batch.manifest import (
    MANIFEST_FILE,
    Column,
    Counts,
    InputFile,
    Predictions,
    Retry,
    Run,
    read_scored,
    write_manifest,
)
from batch.memory import default_memory
from batch.pieces import FinishedPart, Progress, merged_sketches
from batch.refold import (
    FixedFile,
    kind_of,
    ledger_after,
    read_fixed,
    reasons_of,
    undecodable,
    waiting,
    write_left,
)
from batch.selection.passing import check_inputs
from batch.selection.selection import Selection, names_in_batch
from batch.sources import Reading
from batch.workers import score_pieces
from shared import logs
from shared.errors import ExitCode, InputError, ModelError
from shared.files import Source
from shared.logs import LogSettings
from shared.models.directory import Model
from shared.predict import Predictor
from shared.progress import Meter, show_json, show_summary
from shared.settings import CommandSettings, Delimiter, JsonSettings, load
from shared.storage import FileState

_DIGITS: Final = 3


class RetrySettings(JsonSettings, LogSettings, CommandSettings):
    """Scores rejected rows after they were fixed, and folds them into the folder that they were rejected in.

    Copy a rejected file out of the folder, fix the values of its rows, and leave the position column as it
    is. Rows that you remove stay rejected as they were. Each row is read by the rules of the input that it
    comes from and scored by the same model; its prediction has the position that it would have had. The
    manifest is replaced last, and the one before stays beside it as manifest-001.json.

    Example:
      python -m batch retry scored fixed.csv
      python -m batch retry scored fixed-1.parquet fixed-2.parquet --model models/churn
    """

    folder: CliPositionalArg[str] = Field(description="The finished folder of `python -m batch score`.")
    fixed: CliPositionalArg[list[str]] = Field(
        min_length=1, description="Rejected files of it, with the values of some or all rows fixed."
    )
    model: Path | None = Field(
        None,
        description="Where the model's directory is now. Not given: where the run had it. It must be the "
        "very model that scored the rest.",
    )
    delimiter: Delimiter = Field(
        ",", description="What separates the fields of the fixed files, if a spreadsheet has changed it."
    )


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: Nothing was changed, and why.
    """
    settings = load(RetrySettings, arguments, "python -m batch retry")
    logs.set_up(settings.log_format, settings.log_level)
    manifest = retry(settings)
    counts = manifest.retries[-1].counts
    if settings.as_json:
        show_json(_as_json(settings, manifest))
        return ExitCode.DONE
    show_summary(
        {
            "retried": f"{counts.read:,}",
            "scored": f"{counts.scored:,}",
            "rejected again": f"{counts.read - counts.scored:,}",
            **{f"  {reason}": f"{count:,}" for reason, count in counts.rejected.items()},
            "rejected in all": f"{manifest.counts.read - manifest.counts.scored:,}",
            "model": f"{manifest.model.id} {manifest.model.sha256[:12]}",
            "output": settings.folder,
        }
    )
    return ExitCode.DONE


def _as_json(settings: RetrySettings, manifest: Predictions) -> dict[str, object]:
    """The summary for a script; these names are a contract."""
    counts = manifest.retries[-1].counts
    return {
        "retried": counts.read,
        "scored": counts.scored,
        "rejected_again": counts.read - counts.scored,
        "rejected_by_reason": counts.rejected,
        "rejected_in_all": manifest.counts.read - manifest.counts.scored,
        "model": manifest.model.id,
        "model_sha256": manifest.model.sha256,
        "output": settings.folder,
    }


def retry(settings: RetrySettings) -> Predictions:
    """Scores fixed rows and folds them in.

    Returns:
        The new manifest.

    Raises:
        TandemError: The folder, the model or a fixed file cannot be used; the folder is as it was.
    """
    folder = folder_at(settings.folder)
    read_scored(folder)
    with folder.locked():
        folder.mend(0)
        folder.end()
        return _Retrial(settings, folder, read_scored(folder)).run()


@dataclass(frozen=True, slots=True)
class _Retrial:
    """One retry.

    Args:
        settings: What to do.
        folder: The folder, locked.
        manifest: Its manifest.
    """

    settings: RetrySettings
    folder: Folder
    manifest: Predictions

    def run(self) -> Predictions:
        """Scores, and replaces the manifest last: until then nothing that it lists has changed."""
        started, begin = datetime.now(UTC), time.monotonic()
        fixed = read_fixed(self.settings.fixed, self.settings.delimiter)
        reasons = waiting(self.folder, self.manifest, fixed)
        predictor = self._predictor()
        job = self._job(predictor, fixed, undecodable(reasons))
        states = [source.state() for source in job.sources]
        digests = [source.digest() for source in job.sources]
        finished = self._score(job, predictor, states)
        for source, state in zip(job.sources, states, strict=True):
            if source.state() != state:
                raise InputError(f"{source.name}: the file was changed while it was read", hint="Try again.")
        rejected = [part for one in finished for part in one.rejected]
        again = dict(reasons_of(self.folder, rejected))
        form = job.form(predictor.model)
        left = write_left(self.folder, form, self.manifest.rejected, reasons.keys(), job.stem)
        ledger = ledger_after(self.manifest.ledger, reasons, again)
        counts = Counts.sum_of([covered.counts for one in finished for covered in one.ranges])
        inputs = [
            InputFile(
                name=one.name, format=source.format, rows=len(one.positions), size=state.size, sha256=digest
            )
            for one, source, state, digest in zip(fixed, job.sources, states, digests, strict=True)
        ]
        seconds = time.monotonic() - begin
        entry = Retry(
            before=self._before, inputs=inputs, counts=counts, run=Run.of(started, seconds, counts.read)
        )
        manifest = self.manifest.model_copy(
            update={
                "parts": [*self.manifest.parts, *(part for one in finished for part in one.parts)],
                "rejected": [*left, *rejected],
                "ledger": ledger,
                "counts": Counts.sum_of(list(ledger.values())),
                "sketches": self.manifest.sketches
                and merged_sketches(predictor.model.schema, finished, self.manifest.sketches),
                "retries": [*self.manifest.retries, entry],
            }
        )
        self._replace(manifest)
        return manifest

    @property
    def _number(self) -> str:
        return f"{len(self.manifest.retries) + 1:0{_DIGITS}d}"

    @property
    def _before(self) -> str:
        return f"manifest-{self._number}.json"

    def _replace(self, manifest: Predictions) -> None:
        with self.folder.file(MANIFEST_FILE).open() as file:
            content = file.read()
        with self.folder.new_file(self._before) as copy:
            copy.write(content)
        write_manifest(self.folder, manifest)

    def _option(self, name: str) -> Any:
        """A setting of the run that is kept as JSON; nothing where it was not given."""
        return json.loads(self.manifest.settings.get(name, "null"))

    def _model(self) -> Path:
        return self.settings.model or Path(self.manifest.settings.get("model", ""))

    def _predictor(self) -> Predictor:
        """The model that scored the rest.

        Raises:
            ModelError: It is not there any more, or another.
        """
        used = self.manifest.model
        if self.settings.model is None and not self._model().is_dir():
            raise ModelError(
                f"{self._model()}: the model {used.id} is not there any more",
                hint="Say where it is with --model.",
            )
        predictor = Predictor.load(self._model(), explain=self._option("explain"))
        model: Model = predictor.model
        if model.sha256 != used.sha256:
            raise ModelError(
                f"{self._model()}: {model.id} ({model.short_sha256}) is not the model that scored"
                f" {self.folder.address}: that was {used.id} ({used.sha256[:12]})",
                hint="Name that model with --model; with another, score all anew into a new folder.",
            )
        return predictor

    def _job(self, predictor: Predictor, fixed: Sequence[FixedFile], unreadable: frozenset[str]) -> Job:
        """The run that scores the fixed rows, by the settings of the one before."""
        told, schema = self.manifest.settings, predictor.model.schema
        names, ignore_case = self._option("map") or {}, told.get("ignore_case") == "True"
        selection = Selection(columns=tuple(self._option("columns") or ()))
        known_as = names_in_batch(selection.named, schema, names, ignore_case=ignore_case)
        selection = replace(selection, known_as=known_as)
        sources = []
        for one in fixed:
            kind, from_database = kind_of(one, self.manifest)
            # What was read of a database stands under the names that the model gives it.
            mapped = {} if from_database or kind is Kind.EVENTS else names
            reading = Reading(ignore_case, told.get("delimiter", ","), further=selection.read, names=mapped)
            positions = pa.array(one.positions, pa.string())
            own = self.settings.delimiter
            sources.append(FixedRows(Source(one.file, one.name), reading, own, kind, positions, unreadable))
        for made in sources:
            made.check(predictor)
        job = Job(
            model=self._model(),
            explain=self._option("explain"),
            sources=tuple(sources),
            output=self.settings.folder,
            format=self.manifest.format,
            part_rows=int(told["part_rows"]),
            selection=selection,
            passed=check_inputs(sources, predictor, selection, renamed=False),
            partition_by=tuple(self.manifest.partition_by),
            compress=cast("Any", told.get("compress", "none")),
            stem=f"retry-{self._number}-",
        )
        self._check_columns(job, predictor.model)
        return job

    def _check_columns(self, job: Job, model: Model) -> None:
        """Sees that the new parts have the columns of those that are there, where files are typed."""
        if job.format not in {"parquet", "arrow"}:
            return
        before = {column.name: column.type for column in self.manifest.columns}
        for column in Column.all_of(job.form(model).schema):
            if before.get(column.name) != column.type:
                raise InputError(
                    f"{self.folder.address}: the column {column.name} is {before.get(column.name)} there and"
                    f" {column.type} in the fixed files",
                    hint="Give the fixed rows in the format that they were rejected in.",
                )

    def _score(self, job: Job, predictor: Predictor, states: Sequence[FileState]) -> list[FinishedPart]:
        finished: list[FinishedPart] = []
        pieces = pieces_of(job.sources, predictor, job.part_rows)
        total, behind = sum(state.size for state in states) or 1, 0.0

        with Meter() as meter:

            def report(message: FinishedPart | Progress) -> None:
                nonlocal behind
                if isinstance(message, FinishedPart):
                    finished.append(message)
                else:
                    behind += message.size
                    meter.add(message.rows, job.sources[message.source].name, min(1.0, behind / total))

            pending = [(piece, None) for piece in pieces]
            score_pieces(job, predictor, self.folder, pending, report, workers=1, memory=default_memory(1))
        return finished
