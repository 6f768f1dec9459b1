"""The frame of columns in which both paths meet: nothing is scored by another route.

A single event is a frame of one row. Every numeric column is float64 without negative zeros, every
category an int32 code, so that a model sees the same bits whichever path the row came by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.schema import Input, Reason, Rejection

Column = npt.NDArray[Any]
IdValues: TypeAlias = Sequence[int | str | None] | pa.Array

# The reasons that a typed value can be refused for, by their codes in a column of problems (0 is none).
VALUE_PROBLEMS = (
    None,
    Reason.MISSING_FIELD,
    Reason.WRONG_TYPE,
    Reason.NOT_FINITE,
    Reason.OUT_OF_RANGE,
    Reason.UNKNOWN_CATEGORY,
)
PROBLEM_CODE = {reason: code for code, reason in enumerate(VALUE_PROBLEMS)}


#: Codes of a category column that stand for no declared value.
UNKNOWN_CODE: Final = -1
MISSING_CODE: Final = -2


@dataclass(frozen=True, slots=True)
class Frame:
    """Valid rows as columns, in the declared order of the features.

    Attributes:
        count: The number of rows.
        columns: One array of `count` values a feature: float64 for numbers, integers and booleans,
            int32 codes for categories (their place in the declared values), objects for strings. Where
            an input may be missing, NaN or MISSING_CODE stands for it.
    """

    count: int
    columns: Mapping[str, Column]

    def slice(self, start: int, stop: int) -> "Frame":
        """The rows from `start` up to, not including, `stop`."""
        columns = {name: column[start:stop] for name, column in self.columns.items()}
        return Frame(stop - start, columns)

    def take(self, rows: npt.NDArray[Any]) -> "Frame":
        """The rows that an array of indices or a boolean mask selects."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        count = int(np.count_nonzero(rows)) if rows.dtype == np.bool_ else len(rows)
        return Frame(count, columns)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a validator made of a batch: a frame of the valid rows, and a rejection for each other row.

    Attributes:
        total: How many rows came in; `frame.count + len(rejections)`.
        rows: The index in the batch of each valid row, ascending.
        customer_ids: The key of each valid row.
        event_ids: The event id of each valid row (None where it has none); None when no row has one.
        frame: The features of the valid rows.
        rejections: The others, ascending by row.
    """

    total: int
    rows: npt.NDArray[np.int64]
    customer_ids: IdValues
    event_ids: IdValues | None
    frame: Frame
    rejections: tuple[Rejection, ...]

    def valid(self, start: int, stop: int) -> "Parsed":
        """The valid rows from the place `start` up to, not including, `stop`; they keep their index."""
        frame = self.frame.slice(start, stop)
        event_ids = None if self.event_ids is None else self.event_ids[start:stop]
        return Parsed(frame.count, self.rows[start:stop], self.customer_ids[start:stop], event_ids, frame, ())


def check_column(
    declared: Input, column: Column, missing: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int8] | None:
    """Where values of the right type break their declaration.

    Args:
        declared: The input that the column belongs to.
        column: Its values as a frame holds them.
        missing: Where a value is missing and may be, so that there is nothing to check; None: nowhere.

    Returns:
        A code of VALUE_PROBLEMS a row, or None when every value is allowed.
    """
    if declared.numeric:
        found = _check_numbers(declared, column)
        if found is not None and missing is not None:
            found[missing] = 0
        return found
    if declared.type == "category" and (column == UNKNOWN_CODE).any():
        unknown = column == UNKNOWN_CODE
        return np.where(unknown, np.int8(PROBLEM_CODE[Reason.UNKNOWN_CATEGORY]), np.int8(0))
    return None


def _check_numbers(declared: Input, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int8] | None:
    low, high = declared.lowest, declared.highest
    finite = np.isfinite(values)
    in_range = np.ones(len(values), dtype=np.bool_)
    if low is not None:
        in_range &= values >= low
    if high is not None:
        in_range &= values <= high
    whole = values == np.floor(values) if declared.type == "integer" else in_range
    if (finite & in_range & whole).all():
        return None
    # Of several problems the one that pydantic finds first: finite, then in range, then whole.
    problems = np.where(whole, np.int8(0), np.int8(PROBLEM_CODE[Reason.WRONG_TYPE]))
    problems[~in_range] = PROBLEM_CODE[Reason.OUT_OF_RANGE]
    problems[~finite] = PROBLEM_CODE[Reason.NOT_FINITE]
    return problems


def without_negative_zero(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The same numbers with -0.0 as 0.0: JSON's `-0` is an integer zero, a CSV's or Parquet's is not."""
    return values + 0.0
