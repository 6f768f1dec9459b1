"""What a worker must know to score any piece of a run; it can be sent to another process or machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from batch.outputs import OUTPUT_FORMATS, OutputFormat
from batch.selection.selection import Selection
from batch.sinks import Compression
from batch.sources import Scorable
from shared.formats.base import Split
from shared.models.directory import Model
from shared.predict import Predictor

#: Small inputs share a piece up to this many bytes: a part of its own for each would be a burden.
PACK_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """A run, as its workers see it.

    Attributes:
        model: The model's directory.
        explain: How many contributions to give with each prediction; None: none.
        sources: What is scored, in order.
        output: The folder of the results.
        format: The format of the parts.
        part_rows: The most rows read for one part.
        selection: Which rows are scored.
        passed: The columns of the inputs that go along with the predictions.
        partition_by: The columns whose values name the folders of the parts.
        compress: How parts of text are compressed.
        stem: What the names of its files begin with.
    """

    model: Path
    explain: int | None
    sources: tuple[Scorable, ...]
    output: str
    format: str
    part_rows: int
    selection: Selection = Selection()  # noqa: RUF009 - it cannot be changed
    passed: pa.Schema = pa.schema([])  # noqa: RUF009 - it cannot be changed
    partition_by: tuple[str, ...] = ()
    compress: Compression = "none"
    stem: str = ""

    def form(self, model: Model) -> OutputFormat:
        """The format of the parts.

        Args:
            model: The model that scores, loaded.
        """
        return OUTPUT_FORMATS[self.format](
            model,
            explained=self.explain is not None,
            passed=self.passed,
            partition_by=self.partition_by,
            compress=self.compress,
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A split of one source.

    Attributes:
        source: Which of the job's sources.
        split: Which of its splits.
    """

    source: int
    split: Split


@dataclass(frozen=True, slots=True)
class Piece:
    """What one worker scores from its beginning to its end: a split, or several small files.

    Attributes:
        number: Its place among all; the names of its parts begin with it.
        segments: What it consists of, in order.
    """

    number: int
    segments: tuple[Segment, ...]


def pieces_of(sources: Sequence[Scorable], predictor: Predictor, part_rows: int) -> list[Piece]:
    """The pieces of a run; the same inputs always give the same ones, whoever scores them.

    Raises:
        InputError: A source cannot be read.
    """
    return [Piece(number, segments) for number, segments in enumerate(_packed(sources, predictor, part_rows))]


def _packed(
    sources: Sequence[Scorable], predictor: Predictor, part_rows: int
) -> Iterator[tuple[Segment, ...]]:
    waiting: list[Segment] = []
    for number, source in enumerate(sources):
        segments = [Segment(number, split) for split in source.splits(predictor, part_rows)]
        together = sum(segment.split.size for segment in (*waiting, *segments))
        alike = number > 0 and source.shape == sources[number - 1].shape
        if waiting and (len(segments) > 1 or together > PACK_BYTES or not alike):
            yield tuple(waiting)
            waiting = []
        if len(segments) == 1 and segments[0].split.size <= PACK_BYTES:
            waiting += segments
        else:
            yield from ((segment,) for segment in segments)
    if waiting:
        yield tuple(waiting)
