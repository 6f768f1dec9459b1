"""CSV, through pyarrow's streaming reader. Every column is text; shared/cells.py says what a cell stands for.

Blank lines are skipped and not counted. Fields may be quoted and may then hold line breaks.
"""

import codecs
import csv
import io
import os
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, BinaryIO, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from shared.errors import InputError
from shared.formats.base import Chunk, Format, Split, Wanted, choose_columns
from shared.formats.utf8 import split_marked
from shared.schema import Reason, Rejection
from shared.storage import StoredFile

# A row must fit into a block; when one does not, the file is read again with larger ones, up to the last.
# Arrow reads about 32 blocks ahead, so that they also set how much memory a file takes.
_BLOCK_BYTES: Final = (2 * 1024 * 1024, 16 * 1024 * 1024, 64 * 1024 * 1024)
_LONGEST_HEADER: Final = 1024 * 1024
_DELIMITERS: Final = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}
# Stands for bytes that are not UTF-8. A character that Unicode sets aside never to be exchanged.
_MARK: Final = "\ufdd0"
_CARRIAGE_RETURN: Final = ord("\r")
_ESCAPED: Final = re.compile("[\udc80-\udcff]")


class CsvText(Format):
    """Text columns, named by the header."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)

    def check(self, file: StoredFile, wanted: Wanted) -> None:
        """Reads the header."""
        with file.open() as content:
            choose(file, read_header(file, content, wanted.delimiter), wanted)

    def read(
        self,
        file: StoredFile,
        wanted: Wanted,
        split: Split | None = None,  # noqa: ARG002 - there is one
        skip: int = 0,
    ) -> Iterator[Chunk]:
        """The rows of a file, a block at a time."""
        next_row = skip
        for block_bytes in _BLOCK_BYTES:
            try:
                for chunk in _read(file, wanted, block_bytes):
                    left = chunk.since(next_row)
                    next_row = _end(chunk, next_row)
                    if left is not None:
                        yield left
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error):
                    raise
            else:
                return
        megabytes = _BLOCK_BYTES[-1] // 1024 // 1024
        raise InputError(
            f"{file}: a row after data row {next_row - 1} is longer than {megabytes} MiB",
            hint="Most likely a quote is opened there and never closed.",
        )


def read_header(file: StoredFile, content: BinaryIO, delimiter: str) -> list[str]:
    """The column names; the content is left where the data begins.

    Raises:
        InputError: There is no header, or it is not text.
    """
    start = content.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{file}: the file is UTF-16", hint="Save it as UTF-8.")
    content.seek(len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0)

    def lines() -> Iterator[str]:
        while content.tell() < _LONGEST_HEADER and (line := content.readline(_LONGEST_HEADER)):
            # A carriage return alone ends a line for Arrow, and so must it here.
            head, alone, _ = line.partition(b"\r")
            if alone and not line.startswith(b"\r\n", len(head)):
                content.seek(len(head) + 1 - len(line), os.SEEK_CUR)
                line = head + b"\n"
            if line.strip(b"\r\n"):
                yield line.decode()

    try:
        return next(csv.reader(lines(), delimiter=delimiter, strict=True))
    except StopIteration:
        hint = "A CSV file begins with a line of column names."
        raise InputError(f"{file}: the file is empty", hint=hint) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: the header is not valid UTF-8", hint="Save the file as UTF-8.") from error
    except csv.Error as error:
        raise InputError(
            f"{file}: the header cannot be read: {error}", hint="Look for a quote that is never closed."
        ) from error


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


def _read(file: StoredFile, wanted: Wanted, block_bytes: int) -> Iterator[Chunk]:
    with file.open() as content:
        size = max(1, file.state().size)
        header = read_header(file, content, wanted.delimiter)
        chosen = choose(file, header, wanted)
        source = _Utf8(content)
        ragged = _Ragged(len(header))
        empty = pa.RecordBatch.from_arrays([pa.array([], pa.string())] * len(chosen), list(chosen.values()))
        last, behind = b"", content.tell()
        for batch in _batches(source, len(header), chosen, ragged, wanted.delimiter, block_bytes):
            # By blocks that came out: Arrow has read many more of them ahead.
            behind += block_bytes
            done = min(1.0, behind / size)
            if batch.num_rows:
                last = pc.cast(batch.column(batch.num_columns - 1)[-1:], pa.binary())[0].as_py()
            picked = pa.RecordBatch.from_arrays(batch.columns[: len(chosen)], list(chosen.values()))
            rows, before = ragged.place(batch.num_rows)
            for start in range(0, len(rows), wanted.batch_rows):
                part = rows[start : start + wanted.batch_rows]
                passed = bisect_left(before, part[-1], key=attrgetter("row"))
                yield _chunk(picked.slice(start, len(part)), part, source, before[:passed], done)
                del before[:passed]
        for rejections in ragged.rest(wanted.batch_rows):
            yield Chunk(np.empty(0, np.int64), empty, text=True, rejections=rejections, done=1.0)
        _check_last_quote(file, content, ragged, last)


def _batches(
    source: Any, width: int, chosen: dict[int, str], ragged: "_Ragged", delimiter: str, block_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The chosen columns and, after them, the last one of the file: an open quote ends up there."""
    names = [str(place) for place in range(width)]
    try:
        reader = arrow_csv.open_csv(
            source,
            # One thread: only then are the numbers of ragged rows known. Scoring overlaps elsewhere.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=names),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=ragged.add
            ),
            convert_options=arrow_csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
                include_columns=[*(str(place) for place in chosen), names[-1]],
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise
    with reader:
        yield from reader


