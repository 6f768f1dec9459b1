"""CSV: text columns, named by the header.

Blank lines are skipped and not counted. Fields may be quoted and may then hold line breaks.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from shared.errors import InputError
from shared.formats import csv_rows
from shared.formats.base import RAW, Chunk, Format, Rows, Split, Wanted, choose_columns
from shared.formats.content import Content, byte_ranges, compressed, targets
from shared.formats.csv_parse import Parsed, RowParser
from shared.formats.csv_rows import RowBlocks, RowEnds, spans
from shared.formats.utf8 import split_marked
from shared.schema import Reason, Rejection
from shared.storage import StoredFile

_OPEN_QUOTE: Final = "Look for a quote that is never closed."
_DELIMITERS: Final = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}


class CsvText(Format):
    """Text columns."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = compressed(".csv")
    text: ClassVar[bool] = True

    def check(self, file: StoredFile, wanted: Wanted) -> None:
        """Reads the header."""
        with Content(file) as content:
            header, _, _ = _read_header(file, content, RowEnds(wanted.delimiter), wanted.delimiter)
            choose(file, header, wanted)

    def splits(self, file: StoredFile, wanted: Wanted, rows: int) -> list[Split]:  # noqa: ARG002 - by bytes
        """Ranges of whole rows, found by a look at every byte of a large file; of a small one, the whole."""
        wished, size = targets(file), file.state().size
        if not wished:
            return [Split(0, None, size)]
        begins, row = [(0, 0)], 0
        with _opened(file, wanted.delimiter) as opened:
            place = opened.data_begin
            for block in opened.blocks:
                ends = spans(block, opened.ends.all(block))[1]
                while wished and len(later := ends[np.searchsorted(ends, wished[0] - place) :]):
                    begins.append((place + int(later[0]), row + len(ends) - len(later) + 1))
                    wished = [other for other in wished if other > begins[-1][0]]
                place, row = place + len(block), row + len(ends)
            # A row that never ends is an error for who reads it.
            rows_end = None if opened.blocks.left else row
        return byte_ranges(begins, size, rows_end)

    def read(
        self, file: StoredFile, wanted: Wanted, split: Split | None = None, skip: int = 0
    ) -> Iterator[Chunk]:
        """The rows of a file, a block at a time."""
        row = split.first if split else 0
        begin = row + skip
        with _opened(file, wanted.delimiter, split) as opened:
            parser = RowParser(len(opened.header), choose(file, opened.header, wanted), wanted.delimiter)
            for block in opened.blocks:
                if row < begin:
                    passed = len(spans(block, opened.ends.all(block))[1])
                    if row + passed <= begin:
                        row += passed
                        continue
                parsed = parser.parse(block)
                originals = partial(_originals, block, row, opened, wanted.delimiter)
                for chunk in _chunks(parsed, row, wanted.batch_rows, len(opened.header)):
                    chunk.done, chunk.originals = opened.content.done, originals
                    left = chunk.since(begin) if row < begin else chunk
                    if left is not None:
                        yield left
                row += parsed.total
            _check_left(file, opened.blocks.left, row)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file whose header was read.

    Attributes:
        content: What is read.
        header: The names of the columns.
        data_begin: The byte of the file after the header.
        blocks: The rows after the header, or of the split.
        ends: Finds the rows in a block.
    """

    content: Content
    header: list[str]
    data_begin: int
    blocks: RowBlocks
    ends: RowEnds


@contextmanager
def _opened(file: StoredFile, delimiter: str, split: Split | None = None) -> Iterator[_Opened]:
    ends = RowEnds(delimiter)
    later = split if split is not None and split.begin else None
    with Content(file, None if later else split) as content:
        header, data_begin, blocks = _read_header(file, content, ends, delimiter)
        if later is None:
            yield _Opened(content, header, data_begin, blocks, ends)
            return
    with Content(file, later) as content:
        yield _Opened(content, header, data_begin, RowBlocks(content, ends), ends)


def _read_header(
    file: StoredFile, content: Content, ends: RowEnds, delimiter: str
) -> tuple[list[str], int, RowBlocks]:
    """The column names, the byte of the file after them, and the blocks from there on.

    Raises:
        InputError: There is no header, or it is not text.
    """
    start = content.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{file}: the file is UTF-16", hint="Save it as UTF-8.")
    text = start.removeprefix(codecs.BOM_UTF8)
    place, blocks = len(start) - len(text), RowBlocks(content, ends, text)
    for block in blocks:
        starts, after = spans(block, ends.all(block))
        if len(after):
            blocks.left = block[after[0] :] + blocks.left
            return _names(file, block[starts[0] : after[0]], delimiter), place + int(after[0]), blocks
        place += len(block)
    if blocks.left:
        raise InputError(f"{file}: the header cannot be read: it does not end", hint=_OPEN_QUOTE)
    raise InputError(f"{file}: the file is empty", hint="A CSV file begins with a line of column names.")


def _names(file: StoredFile, header: bytes, delimiter: str) -> list[str]:
    try:
        text = io.StringIO(header.decode(), newline="")
        return next(csv.reader(text, delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: the header is not valid UTF-8", hint="Save the file as UTF-8.") from error
    except csv.Error as error:
        raise InputError(f"{file}: the header cannot be read: {error}", hint=_OPEN_QUOTE) from error


def choose(file: StoredFile, header: list[str], wanted: Wanted) -> dict[int, str]:
    """The columns to read by place, and a word about the delimiter when they are not there."""
    try:
        return choose_columns(file, header, wanted)
    except InputError:
        line = wanted.delimiter.join(header)
        for other, quoted in _DELIMITERS.items():
            fields = line.split(other)
            if other == wanted.delimiter or len(fields) < 2 or len(fields) <= len(header):
                continue
            raise InputError(
                f"{file}: the columns are separated by {other!r}, not by {wanted.delimiter!r}",
                hint=f"Give --delimiter {quoted}.",
            ) from None
        raise


def _chunks(parsed: Parsed, first: int, most: int, width: int) -> Iterator[Chunk]:
    """A block's rows, so many at a time, those that are refused among them.

    Args:
        parsed: The block.
        first: The row number in the file of its first row.
        most: The most rows of a chunk.
        width: How many fields a row is to have.
    """
    for begin in range(0, parsed.total, most):
        good, bad = (
            slice(*np.searchsorted(places, (begin, begin + most)).tolist())
            for places in (parsed.places, parsed.ragged)
        )
        rows, batch = parsed.places[good] + first, parsed.batch.slice(good.start, good.stop - good.start)
        refused = [
            _ragged(first + place, count, width)
            for place, count in zip(parsed.ragged[bad].tolist(), parsed.widths[bad], strict=True)
        ]
        if parsed.damaged:
            marks = {name: damaged[good] for name, damaged in parsed.damaged.items()}
            batch, rows, damaged = split_marked(batch, rows, marks)
            refused = sorted([*refused, *damaged], key=lambda rejection: rejection.row)
        yield Chunk(rows, batch, text=True, rejections=refused)


def _ragged(row: int, count: int, width: int) -> Rejection:
    fields = f"{count:,} field" if count == 1 else f"{count:,} fields"
    return Rejection(row, Reason.RAGGED_ROW, None, f"the row has {fields}; the header has {width:,}")


def _originals(block: bytes, first: int, opened: _Opened, delimiter: str, rows: Rows) -> pa.RecordBatch:
    """Rows of a block as columns of text and RAW, which is without the line's end.

    Args:
        block: The block.
        first: The row number in the file of its first row.
        opened: The file.
        delimiter: What separates fields.
        rows: The row numbers in the file.
    """
    starts, ends = spans(block, opened.ends.all(block))
    lines = [block[starts[place] : ends[place]] for place in (rows - first).tolist()]
    columns = dict(enumerate(opened.header))
    parsed = RowParser(len(columns), columns, delimiter).parse(b"".join(lines))
    whole = ~np.logical_or.reduce([np.zeros(len(parsed.places), np.bool_), *parsed.damaged.values()])
    at = np.full(len(lines), -1)
    at[parsed.places[whole]] = np.flatnonzero(whole)
    index = pa.array(at, mask=at < 0)
    found = [column.take(index) for column in parsed.batch.columns]
    raw = [None if good else line.rstrip(b"\r\n") for good, line in zip(at >= 0, lines, strict=True)]
    return pa.RecordBatch.from_arrays([*found, pa.array(raw, pa.binary())], [*opened.header, RAW])


def _check_left(file: StoredFile, left: bytes, row: int) -> None:
    """Refuses a file that ends within a row: the rows after it may have become a part of a field."""
    if len(left) > csv_rows.LONGEST_ROW:
        size = csv_rows.LONGEST_ROW // 1024 // 1024
        hint = "Most likely a quote is opened there and never closed."
        raise InputError(f"{file}: data row {row} is longer than {size} MiB", hint=hint)
    if left:
        raise InputError(
            f"{file}: the quote of a field in the last row, data row {row}, is never closed",
            hint="Rows after it may have become a part of that field: close the quote, or remove it.",
        )
