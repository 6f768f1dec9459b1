"""One run over all sources: the plan, the journal, the workers, and the manifest last."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import takewhile

from batch.digests import Digests
from batch.folder import JOURNAL_FILE, Folder
from batch.job import Job, Piece, pieces_of
from batch.journal import Begun, Digested, Done, InputSeen, Journal, read_journal
from batch.manifest import (
    MANIFEST_FILE,
    Column,
    Counts,
    InputFile,
    ModelUsed,
    PartFile,
    Predictions,
    Run,
    read_scored,
    write_manifest,
)
from batch.pieces import FinishedPart, Progress, merged_sketches
from batch.sources import REJECTED_SCHEMA, Scorable, never
from batch.workers import score_pieces
from shared.errors import InputError
from shared.predict import Predictor
from shared.progress import Meter
from shared.storage import FileState
from shared.version import tandem_version

_AGAIN = "Score it again once it is whole."


@dataclass(slots=True)
class BatchRun:
    """Scores the sources of a job into its folder, which the caller has locked.

    Args:
        job: What to score.
        predictor: Its model, loaded.
        folder: Where the results go.
        settings: The settings on which results depend, as text.
        workers: How many pieces are scored at once.
        memory: What the run may take, in MiB.
        by_spark: Whether Spark's tasks score the pieces, and not this machine's workers.
        spark_master: Spark's master; None: what spark-submit gives, or this machine.
    """

    job: Job
    predictor: Predictor
    folder: Folder
    settings: dict[str, str]
    workers: int
    memory: int
    by_spark: bool = False
    spark_master: str | None = None
    _parts: dict[int, list[FinishedPart]] = field(default_factory=dict)
    #: Rows that an earlier try has scored or rejected.
    _before: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def score(self, started: datetime) -> Predictions:
        """Scores what is not yet scored, and writes the manifest.

        Args:
            started: When the run began, for the manifest.

        Returns:
            The manifest.

        Raises:
            TandemError: An input cannot be read or has changed, or a result cannot be written.
        """
        begin = time.monotonic()
        states = [source.state() for source in self.job.sources]
        done = self._begin(states)
        self._before = self._scored_before()
        journal = Journal(self.folder)
        pieces = pieces_of(self.job.sources, self.predictor, self.job.part_rows)
        find = partial(self._find_digest, journal, states, done)
        with Meter() as meter, Digests(self.job.sources, find) as digests:
            self._score_all(pieces, states, journal, meter, digests)
            found = digests.all()
        # What a source that cannot be read again has shown is all that there is to know of it.
        states = [
            state if source.resumable else source.state()
            for source, state in zip(self.job.sources, states, strict=True)
        ]
        manifest = self._manifest(pieces, states, found, started, time.monotonic() - begin)
        write_manifest(self.folder, manifest)
        self.folder.end()
        return manifest

    def finished(self) -> Predictions:
        """The manifest of a run that has ended already: to resume it is to see that this is the same run.

        Raises:
            InputError: Naming what has changed since.
        """
        manifest = read_scored(self.folder)
        self._check_not_fleeting()
        states = [source.state() for source in self.job.sources]
        before = Begun(
            tandem=manifest.tandem,
            model=manifest.model.id,
            model_sha256=manifest.model.sha256,
            settings=manifest.settings,
            inputs=[InputSeen(name=entry.name, size=entry.size) for entry in manifest.inputs],
        )
        before.check_same(self._now(states), self.folder.address)
        for number, entry in enumerate(manifest.inputs):
            self._check_digest(number, entry.sha256, states[number])
        self.folder.end()
        return manifest

    def _check_not_fleeting(self) -> None:
        if fleeting := next((source for source in self.job.sources if not source.resumable), None):
            raise InputError(
                f"{self.folder.address}: cannot be resumed: {fleeting.name} comes from a database, where"
                " another run would see other rows",
                hint="Score into a new folder.",
            )

    def _now(self, states: Sequence[FileState]) -> Begun:
        """What this run is."""
        model = self.predictor.model
        return Begun(
            tandem=tandem_version(),
            model=model.id,
            model_sha256=model.sha256,
            settings=self.settings,
            inputs=[
                InputSeen(name=source.name, size=state.size)
                for source, state in zip(self.job.sources, states, strict=True)
            ],
        )

    def _begin(self, states: Sequence[FileState]) -> Done:
        """Writes the journal's beginning, or sees that the one that is there is this run's."""
        now, done = self._now(states), read_journal(self.folder)
        self.folder.mend(done.whole)
        if done.begun is None:
            Journal(self.folder).add(now)
            return done
        self._check_not_fleeting()
        done.begun.check_same(now, self.folder.address)
        for number, sha256 in done.digests.items():
            self._check_digest(number, sha256, states[number])
        # A part counts where the content that it was made from is known to be the one that is there now.
        for piece, parts in done.parts.items():
            self._parts[piece] = list(takewhile(lambda part: self._stands(part, done), parts))
        return done

    def _stands(self, part: FinishedPart, done: Done) -> bool:
        known = all(covered.source in done.digests for covered in part.ranges)
        return known and all(
            self.folder.size_of(file.file) == file.size for file in (*part.parts, *part.rejected)
        )

    def _check_digest(self, number: int, sha256: str, state: FileState) -> None:
        source = self.job.sources[number]
        if self._digest(source, state) != sha256:
            raise InputError(
                f"{self.folder.address}: cannot be resumed: the input {source.name} has other content",
                hint="Put back what was there, or score into a new folder.",
            )

    def _find_digest(
        self,
        journal: Journal,
        states: Sequence[FileState],
        done: Done,
        number: int,
        stopped: Callable[[], bool],
    ) -> str:
        """The digest of a source, which the journal gets."""
        if number in done.digests:
            return done.digests[number]
        source = self.job.sources[number]
        sha256 = self._digest(source, states[number], stopped)
        if source.sha256 not in (None, sha256):
            raise InputError(
                f"{source.name}: the file is not the one that its manifest lists",
                hint="Make the snapshot anew.",
            )
        journal.add(Digested(source=number, sha256=sha256))
        return sha256

    def _digest(self, source: Scorable, before: FileState, stopped: Callable[[], bool] = never) -> str:
        sha256 = source.digest(stopped)
        self._check_unchanged(source, before)
        return sha256

    def _check_unchanged(self, source: Scorable, before: FileState) -> None:
        if source.resumable and source.state() != before:
            raise InputError(f"{source.name}: the file was changed while it was read", hint=_AGAIN)

    def _score_all(
        self,
        pieces: Sequence[Piece],
        states: Sequence[FileState],
        journal: Journal,
        meter: Meter,
        digests: Digests,
    ) -> None:
        total, behind = sum(state.size for state in states) or 1, 0.0

        def report(message: FinishedPart | Progress) -> None:
            nonlocal behind
            digests.check()
            if isinstance(message, FinishedPart):
                for covered in message.ranges:
                    self._check_unchanged(self.job.sources[covered.source], states[covered.source])
                journal.add(message)
                with self._lock:
                    self._parts.setdefault(message.piece, []).append(message)
                return
            with self._lock:
                behind += message.size
                meter.add(message.rows, self.job.sources[message.source].name, min(1.0, behind / total))

        pending = []
        for piece in pieces:
            finished = self._parts.get(piece.number, [])
            if not finished or not finished[-1].last:
                pending.append((piece, finished[-1] if finished else None))
        limit = self.job.selection.limit
        room = None if limit is None else limit - self._before
        if self.by_spark:
            from batch.spark import score_by_spark  # noqa: PLC0415 - an extra

            score_by_spark(self.job, self.folder, pending, report, self.spark_master)
            return
        score_pieces(self.job, self.predictor, self.folder, pending, report, self.workers, self.memory, room)

    def _scored_before(self) -> int:
        """How many rows an earlier run has scored or rejected."""
        parts = (part for parts in self._parts.values() for part in parts)
        return sum(covered.counts.read for part in parts for covered in part.ranges)

    def _manifest(
        self,
        pieces: Sequence[Piece],
        states: Sequence[FileState],
        digests: Sequence[str],
        started: datetime,
        seconds: float,
    ) -> Predictions:
        parts = [part for piece in pieces for part in self._parts.get(piece.number, [])]
        by_source: dict[int, list[Counts]] = {number: [] for number in range(len(self.job.sources))}
        for part in parts:
            for covered in part.ranges:
                by_source[covered.source].append(covered.counts)
        totals = {number: Counts.sum_of(counts) for number, counts in by_source.items()}
        by_place: dict[str, list[Counts]] = {}
        for number, source in enumerate(self.job.sources):
            by_place.setdefault(source.place, []).append(totals[number])
        form = self.job.form(self.predictor.model)
        everything = Counts.sum_of(list(totals.values()))
        return Predictions(
            model=ModelUsed.of(self.predictor.model),
            format=form.name,
            inputs=[
                InputFile(
                    name=source.name,
                    format=source.format,
                    rows=totals[number].read,
                    size=states[number].size,
                    sha256=digests[number],
                )
                for number, source in enumerate(self.job.sources)
            ],
            counts=everything,
            ledger={place: Counts.sum_of(counts) for place, counts in by_place.items()},
            columns=Column.all_of(form.schema),
            parts=_files(part.parts for part in parts),
            rejected_columns=Column.all_of(REJECTED_SCHEMA),
            rejected=_files(part.rejected for part in parts),
            partition_by=list(form.partition_by),
            sketches=merged_sketches(self.predictor.model.schema, parts),
            settings=self.settings,
            run=Run.of(started, seconds, everything.read - self._before),
        )


def _files(lists: Iterable[list[PartFile]]) -> list[PartFile]:
    return [file for files in lists for file in files]


def is_begun(folder: Folder) -> bool:
    """Whether there is a run to go on with in a folder: one that was broken off, or one that has ended."""
    return is_finished(folder) or JOURNAL_FILE in folder.names()


def is_finished(folder: Folder) -> bool:
    """Whether a run has ended in a folder: its manifest is there, whatever else it left behind."""
    return folder.size_of(MANIFEST_FILE) is not None