def _chunk(
    batch: pa.RecordBatch, rows: npt.NDArray[np.int64], source: "_Utf8", ragged: list[Rejection], done: float
) -> Chunk:
    damaged: list[Rejection] = []
    if source.damaged and len(rows):
        marks = {
            name: pc.match_substring(column, _MARK).to_numpy(zero_copy_only=False)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        batch, rows, damaged = split_marked(batch, rows, marks)
    rejections = sorted([*ragged, *damaged], key=lambda rejection: rejection.row)
    return Chunk(rows, batch, text=True, rejections=rejections, done=done)


def _check_last_quote(file: StoredFile, content: BinaryIO, ragged: "_Ragged", last: bytes) -> None:
    """Refuses a file in which a quote was opened and never closed: rows were swallowed by a field.

    Only a quoted field holds a line break, and a file that ends in a closed one ends in its quote.
    """
    content.seek(-min(64, content.tell()), os.SEEK_END)
    tail = content.read()
    swallowed = last.endswith(b"\n") if tail.endswith(b"\n") else b"\n" in last
    swallowed &= not tail.rstrip().endswith(b'"')
    if ragged.swallowed if ragged.last == ragged.next - 1 else swallowed:
        raise InputError(
            f"{file}: the quote of a field in the last row, data row {ragged.next - 1}, is never closed",
            hint="Rows after it may have become a part of that field: close the quote, or remove it.",
        )


def _end(chunk: Chunk, row: int) -> int:
    """The row of the file that follows a chunk."""
    ends = [row, *(int(last) + 1 for last in chunk.rows[-1:])]
    return max([*ends, *(rejection.row + 1 for rejection in chunk.rejections[-1:])])


class _Utf8(io.RawIOBase):
    """Passes a file on with a mark in the place of each byte that is not UTF-8.

    Arrow fails on such a byte in a ragged row, and never names the row of one elsewhere.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._ready = b""
        self.damaged = False

    def readable(self) -> bool:
        """True: this is only read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, as valid UTF-8; none only at the end of the file."""
        # Marks are longer than what they stand for, and Arrow has room for `size` bytes.
        self._ready = self._ready or self._more(size)
        # Arrow drops a line feed that begins a block after one that ends in a carriage return, in quotes too.
        if len(self._ready) == 1:
            self._ready += self._more(size)
        end = min(size, len(self._ready))
        end -= end > 1 and self._ready[end - 1] == _CARRIAGE_RETURN
        block, self._ready = self._ready[:end], self._ready[end:]
        return block

    def _more(self, size: int) -> bytes:
        while True:
            block = self._file.read(size)
            if block.isascii() and not self._decoder.getstate()[0]:
                return block
            text = self._decoder.decode(block, final=not block)
            try:
                encoded = text.encode()
            except UnicodeEncodeError:
                self.damaged = True
                encoded = _ESCAPED.sub(_MARK, text).encode()
            # A part of a character may be all that was read.
            if encoded or not block:
                return encoded


class _Ragged:
    """Rows with too few or too many fields, and with them the row numbers of all others."""

    def __init__(self, width: int) -> None:
        self.next = 0
        #: The last ragged row so far, and whether it holds a line break in an open quote.
        self.last, self.swallowed = -1, False
        self._width = width
        # Two plain numbers a row: a file may be ragged from its first row to its last.
        self._rows, self._widths = array("q"), array("q")

    def add(self, row: Any) -> str:
        """Takes note of a row; Arrow calls this."""
        self._rows.append(row.number - 1)
        self._widths.append(row.actual_columns)
        self.last, self.swallowed = row.number - 1, "\n" in row.text and row.text.count('"') % 2 == 1
        return "skip"

    def place(self, count: int) -> tuple[npt.NDArray[np.int64], list[Rejection]]:
        """The row numbers of the next `count` good rows, and the ragged ones before the last of them."""
        if not count:
            return np.empty(0, np.int64), []
        ragged = np.array(self._rows, np.int64)
        good_before = ragged - self.next - np.arange(len(ragged))
        good = np.arange(count)
        rows = self.next + good + np.searchsorted(good_before, good, side="right")
        self.next = int(rows[-1]) + 1
        return rows, self._take(int(np.searchsorted(ragged, self.next)))

    def rest(self, most: int) -> Iterator[list[Rejection]]:
        """The ragged rows after the last good one, at most so many at a time."""
        while self._rows:
            yield self._take(most)

    def _take(self, count: int) -> list[Rejection]:
        taken = list(zip(self._rows[:count], self._widths[:count], strict=True))
        del self._rows[:count], self._widths[:count]
        if taken:
            self.next = max(self.next, taken[-1][0] + 1)
        return [
            Rejection(
                row, Reason.RAGGED_ROW, None, f"the row has {_fields(width)}; the header has {self._width:,}"
            )
            for row, width in taken
        ]


def _fields(count: int) -> str:
    return f"{count:,} field" if count == 1 else f"{count:,} fields"
