"""The columnar validator: an Arrow record batch to a frame.

A column's value stands for the JSON value that the producer would send for it: null is a missing
field, float32 and decimals are their number, a timestamp is its RFC 3339 text (UTC when it has no
zone). In a text table (a CSV file) shared/cells.py says what a cell stands for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from shared import times
from shared.cells import blank_to_null, read_cell, read_id
from shared.conversions import (
    WRONG_TYPE,
    Array,
    Mask,
    all_wrong,
    booleans,
    category_codes,
    nulls,
    numbers,
    read_numbers,
    read_whole,
    strings,
    time_problems,
    typed_ids,
)
from shared.frame import (
    MISSING_CODE,
    PROBLEM_CODE,
    VALUE_PROBLEMS,
    Column,
    Frame,
    Parsed,
    check_column,
)
from shared.lean import left_out
from shared.schema import (
    EVENT_ID,
    OCCURRED_AT,
    Input,
    InputType,
    Reason,
    Rejection,
    Schema,
    detail_for,
)

_MISSING: Final = PROBLEM_CODE[Reason.MISSING_FIELD]
_UNKNOWN_FIELD: Final = len(VALUE_PROBLEMS)


@dataclass(slots=True)
class _Problems:
    """The first problem of each row, in declared order of the fields."""

    codes: npt.NDArray[np.int8]
    places: npt.NDArray[np.int32]

    def add(self, place: int, found: npt.NDArray[np.int8]) -> None:
        """Notes the problems found in one field, for rows that have none yet."""
        new = (self.codes == 0) & (found != 0)
        self.codes[new] = found[new]
        self.places[new] = place


class TableParser:
    """Validates record batches against one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        # Arrow looks for pandas once, when it is given its first value.
        with left_out("pandas"):
            pa.scalar(0)
        self._categories = {
            feature.name: pa.array(feature.values, pa.string())
            for feature in schema.features
            if feature.type == "category"
        }

    def parse(self, batch: pa.RecordBatch, *, text: bool = False) -> Parsed:
        """Splits rows into valid ones, as a frame, and rejections.

        Args:
            batch: The rows.
            text: Whether the columns are strings that were never typed, as a CSV file's.
        """
        count = batch.num_rows
        problems = _Problems(np.zeros(count, np.int8), np.zeros(count, np.int32))
        key, event_id, occurred_at = (self._find(batch, name, text) for name in self._schema.fields[:3])
        customer_ids = self._ids(problems, 0, key, self._schema.key_type, text=text, required=True)
        event_ids = self._ids(problems, 1, event_id, None, text=text, required=False)
        if occurred_at is not None:
            problems.add(2, time_problems(occurred_at))
        columns: dict[str, Column] = {}
        for place, feature in enumerate(self._schema.features, 3):
            column, found = self._column(feature, self._find(batch, feature.name, text), count, text)
            columns[feature.name] = column
            if found is not None:
                problems.add(place, found)
        if self._schema.strict:
            self._refuse_unknown(batch, problems, text)
        return self._parsed(batch, text, problems, customer_ids, event_ids, columns)

    def _find(self, batch: pa.RecordBatch, name: str, text: bool) -> Array | None:
        # Of a repeated name the last counts, as of a repeated key in an event.
        places = batch.schema.get_all_field_indices(name)
        if not places:
            return None
        array: Array = batch.column(places[-1])
        if pt.is_dictionary(array.type) and not _is_plain_dictionary(array):
            array = array.dictionary_decode()
        if pt.is_large_string(array.type) or pt.is_string_view(array.type):
            array = array.cast(pa.string())
        if times.is_time(array.type) and not (name == OCCURRED_AT and pt.is_timestamp(array.type)):
            array = times.as_text(array)
        return blank_to_null(array) if text else array

    def _ids(
        self,
        problems: _Problems,
        place: int,
        array: Array | None,
        declared: InputType | None,
        *,
        text: bool,
        required: bool,
    ) -> Array:
        count = len(problems.codes)
        if array is None:
            if required:
                problems.add(place, np.full(count, _MISSING, np.int8))
            return pa.nulls(count, pa.string())
        if pt.is_dictionary(array.type):
            array = array.dictionary_decode()
        ids, found = read_whole(array) if text and declared == "integer" else typed_ids(array, declared)
        if array.null_count:
            found[nulls(array)] = _MISSING if required else 0
        problems.add(place, found)
        return ids

    def _column(
        self, feature: Input, array: Array | None, count: int, text: bool
    ) -> tuple[Column, npt.NDArray[np.int8] | None]:
        """One feature as a frame holds it, and its problems (None when there are none)."""
        if array is None:
            array = pa.nulls(count)
        missing = nulls(array) if array.null_count else None
        column, wrong = self._convert(feature, array, text)
        if missing is not None and not feature.required:
            column = column.copy()
            column[missing] = _filler(feature)
        found = check_column(feature, column, None if feature.required else missing)
        if wrong is None and (missing is None or not feature.required):
            return column, found
        problems = np.zeros(count, np.int8) if found is None else found
        if wrong is not None:
            problems[wrong] = WRONG_TYPE
        if missing is not None:
            problems[missing] = _MISSING if feature.required else 0
        return column, problems

    def _convert(self, feature: Input, array: Array, text: bool) -> tuple[Column, Mask | None]:
        """The values as a frame holds them, and where they have the wrong type (None: nowhere)."""
        if feature.type == "category":
            return category_codes(array, self._categories[feature.name])
        if feature.type == "string":
            return strings(array)
        if text:
            return read_numbers(array, feature.type)
        numeric = numbers(array) if feature.numeric else booleans(array)
        return all_wrong(array, np.float64) if numeric is None else (numeric, None)

    def _refuse_unknown(self, batch: pa.RecordBatch, problems: _Problems, text: bool) -> None:
        for place, name in enumerate(batch.schema.names):
            array = None if name in self._schema.fields else self._find(batch, name, text)
            if array is not None:
                present = ~nulls(array)
                code = present.astype(np.int8) * np.int8(_UNKNOWN_FIELD)
                problems.add(len(self._schema.fields) + place, code)

    def _parsed(
        self,
        batch: pa.RecordBatch,
        text: bool,
        problems: _Problems,
        customer_ids: Array,
        event_ids: Array,
        columns: dict[str, Column],
    ) -> Parsed:
        count = batch.num_rows
        frame = Frame(count, columns)
        rows = np.arange(count, dtype=np.int64)
        rejections: tuple[Rejection, ...] = ()
        bad = problems.codes != 0
        if bad.any():
            # Each field is read once, however many rows it rejects.
            find = cache(lambda name: self._find(batch, name, text))
            rejections = tuple(
                self._rejection(batch, find, text, problems, row) for row in np.flatnonzero(bad).tolist()
            )
            keep = ~bad
            mask = pa.array(keep)
            frame, rows = frame.take(keep), rows[keep]
            customer_ids, event_ids = customer_ids.filter(mask), event_ids.filter(mask)
        has_event_ids = event_ids.null_count < len(event_ids)
        return Parsed(count, rows, customer_ids, event_ids if has_event_ids else None, frame, rejections)

    def _rejection(
        self,
        batch: pa.RecordBatch,
        find: Callable[[str], Array | None],
        text: bool,
        problems: _Problems,
        row: int,
    ) -> Rejection:
        code, place = int(problems.codes[row]), int(problems.places[row])
        known = len(self._schema.fields)
        if code == _UNKNOWN_FIELD:
            reason, field = Reason.UNKNOWN_FIELD, batch.schema.names[place - known]
        else:
            reason, field = cast("Reason", VALUE_PROBLEMS[code]), self._schema.fields[place]
        array = find(field)
        value = None if array is None else _value(array, row)
        if text and isinstance(value, str):
            value = self._cell(field, value)
        return Rejection(row, reason, field, detail_for(self._schema, field, reason, value))

    def _cell(self, field: str, text: str) -> object:
        if field in (self._schema.key, EVENT_ID):
            return read_id(text, self._schema.key_type if field == self._schema.key else None)
        declared = next((item.type for item in self._schema.features if item.name == field), None)
        return read_cell(text, declared)


def _is_plain_dictionary(array: Array) -> bool:
    """Whether a dictionary holds texts alone; a null among them would not show in the null count."""
    return pt.is_string(array.type.value_type) and not array.dictionary.null_count


def _value(array: Array, row: int) -> object:
    """A value for a person to read."""
    try:
        value: object = array[row].as_py()
    except (ValueError, OverflowError):  # Python has no nanoseconds, and no year 10000
        value = array.slice(row, 1).to_string(skip_new_lines=True)
    return value


def _filler(feature: Input) -> Any:
    """What stands in a frame for a value that is missing and may be."""
    if feature.type == "category":
        values = feature.values or ()
        return MISSING_CODE if feature.default is None else values.index(str(feature.default))
    return np.nan if feature.default is None else feature.default
