"""How a cell of text (a CSV field) is read by its declared type: one rule for batch and producer.

A blank cell is a missing field. A number may have spaces around it; `1,5`, `nan` and `inf` are no numbers.
A boolean is `true` or `false` in any case. Categories and strings are taken as they stand.
"""

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shared.schema import MAX_INT64, MIN_INT64, InputType

_NUMBER: Final = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_WHOLE: Final = re.compile(r"\s*[+-]?\d{1,19}\s*", re.ASCII)
_CANONICAL_WHOLE: Final = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}


def read_cell(text: str, declared: InputType | None) -> float | bool | str | None:
    """The JSON value that a cell stands for.

    Args:
        text: The cell.
        declared: Its input's type; None for a field that is not declared, which stays text.

    Returns:
        None for a blank cell; the text itself when it cannot be read as its type, so that it is then
        rejected for its type as it would be in an event.
    """
    if not text or text.isspace():
        return None
    if declared in ("number", "integer"):
        return float(text) if _NUMBER.fullmatch(text) else text
    if declared == "boolean":
        return _BOOLEANS.get(text.strip().lower(), text)
    return text


def read_id(text: str, declared: InputType | None) -> int | str | None:
    """The customer id or event id that a cell stands for.

    Args:
        text: The cell.
        declared: `integer`, `string`, or None when either is accepted: then a text that is the usual
            form of an int64 is one.
    """
    if not text or text.isspace():
        return None
    if declared == "integer":
        return int(text) if _WHOLE.fullmatch(text) else text
    if declared is None and _CANONICAL_WHOLE.fullmatch(text) and MIN_INT64 <= int(text) <= MAX_INT64:
        return int(text)
    return text


def blank_to_null(cells: pa.StringArray) -> pa.StringArray:
    """The cells with blank ones as null."""
    blank = pc.or_kleene(pc.equal(cells, ""), pc.utf8_is_space(cells))
    if not pc.any(blank).as_py():
        return cells
    return pc.if_else(blank, pa.scalar(None, pa.string()), cells)
