"""Scoring one piece of a run: reads, scores, and writes parts. A part is a pure function of its rows."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from batch.folder import Folder, HashedFile
from batch.job import Job, Piece
from batch.manifest import Counts, PartFile
from batch.outputs import OutputFormat
from batch.pipeline import ahead
from batch.quarantine import Quarantine
from batch.selection.selection import Selector
from batch.sinks import Sink
from batch.sources import Scorable, Scored
from batch.writers import FileWriter, PartitionWriter
from shared.formats.base import Chunk, Split
from shared.ledger import Ledger
from shared.predict import Predictor
from shared.schema import Schema
from shared.sketches.sketches import Sketches

T = TypeVar("T")


class Range(BaseModel):
    """Rows of one source that a part covers.

    Attributes:
        source: Which source of the run.
        first: The number of the first row.
        end: The row after the last.
        counts: What became of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: int
    first: int
    end: int
    counts: Counts


class FinishedPart(BaseModel):
    """A part whose files are stored: what the journal holds of it.

    Attributes:
        piece: Which piece it belongs to.
        number: Its place in the piece.
        last: Whether the piece ends with it.
        ranges: The rows that it covers.
        parts: The files of predictions; none when all rows were rejected.
        rejected: The files of rejected rows.
        sketches: Those of its valid rows, as Sketches.to_json gives them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    piece: int
    number: int
    last: bool
    ranges: list[Range]
    parts: list[PartFile]
    rejected: list[PartFile]
    sketches: dict[str, Any]


def merged_sketches(
    schema: Schema, parts: Iterable[FinishedPart], before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The sketches of all rows: each part's as its journal has it, merged in order.

    Args:
        schema: The model's declared inputs.
        parts: The parts.
        before: The sketches of the rows that came before them, if any.
    """
    merged = Sketches.of(schema) if before is None else Sketches.from_json(before)
    for part in parts:
        merged.merge(Sketches.from_json(part.sketches))
    return merged.to_json()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a worker has come.

    Attributes:
        rows: Rows read since it last said so.
        source: Which source they are from.
        size: Bytes of the input that these rows are.
    """

    rows: int
    source: int
    size: float


Report = Callable[[FinishedPart | Progress], None]


class StoppedError(Exception):
    """The run was told to stop; what is finished is in the journal."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A chunk of a piece, all of which belongs to one part.

    Attributes:
        part: The number of the part in the piece.
        source: Which source it is from.
        split: Which split of it.
        first: The number of its first row.
        end: The row after its last.
        size: How many bytes of the input it stands for.
        chunk: The rows; once they are selected, the selected ones.
        left_out: How many rows are not among them any more.
    """

    part: int
    source: int
    split: Split
    first: int
    end: int
    size: float
    chunk: Chunk
    left_out: int = 0


class PieceScorer:
    """Scores pieces of one run.

    Args:
        job: The run.
        predictor: Its model, loaded.
        folder: Where the parts go.
        stopped: Whether to stop; asked between chunks.
        overlapped: Whether reading, scoring and writing run beside each other: of use where no other worker
            has work for the other cores.
        room: How many rows may still be scored; None: all. Where there is a limit the pieces are scored in
            order, one at a time.
    """

    def __init__(
        self,
        job: Job,
        predictor: Predictor,
        folder: Folder,
        stopped: Callable[[], bool],
        *,
        overlapped: bool,
        room: int | None = None,
    ) -> None:
        self._job, self._predictor, self._folder, self._stopped = job, predictor, folder, stopped
        self._form = job.form(predictor.model)
        self._selector = Selector(job.selection, predictor.model.schema)
        self._overlapped, self._room = overlapped, room

    def score(self, piece: Piece, report: Report, done: FinishedPart | None = None) -> None:
        """Scores a piece, and reports each part once its files are stored.

        Args:
            piece: What to score.
            report: Told of progress and of finished parts, in order.
            done: The last part that an earlier run has finished: its rows and those before are passed over.

        Raises:
            InputError: An input cannot be read, or a part cannot be written.
            StoppedError: The run was told to stop.
        """
        chunks = _followed(self._stage(self._scored(piece, done)))
        for begun in chunks:
            part_at = begun[0][0].part
            with _PartInProgress(
                self._job, self._predictor, self._folder, self._form, piece, part_at
            ) as part:
                for (read, scored), following in chain([begun], chunks):
                    part.write(self._job.sources[read.source], read, scored)
                    report(Progress(read.end - read.first, read.source, read.size))
                    if following is None or following[0].part != read.part:
                        report(part.finish(last=following is None))
                        break

    def _scored(self, piece: Piece, done: FinishedPart | None) -> Iterator[tuple[_Read, Scored]]:
        if self._room == 0:
            return
        for whole in self._stage(self._chunks(piece, done)):
            if self._stopped():
                raise StoppedError
            read = self._selected(whole)
            source = self._job.sources[read.source]
            scored = source.score(self._predictor, read.chunk)
            passed = self._selector.passed(read.chunk, source, scored, self._job.passed)
            yield read, replace(scored, passed=passed)
            if self._room == 0:
                return

    def _selected(self, read: _Read) -> _Read:
        """The selected rows of what was read, as many as there is room for; what follows them is not read."""
        whole, end = read.chunk, read.end
        picked = self._selector.pick(whole, self._job.sources[read.source])
        if self._room is not None:
            if rows_of(picked) >= self._room:
                end = numbers_of(picked)[self._room - 1] + 1
                whole, picked = parted(whole, end)[0], parted(picked, end)[0]
            self._room -= rows_of(picked)
        return replace(read, chunk=picked, end=end, left_out=rows_of(whole) - rows_of(picked))

    def _chunks(self, piece: Piece, done: FinishedPart | None) -> Iterator[_Read]:
        """The piece's rows, cut where a part ends."""
        # Every part but a piece's last has all the rows that it may have.
        place = 0 if done is None else (done.number + 1) * self._job.part_rows
        reached = None if done is None else done.ranges[-1]
        for segment in piece.segments:
            if reached is not None and segment.source < reached.source:
                continue
            split, skip = segment.split, 0
            if reached is not None and segment.source == reached.source:
                skip = reached.end - split.first
            source = self._job.sources[segment.source]
            row, behind = split.first + skip, 0.0
            for chunk in source.chunks(self._predictor, split, skip):
                size = _size_of(chunk, split, behind)
                behind += size
                for cut in _cut(chunk, row, place, self._job.part_rows):
                    count = rows_of(cut)
                    yield _Read(
                        part=place // self._job.part_rows,
                        source=segment.source,
                        split=split,
                        first=row,
                        end=row + count,
                        size=size * count / rows_of(chunk),
                        chunk=cut,
                    )
                    row, place = row + count, place + count

    def _stage(self, items: Iterable[T]) -> Iterator[T]:
        return ahead(items) if self._overlapped else iter(items)


