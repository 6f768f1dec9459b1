"""What a sample's columns hold: types, categories and blanks, found by looking at every value."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from shared.cells import blank_to_null, read_cell, read_id
from shared.errors import InputError
from shared.files import format_of, read_file
from shared.schema import MAX_SAFE_INTEGER, InputType, Schema

#: Rows that are read of a sample at most: enough to see its categories, and soon scored.
MOST_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Table:
    """A sample of rows.

    Attributes:
        name: What it is called in sentences.
        batch: The rows.
        text: Whether the columns hold text that was never typed, as those of a CSV file.
    """

    name: str
    batch: pa.RecordBatch
    text: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.batch.schema.names)


@dataclass(frozen=True, slots=True)
class Facts:
    """What one column of a sample holds.

    Attributes:
        type: The narrowest type that takes every value; None for one that no input can have, or no value.
        values: The different texts of a `string`, sorted; empty for other types.
        missing: How many values are blank or null.
        rows: How many rows there are.
        example: A value, for sentences.
        distinct: How many different values there are.
    """

    type: InputType | None
    values: tuple[str, ...]
    missing: int
    rows: int
    example: object
    distinct: int


def read_table(path: Path, delimiter: str = ",") -> Table:
    """Reads the first rows of a file of columns.

    Raises:
        InputError: It cannot be read, holds no row, or holds JSON events.
    """
    if format_of(path).events:
        raise InputError(f"{path}: a sample has columns", hint="Give CSV, Parquet or Arrow.")
    chunks = read_file(path, delimiter=delimiter)
    batches, text, rows = [], False, 0
    for chunk in islice(chunks, MOST_ROWS):
        if chunk.batch is not None:
            batches.append(chunk.batch)
            text, rows = chunk.text, rows + chunk.batch.num_rows
        if rows >= MOST_ROWS:
            break
    if not rows:
        raise InputError(f"{path}: the sample holds no rows", hint="Give some rows that the model can score.")
    return Table(path.name, one_batch(batches).slice(0, MOST_ROWS), text)


def with_key(table: Table, schema: Schema) -> Table:
    """The sample with customers' ids; where it has none, row numbers: no score rests on one."""
    if schema.key in table.columns:
        return table
    numbers = pa.array(range(1, table.batch.num_rows + 1), pa.int64())
    ids = numbers.cast(pa.string()) if table.text or schema.key_type == "string" else numbers
    batch = pa.RecordBatch.from_arrays([ids, *table.batch.columns], [schema.key, *table.columns])
    return replace(table, batch=batch)


def one_batch(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Several batches of one schema as one, dictionaries as plain values."""
    table = pa.Table.from_batches(list(batches))
    plain = [
        column.cast(column.type.value_type) if pt.is_dictionary(column.type) else column
        for column in table.columns
    ]
    arrays = [column.combine_chunks() for column in plain]
    arrays = [array.chunk(0) if isinstance(array, pa.ChunkedArray) else array for array in arrays]
    return pa.RecordBatch.from_arrays(arrays, table.column_names)


def look_at(table: Table, name: str) -> Facts:
    """What a column holds.

    Args:
        table: The sample.
        name: A column of it.
    """
    array = table.batch.column(table.columns.index(name))
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pt.is_large_string(array.type) or pt.is_string_view(array.type):
        array = array.cast(pa.string())
    if table.text:
        array = blank_to_null(array)
    if pt.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    different = pc.unique(array.drop_null())
    example = different[0].as_py() if len(different) else None
    kind = _type_of_cells(different.to_pylist()) if table.text else _type_of_array(different)
    values = tuple(sorted(different.to_pylist())) if kind == "string" else ()
    return Facts(kind, values, array.null_count, len(array), example, len(different))


def looks_like_key(facts: Facts) -> bool:
    """Whether a column can hold customers' ids: whole numbers or texts, one in every row."""
    return facts.type in ("integer", "string") and facts.missing == 0


def _type_of_array(different: pa.Array) -> InputType | None:
    kind = different.type
    if not len(different):
        return None
    if pt.is_boolean(kind):
        return "boolean"
    if pt.is_integer(kind):
        return "integer" if _safe(pc.min(different).as_py(), pc.max(different).as_py()) else "number"
    if pt.is_floating(kind) or pt.is_decimal(kind):
        return "number"
    return "string" if pt.is_string(kind) else None


def _type_of_cells(different: list[str]) -> InputType | None:
    """The type of a CSV file's column: a whole number is one that is written without a point."""
    if not different:
        return None
    if all(isinstance(read_cell(cell, "boolean"), bool) for cell in different):
        return "boolean"
    numbers = [read_cell(cell, "number") for cell in different]
    if not all(isinstance(number, float) for number in numbers):
        return "string"
    whole = all(isinstance(read_id(cell, "integer"), int) for cell in different)
    return "integer" if whole and _safe(*map(float, different)) else "number"


def _safe(*numbers: float) -> bool:
    return all(abs(number) <= MAX_SAFE_INTEGER for number in numbers)
