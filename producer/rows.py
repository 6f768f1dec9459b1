"""Rows of files as events: what a row stands for, so that it is scored as batch scores the row itself.

tests/laws/test_rows_and_events_agree.py holds this against the columnar validator.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.types as pt

from producer.message import Message
from shared import times
from shared.cells import read_cell, read_id
from shared.errors import InputError
from shared.files import Chunk, check_file, read_file
from shared.keys import key_in, key_of
from shared.schema import EVENT_ID, Schema

logger = logging.getLogger(__name__)

# Small pieces: sending begins at once, and a piece is held as Python objects.
_ROWS: Final = 4096


@dataclass(slots=True)
class FileRows:
    """The rows of a file as messages.

    Attributes:
        path: The file.
        schema: The model's declared inputs, by which the cells of a CSV file are read.
        ignore_case: Whether a column in another case counts as the declared one.
        delimiter: What separates the fields of a CSV file.
        skipped: Rows so far that were no row of the format, and so cannot be sent.
    """

    path: Path
    schema: Schema
    ignore_case: bool = False
    delimiter: str = ","
    skipped: int = 0

    def check(self) -> None:
        """Sees that the file can be opened and has the columns that every event needs.

        Raises:
            InputError: It cannot, or has not.
        """
        check_file(self.path, **self._wanted())

    def __iter__(self) -> Iterator[Message]:
        encoder = RowEncoder(self.schema)
        for chunk in read_file(self.path, **self._wanted()):
            self._skip(chunk)
            if chunk.batch is not None:
                yield from encoder.messages(chunk.batch, text=chunk.text)
            else:
                yield from (Message(key_in(line, self.schema.key), line) for line in chunk.values or ())

    def _wanted(self) -> dict[str, Any]:
        required = (self.schema.key, *(item.name for item in self.schema.features if item.required))
        return {
            "columns": self.schema.fields,
            # A strict model must see the columns that it does not know.
            "others": self.schema.strict,
            "required": required,
            "ignore_case": self.ignore_case,
            "delimiter": self.delimiter,
            "batch_rows": _ROWS,
        }

    def _skip(self, chunk: Chunk) -> None:
        for rejection in chunk.rejections:
            logger.warning("Not sent: row %d of %s: %s", rejection.row, self.path, rejection.detail)
        self.skipped += len(chunk.rejections)


class RowEncoder:
    """Writes rows as events: the declared fields, and for a strict model all others too.

    A field that the model ignores is not sent: it could make an event too large whose row is none too large.

    Args:
        schema: The model's declared inputs.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._types: Mapping[str, Any] = {item.name: item.type for item in schema.features}

    def messages(self, batch: pa.RecordBatch, *, text: bool) -> list[Message]:
        """One message a row, in order.

        Args:
            batch: The rows. Null is a field left out, and a NaN is sent as such, to be rejected.
            text: Whether the columns hold text that was never typed, as those of a CSV file.

        Raises:
            InputError: A column has a type that no JSON value stands for.
        """
        columns: dict[str, list[Any]] = {}
        for place, name in enumerate(batch.schema.names):
            if not (self._schema.strict or name in self._schema.fields):
                continue
            column = batch.column(place)
            if pt.is_dictionary(column.type):
                column = column.dictionary_decode()
            # Of a repeated name the last counts, and so do its nulls.
            columns[name] = self._cells(name, column) if text else self._values(name, column)
        rows = zip(*columns.values(), strict=True) if columns else [()] * batch.num_rows
        return [self._message(dict(zip(columns, row, strict=True))) for row in rows]

    def _message(self, row: Mapping[str, Any]) -> Message:
        event = {name: value for name, value in row.items() if value is not None}
        # Not by msgspec, which writes NaN as null: another reason, where the input has a default no reason.
        return Message(key_of(event.get(self._schema.key)), json.dumps(event, separators=(",", ":")).encode())

    def _cells(self, name: str, column: pa.Array) -> list[Any]:
        cells = ("" if cell is None else cell for cell in column.to_pylist())
        if name == self._schema.key:
            return [read_id(cell, self._schema.key_type) for cell in cells]
        if name == EVENT_ID:
            return [read_id(cell, None) for cell in cells]
        declared = self._types.get(name)
        values = [read_cell(cell, declared) for cell in cells]
        if declared == "integer":
            # 12 rather than 12.0; the same float64 when it is read.
            return [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
        return values

    def _values(self, name: str, column: pa.Array) -> list[Any]:
        kind = column.type
        if pt.is_decimal(kind):
            column = column.cast(pa.string()).cast(pa.float64())
        elif pt.is_floating(kind):
            column = column.cast(pa.float64())
        elif times.is_time(kind):
            column = times.as_text(column)
        elif not _is_plain(kind):
            raise InputError(
                f"the column {name!r} has the type {kind}, which no JSON value stands for",
                hint="Convert the column, or send the rows as NDJSON.",
            )
        return list(column.to_pylist())


def _is_plain(kind: pa.DataType) -> bool:
    texts = pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)
    return bool(texts or pt.is_integer(kind) or pt.is_boolean(kind) or pt.is_null(kind))
