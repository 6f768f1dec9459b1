"""Parquet, through pyarrow: typed columns, a row group's worth at a time."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from operator import itemgetter
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import InputError
from shared.formats.base import Chunk, Format, Rows, Split, Wanted, choose_columns
from shared.formats.runs import pick, runs
from shared.formats.utf8 import split_invalid_utf8
from shared.storage import StoredFile

# About what is held at once of a file's bytes, and of the columns made of them.
_HELD_BYTES: Final = 64 * 1024 * 1024
_SMALLEST_BUFFER: Final = 16 * 1024
_TRIED_ROWS: Final = 256


class Parquet(Format):
    """Columns with the file's own types."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def check(self, file: StoredFile, wanted: Wanted) -> None:
        """Reads the footer, which a file that was cut short does not have."""
        with _opened(file) as (_, metadata):
            choose_columns(file, metadata.schema.to_arrow_schema().names, wanted)

    def splits(self, file: StoredFile, wanted: Wanted, rows: int) -> list[Split]:  # noqa: ARG002 - all alike
        """Runs of row groups."""
        with _opened(file) as (_, metadata):
            return runs([count for _, count in _groups(metadata)], file.state().size, rows)

    def read(
        self, file: StoredFile, wanted: Wanted, split: Split | None = None, skip: int = 0
    ) -> Iterator[Chunk]:
        """The rows of a file, a batch at a time."""
        with _opened(file) as (source, metadata):
            schema = metadata.schema.to_arrow_schema()
            chosen = choose_columns(file, schema.names, wanted)
            names = [schema.names[place] for place in chosen]
            texts = {
                schema.names[place]
                for place, name in chosen.items()
                if name in wanted.categories and pa.types.is_string(schema.field(place).type)
            }
            groups = _groups(metadata, split)
            total, row = sum(count for _, count in groups), split.first if split else 0
            begin, end = row + skip, row + total
            while groups and row + groups[0][1] <= begin:
                row += groups.pop(0)[1]
            for batch in _batches(source, metadata, groups, names, texts, wanted.batch_rows):
                # A name with a dot may bring a nested field along; the right columns are picked by name.
                picked = pa.RecordBatch.from_arrays(
                    [batch.column(batch.schema.names.index(name)) for name in names], list(chosen.values())
                )
                rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
                row += batch.num_rows
                kept, kept_rows, rejections = split_invalid_utf8(picked, rows)
                done = 1 - (end - row) / max(1, total)
                left = Chunk(kept_rows, kept, rejections=rejections, done=done).since(begin)
                if left is not None:
                    yield left

    def originals(
        self, file: StoredFile, wanted: Wanted, rows: Rows, split: Split | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All columns; only the row groups are read that hold a row."""
        with _opened(file) as (source, metadata):
            row = split.first if split else 0
            names = metadata.schema.to_arrow_schema().names
            for group in _groups(metadata, split):
                place, row = row, row + group[1]
                here = rows[slice(*np.searchsorted(rows, (place, row)).tolist())]
                if not len(here):
                    continue
                for batch in _batches(source, metadata, [group], names, (), wanted.batch_rows):
                    picked = pick(batch, place, here)
                    if picked is not None:
                        yield picked
                    place += batch.num_rows
                    if place > here[-1]:
                        break


@contextmanager
def _opened(file: StoredFile) -> Iterator[tuple[Any, Any]]:
    """The file for pyarrow, which reads those of this machine by itself, and its metadata."""
    with file.for_arrow() if file.path is None else nullcontext(file.path) as source:
        try:
            metadata = pq.read_metadata(source)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{file}: not a whole Parquet file: {_sentence(error)}",
                hint="It may have been cut short while it was written or copied: make it anew.",
            ) from error
        yield source, metadata


def _sentence(error: Exception) -> str:
    return str(error).split(". ", maxsplit=1)[0].rstrip(".")


def _groups(metadata: Any, split: Split | None = None) -> list[tuple[int, int]]:
    """The row groups to read, and how many rows each has."""
    numbers = range(metadata.num_row_groups)[slice(split.begin, split.end) if split else slice(None)]
    return [(number, metadata.row_group(number).num_rows) for number in numbers]


def _batches(
    source: Any,
    metadata: Any,
    groups: list[tuple[int, int]],
    names: Sequence[str],
    dictionaries: Collection[str],
    most: int,
) -> Iterator[pa.RecordBatch]:
    """The rows of row groups, in batches of a bounded size.

    Args:
        source: The file.
        metadata: Its metadata.
        groups: The row groups, one after another, and how many rows each has.
        names: The columns.
        dictionaries: Those of them that are read as dictionaries.
        most: The most rows of a batch.
    """
    if not groups:
        return
    numbers = [number for number, _ in groups]
    largest, rows = max(groups, key=itemgetter(1))
    buffer = _buffer(metadata.row_group(largest), names)
    # pre_buffer keeps the compressed bytes of everything read until the file is closed.
    with pq.ParquetFile(
        source, metadata=metadata, pre_buffer=False, buffer_size=buffer, read_dictionary=list(dictionaries)
    ) as parquet:
        schema = metadata.schema.to_arrow_schema()
        widths = {name: 4.0 if name in dictionaries else _width(schema.field(name).type) for name in names}
        varying = [name for name, width in widths.items() if not width]
        row_bytes = sum(widths.values())
        if varying and rows:
            # A text that repeats stands in the file once: what it takes shows only when it is read.
            tried = next(parquet.iter_batches(_TRIED_ROWS, row_groups=[largest], columns=varying))
            row_bytes += tried.nbytes / tried.num_rows
        fitting = max(1, int(_HELD_BYTES / max(1, row_bytes)))
        yield from parquet.iter_batches(min(most, fitting), row_groups=numbers, columns=names)


def _buffer(group: Any, names: Sequence[str]) -> int:
    """How many bytes of a column to read at once; 0 is all that a row group holds of it."""
    wanted, columns = set(names), []
    for place in range(group.num_columns):
        column = group.column(place)
        # A nested column is stored as several, with the names of its fields after its own.
        if {column.path_in_schema, column.path_in_schema.partition(".")[0]} & wanted:
            columns.append(column)
    if sum(column.total_compressed_size for column in columns) <= _HELD_BYTES:
        return 0
    return max(_SMALLEST_BUFFER, int(_HELD_BYTES // len(columns)))


def _width(kind: Any) -> float:
    """How many bytes a value takes; 0 where that differs from value to value."""
    try:
        return float(kind.bit_width / 8)
    except ValueError:
        return 0.0
