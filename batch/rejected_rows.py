"""Rejected rows as they are kept: where each stood, why it was rejected, and all that it held.

A rejected file begins with the columns of REJECTED_SCHEMA. After them come all columns of the input, under
their own names: one whose name Tandem uses itself gets `original_` before it. Rows that have no columns (JSON
events, and rows of CSV that are ragged or not UTF-8) stand as they were in `raw`, or, where they are not
UTF-8, in `raw_base64`.
"""

import base64
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from batch.sources import REJECTED_SCHEMA
from shared import times
from shared.formats.base import RAW

RAW_BASE64: Final = f"{RAW}_base64"
_PREFIX: Final = "original_"
_TAKEN: Final = frozenset((*REJECTED_SCHEMA.names, RAW, RAW_BASE64))
#: What stands for bytes of a text that are not UTF-8.
REPLACEMENT: Final = "\ufffd"

_TEXT: Final = (pt.is_string, pt.is_large_string, pt.is_string_view)
_PLAIN: Final = (pt.is_boolean, pt.is_integer, pt.is_decimal, pt.is_string, pt.is_large_string)


def kept_names(names: Sequence[str]) -> list[str]:
    """What the columns of an input are called in a rejected file: no two the same.

    Args:
        names: Their own names.
    """
    kept: list[str] = []
    for name in names:
        own = _PREFIX + name if name.removeprefix(_PREFIX * name.count(_PREFIX)) in _TAKEN else name
        times_before = 1
        while own in kept:
            times_before += 1
            own = f"{name} ({times_before})"
        kept.append(own)
    return kept


def own_name(kept: str) -> str | None:
    """What a column of a rejected file was called in the input; None for one of Tandem's own."""
    if kept in _TAKEN:
        return None
    own = kept.removeprefix(_PREFIX)
    return own if own.removeprefix(_PREFIX * own.count(_PREFIX)) in _TAKEN else kept


def kept_rows(rejected: pa.RecordBatch, originals: pa.RecordBatch, *, raw: bool) -> pa.RecordBatch:
    """Rejected rows with all that they held.

    Args:
        rejected: The reasons, as REJECTED_SCHEMA says.
        originals: The rows, in the same order.
        raw: Whether their last column is RAW, the bytes of rows that have no columns.
    """
    count = originals.num_columns - raw
    columns = [_readable(column) for column in originals.columns[:count]]
    names = kept_names(originals.schema.names[:count])
    fields = [pa.field(name, column.type) for name, column in zip(names, columns, strict=True)]
    if raw:
        columns += texts_of(originals.column(count))
        fields += [pa.field(RAW, pa.string()), pa.field(RAW_BASE64, pa.string())]
    return pa.RecordBatch.from_arrays(
        [*rejected.columns, *columns], schema=pa.schema([*REJECTED_SCHEMA, *fields])
    )


def texts_of(values: pa.Array) -> list[pa.Array]:
    """Bytes as text where they are UTF-8, and beside it those that are not in base64."""
    texts: list[str | None] = []
    coded: list[str | None] = []
    for value in values.to_pylist():
        text = None if value is None else _decoded(value)
        texts.append(text)
        coded.append(None if value is None or text is not None else base64.b64encode(value).decode())
    return [pa.array(texts, pa.string()), pa.array(coded, pa.string())]


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _readable(column: Any) -> Any:
    """A column without dictionaries; bytes of texts that are not UTF-8 are replaced.

    Reading checks no text, and a rejected row may be one for that very reason.
    """
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        if any(is_text(column.type) for is_text in _TEXT):
            values = pc.cast(column, pa.large_binary(), safe=False).to_pylist()
            texts = [None if value is None else value.decode(errors="replace") for value in values]
            return pa.array(texts, column.type)
        # A text within a list or struct: such a value cannot be shown.
        places = [place if _is_valid(column.slice(place, 1)) else None for place in range(len(column))]
        return column.take(pa.array(places, pa.int64()))
    return column


def _is_valid(column: Any) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def as_cells(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Rejected rows with columns that a CSV file can hold, which read back as the same values.

    Times are as an event would hold them, bytes are base64, and lists and structs are JSON.
    """
    columns = [_as_cells(column) for column in rows.columns]
    fields = [field.with_type(column.type) for field, column in zip(rows.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _as_cells(column: Any) -> Any:
    if times.is_time(column.type):
        return times.as_text(column)
    if pt.is_floating(column.type):
        # The text of a float32 would be read as another number.
        return column.cast(pa.float64())
    if any(is_plain(column.type) for is_plain in _PLAIN):
        return column
    texts = [None if value is None else _cell(value) for value in map(_json_value, _values(column))]
    return pa.array(texts, pa.string())


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def as_lines(rows: pa.RecordBatch) -> list[bytes]:
    """Rejected rows as JSON objects; what Tandem says of none of them is left out.

    A column of the input without a value is null, so that every line shows all of them. A number that JSON
    does not have is its name as text, such as "NaN".
    """
    columns = [times.as_text(column) if times.is_time(column.type) else column for column in rows.columns]
    values = [list(map(_json_value, _values(column))) for column in columns]
    names = rows.schema.names
    encode = msgspec.json.Encoder(decimal_format="number").encode
    return [
        encode(
            {
                name: value
                for name, value in zip(names, row, strict=True)
                if value is not None or name not in _TAKEN
            }
        )
        for row in zip(*values, strict=True)
    ]


def _values(column: Any) -> list[Any]:
    """A column's values; one that Python has no form for, such as a time before its first year, as text."""
    try:
        return cast("list[Any]", column.to_pylist())
    except (ValueError, OverflowError, pa.ArrowException):
        return [_value(column.slice(place, 1)) for place in range(len(column))]


def _value(one: Any) -> Any:
    try:
        return one[0].as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return one.to_string(skip_new_lines=True)


def _json_value(value: Any) -> Any:
    """A value as msgspec encodes it: it would write null for a number that is not finite."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return value if value.is_finite() else str(value)
    if isinstance(value, list | tuple):
        return list(map(_json_value, value))
    if isinstance(value, dict):
        return {name: _json_value(item) for name, item in value.items()}
    return value
