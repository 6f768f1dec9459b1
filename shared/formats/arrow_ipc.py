"""Arrow IPC, as files (which Feather's second version is) and as streams: columns, a record batch at a time.

A record batch is held whole, as wide and as long as the file's writer made it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import SEEK_END
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from shared.errors import InputError
from shared.formats.base import Chunk, Format, Rows, Split, Wanted, choose_columns
from shared.formats.runs import pick, runs, sliced
from shared.formats.utf8 import split_invalid_utf8
from shared.storage import StoredFile

_FILE: Final = b"ARROW1"
_FEATHER_1: Final = b"FEA1"
# A stream without it, cut where a record batch ends, reads as a whole one.
_END_OF_STREAM: Final = b"\xff\xff\xff\xff\0\0\0\0"
_CUT_SHORT: Final = "It may have been cut short while it was written or copied: make it anew."
_TEXT: Final = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}


class ArrowIpc(Format):
    """Columns with the file's own types."""

    name: ClassVar[str] = "arrow"
    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".arrows", ".feather", ".ipc")

    def check(self, file: StoredFile, wanted: Wanted) -> None:
        """Reads the schema, and the end, which a file that was cut short does not have."""
        with _opened(file) as reader:
            choose_columns(file, reader.schema.names, wanted)

    def splits(self, file: StoredFile, wanted: Wanted, rows: int) -> list[Split]:
        """Runs of record batches; a stream, which does not say where they are, is one."""
        with _opened(file) as reader:
            kinds = reader.schema.types
            if not _is_file(reader):
                return super().splits(file, wanted, rows)
        # The narrowest column tells how many rows there are.
        narrow = min(range(len(kinds)), key=lambda place: _width(kinds[place]), default=0)
        with _opened(file, [narrow]) as reader:
            counts = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
        return runs(counts, file.state().size, rows)

    def read(
        self, file: StoredFile, wanted: Wanted, split: Split | None = None, skip: int = 0
    ) -> Iterator[Chunk]:
        """The rows of a file, a batch at a time."""
        with _opened(file) as reader:
            chosen = choose_columns(file, reader.schema.names, wanted)
        row = split.first if split else 0
        begin = row + skip
        with _opened(file, list(chosen)) as reader:
            for batch, done in _batches(reader, split):
                if row + batch.num_rows > begin:
                    _validate(file, batch)
                    named = pa.RecordBatch.from_arrays(batch.columns, list(chosen.values()))
                    yield from _chunks(named, row, begin, wanted.batch_rows, done)
                row += batch.num_rows

    def originals(
        self, file: StoredFile, wanted: Wanted, rows: Rows, split: Split | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All columns."""
        row = split.first if split else 0
        with _opened(file) as reader:
            for batch, _ in _batches(reader, split):
                if not len(rows) or row > rows[-1]:
                    return
                picked = pick(batch, row, rows)
                if picked is not None:
                    _validate(file, batch)
                    yield from sliced(picked, wanted.batch_rows)
                row += batch.num_rows


@contextmanager
def _opened(file: StoredFile, columns: Sequence[int] = ()) -> Iterator[Any]:
    """Arrow's reader of a file.

    Args:
        file: The file.
        columns: The places of the columns to read, ascending; all when empty.
    """
    options = pa.ipc.IpcReadOptions(included_fields=list(columns), use_threads=False)
    with file.open() as content:
        beginning = content.read(len(_FILE))
        size = content.seek(0, SEEK_END)
        content.seek(max(0, size - len(_END_OF_STREAM)))
        end = content.read()
        content.seek(0)
        if beginning.startswith(_FEATHER_1):
            raise InputError(
                f"{file}: the file is Feather's first version", hint="Save it anew, as version 2."
            )
        if beginning != _FILE and end != _END_OF_STREAM:
            raise InputError(f"{file}: not a whole Arrow file or stream: its end is missing", hint=_CUT_SHORT)
        try:
            source = content if file.path is None else pa.OSFile(str(file.path))
            reader = (pa.ipc.open_file if beginning == _FILE else pa.ipc.open_stream)(source, options=options)
        except pa.ArrowInvalid as error:
            raise InputError(f"{file}: not a whole Arrow file or stream: {error}", hint=_CUT_SHORT) from error
        with reader:
            yield reader


def _is_file(reader: Any) -> bool:
    return isinstance(reader, pa.ipc.RecordBatchFileReader)


def _batches(reader: Any, split: Split | None) -> Iterator[tuple[pa.RecordBatch, float]]:
    """The record batches of a file or split, and the share that lies behind each."""
    if not _is_file(reader):
        for batch in reader:
            yield batch, 0.0
        return
    numbers = range(reader.num_record_batches)[slice(split.begin, split.end) if split else slice(None)]
    for number in numbers:
        yield reader.get_batch(number), (number + 1 - numbers.start) / len(numbers)


def _chunks(batch: pa.RecordBatch, row: int, begin: int, most: int, done: float) -> Iterator[Chunk]:
    """The rows of a batch from row `begin` of the file on; its first is row `row`."""
    passed = max(0, begin - row)
    for part in sliced(batch.slice(passed), most):
        rows = np.arange(row + passed, row + passed + part.num_rows, dtype=np.int64)
        passed += part.num_rows
        kept, kept_rows, rejections = split_invalid_utf8(part, rows)
        yield Chunk(kept_rows, kept, rejections=rejections, done=done)


def _validate(file: StoredFile, batch: pa.RecordBatch) -> None:
    """Sees that columns hold what they say: reading does not, and damage would end the process.

    A text that is not valid UTF-8 is no damage.

    Raises:
        InputError: One does not.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            try:
                _as_bytes(column).validate(full=True)
            except (pa.ArrowException, IndexError):
                raise InputError(
                    f"{file}: the column {name!r} is damaged: {error}", hint="Make the file anew."
                ) from error


def _as_bytes(column: Any) -> Any:
    if pt.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _as_bytes(column.dictionary))
    return column.view(_TEXT.get(column.type, column.type))


def _width(kind: Any) -> float:
    try:
        return float(kind.bit_width)
    except ValueError:
        return float("inf")
