"""How cells of text are read, and the law that Arrow's quick cast reads nothing that they refuse."""

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.cells import blank_to_null, read_cell, read_id
from shared.frame import Parsed
from shared.schema import Schema
from shared.tables import TableParser

NUMBER = TableParser(Schema.model_validate({"inputs": [{"name": "x", "type": "number"}]}))


@pytest.mark.parametrize(
    ("cell", "declared", "value"),
    [
        ("", "number", None),
        (" \t\u2003", "string", None),
        ("12", "number", 12.0),
        (" +1.5e3 ", "integer", 1500.0),
        ("1,5", "number", "1,5"),
        ("nan", "number", "nan"),
        ("٣", "integer", "٣"),
        ("TRUE", "boolean", True),
        (" false", "boolean", False),
        ("1", "boolean", "1"),
        ("1", "category", "1"),
        (" One year", "category", " One year"),
        ("12", None, "12"),
    ],
)
def test_a_cell_stands_for_a_json_value(cell: str, declared: Any, value: Any) -> None:
    read = read_cell(cell, declared)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("cell", "declared", "value"),
    [
        ("", None, None),
        ("7", None, 7),
        ("-7", None, -7),
        ("007", None, "007"),
        ("+7", None, "+7"),
        ("-0", None, "-0"),
        (" 7", None, " 7"),
        ("9223372036854775807", None, 2**63 - 1),
        ("9223372036854775808", None, "9223372036854775808"),
        ("007", "integer", 7),
        (" +7 ", "integer", 7),
        ("7.0", "integer", "7.0"),
        ("7", "string", "7"),
    ],
)
def test_a_cell_stands_for_an_id(cell: str, declared: Any, value: Any) -> None:
    read = read_id(cell, declared)
    assert (read, type(read)) == (value, type(value))


def test_blank_cells_become_null() -> None:
    cells = pa.array(["", " ", "\t\n", "\u2003", "0", None, " x "])
    assert blank_to_null(cells).to_pylist() == [None, None, None, None, "0", None, " x "]
    whole = pa.array(["a", "b"])
    assert blank_to_null(whole) is whole


CELLS = (
    st.text(max_size=6)
    | st.text("0123456789+-.eE_xnaiINFty, \t\x0b\x0c\x1c\x85\xa0\u2003\u0663\uff11", max_size=12)
    | st.floats().map(repr)
    | st.from_regex(r"\A\s*[+-]?[0-9]{0,20}\.?[0-9]{0,20}([eE][+-]?[0-9]{1,3})?\s*\Z")
)


def parse(cells: list[str]) -> Parsed:
    batch = pa.record_batch({"customer_id": ["c"] * len(cells), "x": pa.array(cells, pa.string())})
    return NUMBER.parse(batch, text=True)


@given(CELLS.filter(lambda cell: cell.isascii() or cell.encode("utf-8", "ignore").decode() == cell))
@example("\x1c1")
@example("1\x00")
@example("\xa01")
@example("infinity")
@example("0x1p3")
@settings(max_examples=600, deadline=None)
def test_the_quick_cast_of_a_column_reads_what_the_cell_s_own_rule_reads(cell: str) -> None:
    value = read_cell(cell, "number")
    readable = isinstance(value, float) and math.isfinite(value)
    alone = parse([cell])
    assert alone.frame.columns["x"].tolist() == ([value] if readable else [])
    # Beside a cell that the quick cast refuses, each cell is read by the rule itself.
    together = parse([cell, "odd"])
    assert together.frame.columns["x"].tobytes() == alone.frame.columns["x"].tobytes()
    assert together.rejections[:1][0].reason == (alone.rejections or together.rejections)[0].reason
