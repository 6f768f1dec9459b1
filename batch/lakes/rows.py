"""The rows of a table of a lake as what is scored: one source a data file, in the order of their paths."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa

from batch.lakes.base import DataFile, Lake, LakeFile, Rows, first_line
from batch.sources import FileRows, Reading, never
from shared.errors import InputError
from shared.formats.base import Chunk, Split, Wanted, choose_columns
from shared.formats.runs import pick, runs
from shared.formats.utf8 import split_invalid_utf8
from shared.predict import Predictor
from shared.storage import FileState

_GONE: Final = (
    "A clean-up may have removed it, such as VACUUM or expired snapshots: score the version that is now the"
    " last, or keep old versions for longer."
)


def sources_of_lakes(lakes: Iterable[Lake], reading: Reading) -> list["LakeRows"]:
    """The data files of tables.

    Args:
        lakes: The tables.
        reading: How their columns are read.

    Raises:
        InputError: A table has no files.
    """
    found: list[LakeRows] = []
    for lake in lakes:
        if not lake.files:
            raise InputError(
                f"{lake.shown}: the table has no rows", hint="Score it once something is written to it."
            )
        found += [LakeRows(lake, file, reading) for file in lake.files]
    return found


class LakeRows(FileRows):
    """The rows of one data file at one version of a table.

    A row's position is the table's name, the file's path below the table, and the row's number among those
    of the file that the version has: rows that were deleted from it are not counted.
    """

    def __init__(self, lake: Lake, file: DataFile, reading: Reading) -> None:
        self._lake, self._file, self._reading = lake, file, reading
        self.name = self.place = f"{lake.name}/{file.name}"
        self.format, self.by_events = lake.kind, False
        self.shape = (lake.kind, lake.id)

    def check(self, predictor: Predictor) -> None:
        """Looks at the table's columns, and at the file's footer."""
        with self._opened(predictor):
            pass

    def state(self) -> FileState:
        """The file's length and the table's version: a data file is never changed."""
        return FileState(self._file.size, self._lake.version)

    def digest(self, stopped: Callable[[], bool] = never) -> str:  # noqa: ARG002 - it is quick
        """The digest of what the file is known by: the table's id and version, the file's path and size."""
        known_by = (self._lake.kind, self._lake.id, self._lake.version, self._file.name, self._file.size)
        return hashlib.sha256("\n".join(map(str, known_by)).encode()).hexdigest()

    def splits(self, predictor: Predictor, rows: int) -> list[Split]:
        """Runs of row groups; the whole file where rows of it are deleted: they count from its start."""
        if self._file.cleared:
            return [Split(first=0, rows=None, size=self._file.size)]
        with self._opened(predictor) as opened:
            return runs(opened.counts, self._file.size, rows)

    def chunks(self, predictor: Predictor, split: Split | None = None, skip: int = 0) -> Iterator[Chunk]:
        """The rows of a split, or of the whole file."""
        split = split or Split(first=0, rows=None, size=self._file.size)
        with self._opened(predictor) as opened:
            first = split.first + skip
            total = split.rows or max(1, opened.parquet.metadata.num_rows)
            for batch in opened.batches(split.begin, split.end, skip, self._reading.batch_rows):
                rows = np.arange(first, first + batch.num_rows, dtype=np.int64)
                first += batch.num_rows
                kept, kept_rows, rejections = split_invalid_utf8(batch, rows)
                done = min(1.0, (first - split.first) / total)
                yield Chunk(kept_rows, kept, rejections=rejections, done=done)

    def originals(self, split: Split, rows: Rows) -> Iterator[pa.RecordBatch]:
        """Rows of a split as the table has them, with all its columns.

        Args:
            split: Where they are.
            rows: Their numbers, ascending.
        """
        with self._told(), self._lake.open(self._file.name, self._lake.columns, ()) as opened:
            first = split.first
            for batch in opened.batches(split.begin, split.end, 0, self._reading.batch_rows):
                picked = pick(batch, first, rows)
                first += batch.num_rows
                if picked is not None:
                    yield picked

    @contextmanager
    def _opened(self, predictor: Predictor) -> Iterator[LakeFile]:
        """The file, with what the model wants of it."""
        wanted = Wanted(**self._wanted(predictor))
        found = self._lake.columns
        chosen = choose_columns(self._lake.shown, found, wanted)
        names = {found[place]: name for place, name in chosen.items()}
        repeated = {column for column, name in names.items() if name in wanted.categories}
        with self._told(), self._lake.open(self._file.name, list(names), repeated) as opened:
            yield _renamed(opened, list(names.values()))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what goes wrong with the file into sentences."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{self._lake.shown}: the data file {self._file.name} cannot be read: {first_line(error)}",
                hint=_GONE,
            ) from error


def _renamed(opened: LakeFile, names: Sequence[str]) -> LakeFile:
    """A file whose columns get the names that the model knows them by."""

    def project(batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(opened.project(batch).columns, list(names))

    return LakeFile(opened.parquet, opened.columns, project, opened.deleted)
