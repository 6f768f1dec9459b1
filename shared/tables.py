"""The columnar validator: an Arrow record batch to a frame.

A column's value stands for the JSON value that the producer would send for it: null is a missing
field, float32 and decimals are their number, a timestamp is its RFC 3339 text (UTC when it has no
zone). In a text table (a CSV file) shared/cells.py says what a cell stands for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from shared import times
from shared.cells import blank_to_null, read_cell, read_id
from shared.frame import (
    MISSING_CODE,
    PROBLEM_CODE,
    UNKNOWN_CODE,
    VALUE_PROBLEMS,
    Column,
    Frame,
    Parsed,
    check_column,
    without_negative_zero,
)
from shared.schema import (
    EVENT_ID,
    MAX_ID_LENGTH,
    MAX_INT64,
    MIN_INT64,
    OCCURRED_AT,
    Input,
    InputType,
    Reason,
    Rejection,
    Schema,
    detail_for,
    is_rfc3339,
)

Array: TypeAlias = pa.Array
Mask = npt.NDArray[np.bool_]

_MISSING: Final = PROBLEM_CODE[Reason.MISSING_FIELD]
_WRONG_TYPE: Final = PROBLEM_CODE[Reason.WRONG_TYPE]
_OUT_OF_RANGE: Final = PROBLEM_CODE[Reason.OUT_OF_RANGE]
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
            problems.add(2, _time_problems(occurred_at))
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
        ids, found = _read_whole(array) if text and declared == "integer" else _typed_ids(array, declared)
        if array.null_count:
            found[_nulls(array)] = _MISSING if required else 0
        problems.add(place, found)
        return ids

    def _column(
        self, feature: Input, array: Array | None, count: int, text: bool
    ) -> tuple[Column, npt.NDArray[np.int8] | None]:
        """One feature as a frame holds it, and its problems (None when there are none)."""
        if array is None:
            array = pa.nulls(count)
        missing = _nulls(array) if array.null_count else None
        column, wrong = self._convert(feature, array, text)
        if missing is not None and not feature.required:
            column = column.copy()
            column[missing] = _filler(feature)
        found = check_column(feature, column, None if feature.required else missing)
        if wrong is None and (missing is None or not feature.required):
            return column, found
        problems = np.zeros(count, np.int8) if found is None else found
        if wrong is not None:
            problems[wrong] = _WRONG_TYPE
        if missing is not None:
            problems[missing] = _MISSING if feature.required else 0
        return column, problems

    def _convert(self, feature: Input, array: Array, text: bool) -> tuple[Column, Mask | None]:
        """The values as a frame holds them, and where they have the wrong type (None: nowhere)."""
        if feature.type == "category":
            return _codes(array, self._categories[feature.name])
        if feature.type == "string":
            return _strings(array)
        if text:
            return _read_numbers(array, feature.type)
        numeric = _numbers(array) if feature.numeric else _booleans(array)
        return _all_wrong(array, np.float64) if numeric is None else (numeric, None)

    def _refuse_unknown(self, batch: pa.RecordBatch, problems: _Problems, text: bool) -> None:
        for place, name in enumerate(batch.schema.names):
            array = None if name in self._schema.fields else self._find(batch, name, text)
            if array is not None:
                present = ~_nulls(array)
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


def _nulls(array: Array) -> Mask:
    nulls: Mask = pc.is_null(array).to_numpy(zero_copy_only=False)
    return nulls


def _all_wrong(array: Array, dtype: Any) -> tuple[Column, Mask]:
    return np.zeros(len(array), dtype), np.ones(len(array), np.bool_)


def _numbers(array: Array) -> npt.NDArray[np.float64] | None:
    """float64 values (0 for null), or None when the column holds no numbers."""
    if pt.is_decimal(array.type):
        # Through its digits, which are read correctly rounded; a direct cast is not.
        array = array.cast(pa.string()).cast(pa.float64())
    if pt.is_floating(array.type):
        array = array.cast(pa.float64())
    elif not pt.is_integer(array.type):
        return None
    values = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    return without_negative_zero(values.astype(np.float64, copy=False))


def _booleans(array: Array) -> npt.NDArray[np.float64] | None:
    if not pt.is_boolean(array.type):
        return None
    values: npt.NDArray[np.float64] = pc.fill_null(array, False).cast(pa.float64()).to_numpy()
    return values


def _read_numbers(cells: Array, declared: InputType) -> tuple[Column, Mask | None]:
    """Cells of text as float64, and where they cannot be read (None: nowhere)."""
    if declared != "boolean":
        try:
            values = pc.fill_null(cells.cast(pa.float64()), 0).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            pass  # some cell needs a closer look, below
        else:
            # Arrow also reads nan and inf, which are no numbers here.
            if np.isfinite(values).all():
                return without_negative_zero(values), None
    read = [None if cell is None else read_cell(cell, declared) for cell in cells.to_pylist()]
    wrong = np.array([isinstance(value, str) for value in read], np.bool_)
    numbers = [0.0 if value is None or isinstance(value, str) else float(value) for value in read]
    return without_negative_zero(np.array(numbers, np.float64)), wrong


def _read_whole(cells: Array) -> tuple[Array, npt.NDArray[np.int8]]:
    """Cells of text as int64, and the problem of those that are none."""
    read = [None if cell is None else read_id(cell, "integer") for cell in cells.to_pylist()]
    found = np.zeros(len(read), np.int8)
    for row, value in enumerate(read):
        if isinstance(value, str):
            found[row] = _WRONG_TYPE
        elif value is not None and not MIN_INT64 <= value <= MAX_INT64:
            found[row] = _OUT_OF_RANGE
    ids = [None if bad else value for value, bad in zip(read, found.tolist(), strict=True)]
    return pa.array(ids, pa.int64()), found


def _typed_ids(array: Array, declared: InputType | None) -> tuple[Array, npt.NDArray[np.int8]]:
    """Ids of a type that was declared, integers as int64, and the problem of those that are none."""
    count = len(array)
    if not _is_id_type(array.type, declared):
        return pa.nulls(count, pa.string()), np.full(count, _WRONG_TYPE, np.int8)
    found = np.zeros(count, np.int8)
    beyond = None
    if pt.is_uint64(array.type):
        beyond = pc.greater(array, pa.scalar(MAX_INT64, pa.uint64()))
    elif pt.is_string(array.type):
        beyond = pc.greater(pc.utf8_length(array), MAX_ID_LENGTH)
    if beyond is not None:
        found[pc.fill_null(beyond, False).to_numpy(zero_copy_only=False)] = _OUT_OF_RANGE
    return (array.cast(pa.int64(), safe=False) if pt.is_integer(array.type) else array), found


def _is_id_type(kind: pa.DataType, declared: InputType | None) -> bool:
    accepted: dict[InputType | None, Callable[[pa.DataType], bool]] = {
        "integer": pt.is_integer,
        "string": pt.is_string,
        None: lambda kind: pt.is_integer(kind) or pt.is_string(kind),
    }
    return bool(pt.is_null(kind) or accepted[declared](kind))


def _codes(array: Array, categories: Array) -> tuple[Column, Mask | None]:
    """Category codes; 0 stands for null until the caller says what does."""
    if pt.is_null(array.type):
        return np.zeros(len(array), np.int32), None
    if pt.is_dictionary(array.type):
        by_entry = _codes(array.dictionary, categories)[0]
        places = pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)
        codes = by_entry[places] if len(by_entry) else np.zeros(len(array), np.int32)
    elif pt.is_string(array.type):
        found = pc.index_in(array, value_set=categories)
        codes = pc.fill_null(found, UNKNOWN_CODE).to_numpy(zero_copy_only=False)
    else:
        return _all_wrong(array, np.int32)
    if array.null_count:
        codes = codes.copy()
        codes[_nulls(array)] = 0
    return codes, None


def _strings(array: Array) -> tuple[Column, Mask | None]:
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not (pt.is_string(array.type) or pt.is_null(array.type)):
        return _all_wrong(array, object)
    column = np.empty(len(array), dtype=object)
    column[:] = array.to_pylist()
    return column, None


def _time_problems(array: Array) -> npt.NDArray[np.int8]:
    found = np.zeros(len(array), np.int8)
    if pt.is_null(array.type):
        return found
    if pt.is_timestamp(array.type):
        found[~times.has_year(array)] = _WRONG_TYPE
        return found
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not pt.is_string(array.type):
        found[~_nulls(array)] = _WRONG_TYPE
        return found
    wrong = [text is not None and not is_rfc3339(text) for text in array.to_pylist()]
    found[np.array(wrong, np.bool_)] = _WRONG_TYPE
    return found
