"""Arrow columns to what a frame holds: values, and where they are of the wrong type or out of range."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from shared import times
from shared.cells import read_cell, read_id
from shared.frame import PROBLEM_CODE, UNKNOWN_CODE, Column, without_negative_zero
from shared.schema import MAX_ID_LENGTH, MAX_INT64, MIN_INT64, InputType, Reason, is_rfc3339

Array: TypeAlias = pa.Array
Mask = npt.NDArray[np.bool_]

WRONG_TYPE: Final = PROBLEM_CODE[Reason.WRONG_TYPE]
OUT_OF_RANGE: Final = PROBLEM_CODE[Reason.OUT_OF_RANGE]


def nulls(array: Array) -> Mask:
    """Where a column has no value."""
    missing: Mask = pc.is_null(array).to_numpy(zero_copy_only=False)
    return missing


def all_wrong(array: Array, dtype: Any) -> tuple[Column, Mask]:
    """The answer for a column whose type fits no value."""
    return np.zeros(len(array), dtype), np.ones(len(array), np.bool_)


def numbers(array: Array) -> npt.NDArray[np.float64] | None:
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


def booleans(array: Array) -> npt.NDArray[np.float64] | None:
    """1 for true and 0 for false (and for null), or None when the column holds no booleans."""
    if not pt.is_boolean(array.type):
        return None
    values: npt.NDArray[np.float64] = pc.fill_null(array, False).cast(pa.float64()).to_numpy()
    return values


def read_numbers(cells: Array, declared: InputType) -> tuple[Column, Mask | None]:
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


def read_whole(cells: Array) -> tuple[Array, npt.NDArray[np.int8]]:
    """Cells of text as int64, and the problem of those that are none."""
    read = [None if cell is None else read_id(cell, "integer") for cell in cells.to_pylist()]
    found = np.zeros(len(read), np.int8)
    for row, value in enumerate(read):
        if isinstance(value, str):
            found[row] = WRONG_TYPE
        elif value is not None and not MIN_INT64 <= value <= MAX_INT64:
            found[row] = OUT_OF_RANGE
    ids = [None if bad else value for value, bad in zip(read, found.tolist(), strict=True)]
    return pa.array(ids, pa.int64()), found


def typed_ids(array: Array, declared: InputType | None) -> tuple[Array, npt.NDArray[np.int8]]:
    """Ids of a type that was declared, integers as int64, and the problem of those that are none."""
    count = len(array)
    if not _is_id_type(array.type, declared):
        return pa.nulls(count, pa.string()), np.full(count, WRONG_TYPE, np.int8)
    found = np.zeros(count, np.int8)
    beyond = None
    if pt.is_uint64(array.type):
        beyond = pc.greater(array, pa.scalar(MAX_INT64, pa.uint64()))
    elif pt.is_string(array.type):
        beyond = pc.greater(pc.utf8_length(array), MAX_ID_LENGTH)
    if beyond is not None:
        found[pc.fill_null(beyond, False).to_numpy(zero_copy_only=False)] = OUT_OF_RANGE
    return (array.cast(pa.int64(), safe=False) if pt.is_integer(array.type) else array), found


def _is_id_type(kind: pa.DataType, declared: InputType | None) -> bool:
    accepted: dict[InputType | None, Callable[[pa.DataType], bool]] = {
        "integer": pt.is_integer,
        "string": pt.is_string,
        None: lambda kind: pt.is_integer(kind) or pt.is_string(kind),
    }
    return bool(pt.is_null(kind) or accepted[declared](kind))


def category_codes(array: Array, categories: Array) -> tuple[Column, Mask | None]:
    """Category codes; 0 stands for null until the caller says what does."""
    if pt.is_null(array.type):
        return np.zeros(len(array), np.int32), None
    if pt.is_dictionary(array.type):
        by_entry = category_codes(array.dictionary, categories)[0]
        places = pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)
        codes = by_entry[places] if len(by_entry) else np.zeros(len(array), np.int32)
    elif pt.is_string(array.type):
        found = pc.index_in(array, value_set=categories)
        codes = pc.fill_null(found, UNKNOWN_CODE).to_numpy(zero_copy_only=False)
    else:
        return all_wrong(array, np.int32)
    if array.null_count:
        codes = codes.copy()
        codes[nulls(array)] = 0
    return codes, None


def strings(array: Array) -> tuple[Column, Mask | None]:
    """Texts as Python objects, and where there are none (None: nowhere)."""
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not (pt.is_string(array.type) or pt.is_null(array.type)):
        return all_wrong(array, object)
    column = np.empty(len(array), dtype=object)
    column[:] = array.to_pylist()
    return column, None


def time_problems(array: Array) -> npt.NDArray[np.int8]:
    """Where a column of times holds something else; null is no problem."""
    found = np.zeros(len(array), np.int8)
    if pt.is_null(array.type):
        return found
    if pt.is_timestamp(array.type):
        found[~times.has_year(array)] = WRONG_TYPE
        return found
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not pt.is_string(array.type):
        found[~nulls(array)] = WRONG_TYPE
        return found
    wrong = [text is not None and not is_rfc3339(text) for text in array.to_pylist()]
    found[np.array(wrong, np.bool_)] = WRONG_TYPE
    return found
