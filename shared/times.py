"""Dates and times of a typed column as the text that an event would hold."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

# The first and the last second that RFC 3339 can write, since 1970: the years 1 to 9999.
_FIRST: Final = -62_135_596_800
_LAST: Final = 253_402_300_799
_TICKS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def is_time(kind: pa.DataType) -> bool:
    """Whether a column type is a date, a time of day, or both."""
    return bool(pt.is_timestamp(kind) or pt.is_date(kind) or pt.is_time(kind))


def as_text(array: pa.Array) -> pa.StringArray:
    """The values in ISO form; timestamps as RFC 3339 in UTC, which those without a zone are taken for.

    Args:
        array: A column for whose type `is_time` holds.
    """
    if pt.is_date(array.type):
        return array.cast(pa.date32(), safe=False).cast(pa.string())
    if pt.is_time(array.type):
        return array.cast(pa.string())
    # Without its zone a timestamp is in UTC; no time zone database is needed.
    text = array.cast(pa.timestamp(array.type.unit)).cast(pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "Z", "")


def has_year(array: pa.TimestampArray) -> npt.NDArray[np.bool_]:
    """Where a timestamp is null or in a year that RFC 3339 can write."""
    ticks = _TICKS[array.type.unit]
    values: npt.NDArray[np.int64] = pc.fill_null(array.cast(pa.int64()), 0).to_numpy()
    return (values >= _FIRST * ticks) & (values < (_LAST + 1) * ticks)