def _followed(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Each item with the one that follows it; None after the last."""
    waiting: list[T] = []
    for item in items:
        if waiting:
            yield waiting.pop(), item
        waiting.append(item)
    if waiting:
        yield waiting.pop(), None


def _size_of(chunk: Chunk, split: Split, behind: float) -> float:
    """How many bytes of its file a chunk stands for, for showing progress."""
    if split.rows:
        return split.size * rows_of(chunk) / split.rows
    return max(0.0, chunk.done * split.size - behind)


def _cut(chunk: Chunk, first: int, place: int, part_rows: int) -> Iterator[Chunk]:
    """A chunk in pieces that do not reach over the end of a part.

    Args:
        chunk: The chunk.
        first: The number of its first row in the file.
        place: The number of its first row in the piece.
        part_rows: How many rows a part has.
    """
    room = part_rows - place % part_rows
    while rows_of(chunk) > room:
        first += room
        head, chunk = parted(chunk, first)
        yield head
        room = part_rows
    if rows_of(chunk):
        yield chunk


def rows_of(chunk: Chunk) -> int:
    """How many rows of the file a chunk stands for."""
    return len(chunk.rows) + len(chunk.rejections)


def numbers_of(chunk: Chunk) -> list[int]:
    """The numbers of a chunk's rows, those that the format refuses included."""
    return sorted([*chunk.rows.tolist(), *(rejection.row for rejection in chunk.rejections)])


def parted(chunk: Chunk, row: int) -> tuple[Chunk, Chunk]:
    """A chunk's rows before a row of the file, and those from it on."""
    place = int(np.searchsorted(chunk.rows, row))
    refused = bisect_left(chunk.rejections, row, key=attrgetter("row"))
    head, tail = (
        replace(
            chunk,
            rows=chunk.rows[rows],
            batch=None if chunk.batch is None else chunk.batch[rows],
            values=None if chunk.values is None else chunk.values[rows],
            rejections=chunk.rejections[rejections],
        )
        for rows, rejections in (
            (slice(None, place), slice(None, refused)),
            (slice(place, None), slice(refused, None)),
        )
    )
    return head, tail


class _PartInProgress(ExitStack):
    """The files of one part while they are written; after an error they are removed."""

    def __init__(
        self, job: Job, predictor: Predictor, folder: Folder, form: OutputFormat, piece: Piece, number: int
    ) -> None:
        super().__init__()
        self.number = number
        self._piece, self._form, stem = piece.number, form, job.stem
        self._sketches = Sketches.of(predictor.model.schema)
        numbers = f"{piece.number:05d}-{number:04d}"
        name = f"{numbers}.{form.suffix}"
        begin = partial(_begin, form, form.file_schema)
        self._parts: FileWriter | PartitionWriter = (
            PartitionWriter(folder, f"{stem}part-{name}", begin, form.partition_by)
            if form.partition_by
            else self.enter_context(FileWriter(folder, f"{stem}part-{name}", begin))
        )
        self._rejected = self.enter_context(Quarantine(folder, f"{stem}rejected-{numbers}", form))
        self._bounds: dict[int, tuple[int, int]] = {}
        self._ledgers: dict[int, Ledger] = {}
        self._left_out: Counter[int] = Counter()

    def write(self, source: Scorable, read: _Read, scored: Scored) -> None:
        """Adds a chunk of a source and what became of it."""
        self._parts.write(self._form.predictions(scored.outcome, scored.ids, scored.passed))
        self._rejected.take(source, read.split, read.chunk, scored)
        self._ledgers.setdefault(read.source, Ledger()).add(scored.place, scored.read, scored.outcome)
        self._left_out[read.source] += read.left_out
        outcome = scored.outcome
        if outcome.frame is not None:
            self._sketches.add(outcome.frame, outcome.scores, outcome.decisions)
        first, _ = self._bounds.get(read.source, (read.first, 0))
        self._bounds[read.source] = first, read.end

    def finish(self, *, last: bool) -> FinishedPart:
        """Stores the files.

        Args:
            last: Whether the piece ends with this part.
        """
        parts, rejected = self._parts.finish(), self._rejected.finish()
        return FinishedPart(
            piece=self._piece,
            number=self.number,
            last=last,
            ranges=[
                Range(
                    source=source,
                    first=first,
                    end=end,
                    counts=Counts.total(self._ledgers[source], self._left_out[source]),
                )
                for source, (first, end) in self._bounds.items()
            ],
            parts=parts,
            rejected=rejected,
            sketches=self._sketches.to_json(),
        )


def _begin(form: OutputFormat, schema: pa.Schema, file: HashedFile) -> Sink:
    return form.open(file, schema)
