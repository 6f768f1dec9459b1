"""Invalid UTF-8 in columns: the rows that hold it are rejected, the rest goes on."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from shared.schema import Reason, Rejection

Rows = npt.NDArray[np.int64]
Split = tuple[pa.RecordBatch, Rows, list[Rejection]]

_TEXT: Final = (pt.is_string, pt.is_large_string, pt.is_string_view)


def split_invalid_utf8(batch: pa.RecordBatch, rows: Rows) -> Split:
    """Takes out the rows with a text that is not valid UTF-8, which Arrow does not check when it reads.

    Args:
        batch: Any columns; only those of text are looked at.
        rows: The row number in the file of each row.

    Returns:
        The other rows, their numbers, and a rejection for each row taken out.
    """
    columns, damaged = list(batch.columns), {}
    for place, column in enumerate(columns):
        texts = column.dictionary if pt.is_dictionary(column.type) else column
        if not any(is_text(texts.type) for is_text in _TEXT):
            continue
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid:
            binary = _as_binary(column)
            columns[place] = binary
            damaged[place] = np.array([not _is_utf8(text) for text in binary.to_pylist()], np.bool_)
    if not damaged:
        return batch, rows, []
    names = batch.schema.names
    valid, valid_rows, rejections = split_marked(
        pa.RecordBatch.from_arrays(columns, names),
        rows,
        {names[place]: bad for place, bad in damaged.items()},
    )
    texts = [
        column.cast(pa.string()) if place in damaged else column for place, column in enumerate(valid.columns)
    ]
    return pa.RecordBatch.from_arrays(texts, names), valid_rows, rejections


def split_marked(batch: pa.RecordBatch, rows: Rows, damaged: dict[str, npt.NDArray[np.bool_]]) -> Split:
    """Takes out the rows that are damaged in any of the named columns.

    Args:
        batch: The rows.
        rows: The row number in the file of each row.
        damaged: By column, where its texts are not valid UTF-8.
    """
    bad = np.logical_or.reduce(list(damaged.values()))
    rejections = []
    for index in np.flatnonzero(bad).tolist():
        field = next(name for name, marks in damaged.items() if marks[index])
        detail = f"{field} is not valid UTF-8"
        rejections.append(Rejection(int(rows[index]), Reason.INVALID_UTF8, field, detail))
    return batch.filter(pa.array(~bad)), rows[~bad], rejections


def _as_binary(column: Any) -> Any:
    plain = column.dictionary_decode() if pt.is_dictionary(column.type) else column
    return pc.cast(plain, pa.binary(), safe=False)


def _is_utf8(text: bytes | None) -> bool:
    try:
        return text is None or text.decode() is not None
    except UnicodeDecodeError:
        return False
