"""Rejected files that a person has fixed, as rows to score: each is known by the position that it had."""

import io
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any, BinaryIO, Final, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from batch.held_rows import Held, read_held
from batch.rejected_rows import REPLACEMENT
from batch.sources import FileRows, Reading, Scored
from shared.errors import InputError
from shared.files import Source
from shared.formats.base import Chunk, Rows, Split, Wanted, choose_columns
from shared.formats.csv_rows import RowEnds
from shared.formats.csv_text import CsvText
from shared.formats.utf8 import split_invalid_utf8
from shared.predict import Predictor
from shared.storage import FileState, StoredFile

_REPLACEMENT: Final = REPLACEMENT.encode()
_NO_UTF8: Final = b"\xff"


class Kind(StrEnum):
    """What the rows of an input are, and so how the fixed ones are read."""

    CELLS = "cells"
    VALUES = "values"
    EVENTS = "events"


class FixedRows(FileRows):
    """The rows of a fixed file, read by the rules of the inputs that they come from.

    Args:
        source: The file.
        reading: How the inputs were read.
        delimiter: What separates the fields of the fixed file itself, if it is CSV.
        kind: What the inputs' rows are.
        positions: The position of each row.
        undecodable: The positions of rows of values that were rejected for a text that was not UTF-8.
    """

    def __init__(
        self,
        source: Source,
        reading: Reading,
        delimiter: str,
        kind: Kind,
        positions: pa.StringArray,
        undecodable: frozenset[str],
    ) -> None:
        super().__init__(source, reading)
        self.by_events, self.raw = False, kind is not Kind.VALUES
        self._delimiter, self._kind = delimiter, kind
        self._positions, self._undecodable = positions, undecodable

    def check(self, predictor: Predictor) -> None:
        """Reads the first rows."""
        self.head(predictor)

    def splits(self, predictor: Predictor, rows: int) -> list[Split]:  # noqa: ARG002 - rejected rows are few
        """The whole file."""
        return [Split(first=0, rows=len(self._positions), size=self.state().size)]

    def chunks(self, predictor: Predictor, split: Split | None = None, skip: int = 0) -> Iterator[Chunk]:
        """The rows, as the input's own format would give them."""
        if skip or (split is not None and split.first):
            raise ValueError("a fixed file is read from the first row on")
        wanted = Wanted(**self._wanted(predictor))
        first = 0
        for held in read_held(self.file, self._delimiter, self._reading.batch_rows):
            self._spoil(held, first)
            for chunk in self._chunks(held, wanted, first):
                chunk.rows = chunk.rows + first
                chunk.rejections = [replace(one, row=one.row + first) for one in chunk.rejections]
                chunk.originals = partial(_taken, held.originals(self.file, raw=self.raw), first)
                chunk.done = (first + held.count) / max(1, len(self._positions))
                yield chunk
            first += held.count

    def score(self, predictor: Predictor, chunk: Chunk) -> Scored:
        """Scores the rows; they keep their positions."""
        scored = super().score(predictor, chunk)
        refused = self._positions.take(pa.array(self.rejected_rows(chunk, scored.outcome)))
        return replace(
            scored,
            ids=self._positions.take(pa.array(scored.outcome.rows)),
            rejected=scored.rejected.set_column(0, scored.rejected.schema.field(0), refused),
        )

    def _chunks(self, held: Held, wanted: Wanted, first: int) -> Iterator[Chunk]:
        numbers = np.arange(held.count)
        if self._kind is Kind.EVENTS:
            yield Chunk(numbers, None, cast("list[bytes]", held.raws(self.file)))
        elif self._kind is Kind.CELLS or held.text:
            content = self._as_csv(held, wanted.delimiter, first)
            yield from CsvText().read(_Content(str(self.file), content), wanted)
        elif held.objects is not None:
            yield Chunk(numbers, None, self._events(held.objects, wanted, first))
        else:
            chosen = choose_columns(self.file, held.own.schema.names, wanted)
            columns = [held.own.column(place) for place in chosen]
            batch = pa.RecordBatch.from_arrays(columns, list(chosen.values()))
            kept, rows, rejections = split_invalid_utf8(batch, numbers)
            yield Chunk(rows, kept, rejections=rejections)

    def _as_csv(self, held: Held, delimiter: str, first: int) -> bytes:
        """The rows as CSV: their cells, or where all of these are empty the row as it stood."""
        columns = [_encoded(column) for column in held.cells()]
        lines = [_line(map(str.encode, held.own.schema.names), delimiter)]
        ends = RowEnds(delimiter)
        for row, raw in enumerate(held.raws(self.file)):
            cells = [column[row] for column in columns]
            if raw is None or any(cells):
                lines.append(_line(cells, delimiter))
                continue
            lines.append(raw + b"\n")
            if ends.all(lines[-1]).tolist() != [len(lines[-1])]:
                raise InputError(
                    f"{self.file}: {self._positions[first + row]}: its raw text is not one row of CSV",
                    hint="Close its quotes and leave one row there; or empty it, and fill in the columns.",
                )
        return b"".join(lines)

    def _events(self, objects: list[dict[str, Any]], wanted: Wanted, first: int) -> list[bytes]:
        """Rows of values as the events that stand for them, their fields called as the model calls them."""
        events = []
        for row, fields in enumerate(objects):
            names = list(fields)
            loose = replace(wanted, required=())
            chosen = choose_columns(self.file, names, loose) if names else {}
            event = {name: fields[names[place]] for place, name in chosen.items()}
            encoded = msgspec.json.encode(event)
            if self._positions[first + row].as_py() in self._undecodable:
                encoded = encoded.replace(_REPLACEMENT, _NO_UTF8)
            events.append(encoded)
        return events

    def _spoil(self, held: Held, first: int) -> None:
        """Makes texts that were not UTF-8, and that nobody has fixed, what they were: no UTF-8."""
        if not self._undecodable:
            return
        positions = self._positions.slice(first, held.count).to_pylist()
        marked = [position in self._undecodable for position in positions]
        columns = list(held.own.columns) if any(marked) else []
        for place, column in enumerate(columns):
            if pt.is_string(column.type) or pt.is_large_string(column.type):
                spoiled = [
                    text.replace(_REPLACEMENT, _NO_UTF8) if is_marked and text is not None else text
                    for text, is_marked in zip(_encoded(column), marked, strict=True)
                ]
                columns[place] = pa.array(spoiled, pa.large_binary()).cast(pa.binary()).view(pa.string())
        if columns:
            held.own = pa.RecordBatch.from_arrays(columns, held.own.schema.names)


class _Content(StoredFile):
    """Bytes that are read as a file.

    Args:
        address: What to call it.
        content: The bytes.
    """

    def __init__(self, address: str, content: bytes) -> None:
        self.address, self._content = address, content

    @property
    def suffixes(self) -> list[str]:
        """None: it is not compressed."""
        return []

    def open(self) -> BinaryIO:
        """Opens it for reading."""
        return io.BytesIO(self._content)

    def state(self) -> FileState:
        """Its length."""
        return FileState(len(self._content), "")


def _line(cells: Any, delimiter: str) -> bytes:
    return delimiter.encode().join(b'"%b"' % cell.replace(b'"', b'""') for cell in cells) + b"\n"


def _encoded(column: Any) -> list[Any]:
    """Texts as bytes, whether or not they are UTF-8."""
    return cast("list[Any]", column.cast(pa.large_string()).view(pa.large_binary()).to_pylist())


def _taken(own: pa.RecordBatch, first: int, rows: Rows) -> pa.RecordBatch:
    return own.take(pa.array(rows - first))
