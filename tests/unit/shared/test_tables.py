"""Every Arrow type that stands for a JSON value is read as that value; any other rejects its rows."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared.frame import Parsed
from shared.predictions import as_list
from shared.schema import Input, Reason, Schema
from shared.tables import TableParser

CATEGORY = {"type": "category", "values": ["A", "B"]}


def parse(column: pa.Array | None, declared: dict[str, Any], *, text: bool = False) -> Parsed:
    """A table of one declared column `x`, and the key."""
    schema = Schema(inputs=(Input.model_validate({"name": "x", **declared}),))
    count = 1 if column is None else len(column)
    columns = {"customer_id": pa.array([str(row) for row in range(count)], pa.string())}
    batch = pa.record_batch(columns if column is None else columns | {"x": column})
    return TableParser(schema).parse(batch, text=text)


def values(parsed: Parsed) -> list[Any]:
    return list(parsed.frame.columns["x"].tolist())


def reasons(parsed: Parsed) -> list[tuple[int, str, str | None]]:
    return [(rejection.row, str(rejection.reason), rejection.field) for rejection in parsed.rejections]


NUMBERS = [
    *((kind, [1, None, 100]) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
    *((kind, [1, None, 100]) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
    (pa.uint64(), [2**64 - 1]),
    (pa.int64(), [2**53 + 1, -(2**63)]),
    *((kind, [0.5, None, -100.0]) for kind in (pa.float16(), pa.float32(), pa.float64())),
    (pa.float32(), [0.10000000149011612]),
    (pa.decimal128(10, 2), [Decimal("70.35"), None]),
    (pa.decimal128(38, 37), [Decimal("0.1000000000000000055511151231257827021")]),
    (pa.decimal128(5, -3), [Decimal("12E3")]),
    (pa.decimal256(76, 70), [Decimal("70.35"), None]),
    (pa.dictionary(pa.int8(), pa.int64()), [5, None, 5]),
    (pa.dictionary(pa.int8(), pa.float64()), [0.5]),
    (pa.null(), [None, None]),
]


@pytest.mark.parametrize(("kind", "given"), NUMBERS, ids=str)
def test_a_number_of_any_width_is_its_float64(kind: pa.DataType, given: list[Any]) -> None:
    array = (
        pa.array(given, kind.value_type).dictionary_encode()
        if pa.types.is_dictionary(kind)
        else pa.array(given, kind)
    )
    parsed = parse(array, {"type": "number", "default": -1})
    assert values(parsed) == [-1.0 if value is None else float(value) for value in given]
    assert parsed.frame.columns["x"].dtype == np.float64
    required = parse(array, {"type": "number"})
    assert values(required) == [float(value) for value in given if value is not None]
    missing = [row for row, value in enumerate(given) if value is None]
    assert reasons(required) == [(row, "missing_field", "x") for row in missing]


def test_decimals_are_rounded_to_the_nearest_float64() -> None:
    texts = ["0.1", "70.35", "123456789012345678901234567890.12345678", "-0.00000001"]
    parsed = parse(pa.array([Decimal(text) for text in texts], pa.decimal256(60, 20)), {"type": "number"})
    assert values(parsed) == [float(text) for text in texts]


STRINGS: list[tuple[str, pa.Array]] = [
    ("string", pa.array(["A", None, "Z"], pa.string())),
    ("large_string", pa.array(["A", None, "Z"], pa.large_string())),
    ("string_view", pa.array(["A", None, "Z"], pa.string_view())),
    ("dictionary", pa.array(["A", None, "Z"]).dictionary_encode()),
    ("dictionary of large_string", pa.array(["A", None, "Z"], pa.large_string()).dictionary_encode()),
    (
        "dictionary holding a null",
        pa.DictionaryArray.from_arrays(pa.array([1, 0, 2], pa.int8()), pa.array([None, "A", "Z"])),
    ),
]


@pytest.mark.parametrize(("_name", "array"), STRINGS, ids=lambda part: part if isinstance(part, str) else "")
def test_a_category_is_read_from_any_column_of_text(_name: str, array: pa.Array) -> None:
    parsed = parse(array, CATEGORY)
    assert (parsed.rows.tolist(), values(parsed)) == ([0], [0])
    assert reasons(parsed) == [(1, "missing_field", "x"), (2, "unknown_category", "x")]
    assert parsed.rejections[1].detail == "x is 'Z', which is not one of: 'A', 'B'"
    defaulted = parse(array, CATEGORY | {"default": "B"})
    assert (defaulted.rows.tolist(), values(defaulted)) == ([0, 1], [0, 1])


@pytest.mark.parametrize(("_name", "array"), STRINGS, ids=lambda part: part if isinstance(part, str) else "")
def test_a_string_is_read_from_any_column_of_text(_name: str, array: pa.Array) -> None:
    assert values(parse(array, {"type": "string", "default": "-"})) == ["A", "-", "Z"]
    assert reasons(parse(array, {"type": "string"})) == [(1, "missing_field", "x")]


def test_booleans_are_zero_and_one() -> None:
    assert values(parse(pa.array([True, False, None]), {"type": "boolean", "default": True})) == [1, 0, 1]


WRONG = [
    (pa.array([{"a": 1}, None]), "{'a': 1}"),
    (pa.array([[1], None]), "[1]"),
    (pa.array([b"\xff", None]), "b'\\xff'"),
    (pa.array([b"x", None], pa.binary_view()), "b'x'"),
    (pa.array([1, None], pa.duration("s")), "datetime.timedelta(seconds=1)"),
]
KINDS: list[dict[str, Any]] = [
    {"type": "number"},
    {"type": "integer"},
    {"type": "boolean"},
    {"type": "string"},
    CATEGORY,
]


@pytest.mark.parametrize("declared", KINDS, ids=lambda declared: declared["type"])
@pytest.mark.parametrize(("array", "shown"), WRONG, ids=lambda part: part if isinstance(part, str) else "")
def test_a_column_of_another_type_is_wrong_where_it_is_not_null(
    array: pa.Array, shown: str, declared: dict[str, Any]
) -> None:
    parsed = parse(array, declared)
    assert reasons(parsed) == [(0, "wrong_type", "x"), (1, "missing_field", "x")]
    assert f"x is {shown}, which is not a" in parsed.rejections[0].detail


@pytest.mark.parametrize(
    ("array", "declared"),
    [
        (pa.array(["1"]), {"type": "number"}),
        (pa.array([True]), {"type": "number"}),
        (pa.array([1]), {"type": "boolean"}),
        (pa.array([1]), {"type": "string"}),
        (pa.array([1]), CATEGORY),
        (pa.array([1]).dictionary_encode(), CATEGORY),
        (pa.array([2.5]), {"type": "integer"}),
    ],
    ids=str,
)
def test_no_type_is_turned_into_another(array: pa.Array, declared: dict[str, Any]) -> None:
    assert reasons(parse(array, declared)) == [(0, "wrong_type", "x")]


@pytest.mark.parametrize(
    ("given", "declared", "reason"),
    [
        (float("nan"), {"type": "number"}, "not_finite"),
        (float("inf"), {"type": "integer"}, "not_finite"),
        (2.0**53, {"type": "integer"}, "out_of_range"),
        (4.9, {"type": "number", "minimum": 5}, "out_of_range"),
        (5.1, {"type": "number", "maximum": 5}, "out_of_range"),
    ],
)
def test_a_number_that_is_not_allowed_is_rejected(
    given: float, declared: dict[str, Any], reason: str
) -> None:
    assert reasons(parse(pa.array([given, 5.0]), declared)) == [(0, reason, "x")]


def test_a_missing_column_is_a_missing_value_in_every_row() -> None:
    assert reasons(parse(None, {"type": "number"})) == [(0, "missing_field", "x")]
    assert values(parse(None, {"type": "number", "default": 3})) == [3]
    assert values(parse(None, CATEGORY | {"default": "B"})) == [1]


@pytest.mark.parametrize(
    ("declared", "array"), [(CATEGORY, STRINGS[3][1]), ({"type": "number"}, pa.array([0.5, None, 9]))]
)
def test_a_slice_with_an_offset_is_read_as_its_own_rows(declared: dict[str, Any], array: pa.Array) -> None:
    array = pa.concat_arrays([array] * 5)
    for start, stop in ((1, 4), (7, 15), (3, 3)):
        sliced, copied = (
            parse(array[start:stop], declared),
            parse(pa.array(array[start:stop].to_pylist(), array.type), declared),
        )
        assert values(sliced) == values(copied)
        assert reasons(sliced) == reasons(copied)


def batch_of(**columns: Any) -> pa.RecordBatch:
    return pa.record_batch(
        {
            name: column if isinstance(column, pa.Array) else pa.array(column)
            for name, column in columns.items()
        }
    )


PLAIN = Schema(inputs=(Input(name="x", type="number"),))


@pytest.mark.parametrize("name", ["x", "customer_id"])
def test_of_columns_of_one_name_the_last_counts(name: str) -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([1]), pa.array([2]), pa.array([3])], ["x", "customer_id", name]
    )
    parsed = TableParser(PLAIN).parse(batch)
    assert (parsed.frame.columns["x"].tolist(), list(as_list(parsed.customer_ids))) == (
        ([3], [2]) if name == "x" else ([1], [3])
    )


def test_a_table_without_rows_is_an_empty_frame() -> None:
    for column in (pa.array([], pa.float64()), pa.array([], pa.string()), pa.array([], pa.null())):
        parsed = parse(column, {"type": "number"})
        assert (parsed.total, parsed.frame.count, parsed.rejections) == (0, 0, ())


IDS: list[tuple[pa.Array, list[Any], list[tuple[int, str]]]] = [
    (pa.array([1, None, -5], pa.int16()), [1, -5], [(1, "missing_field")]),
    (pa.array([1, 2**63, 2**64 - 1], pa.uint64()), [1], [(1, "out_of_range"), (2, "out_of_range")]),
    (pa.array(["a", "", "é" * 1024, "é" * 1025]), ["a", "", "é" * 1024], [(3, "out_of_range")]),
    (pa.array(["a", None], pa.large_string()), ["a"], [(1, "missing_field")]),
    (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"], []),
    (pa.array([1.0]), [], [(0, "wrong_type")]),
    (pa.array([True]), [], [(0, "wrong_type")]),
    (pa.array([b"x", None], pa.binary_view()), [], [(0, "wrong_type"), (1, "missing_field")]),
]


@pytest.mark.parametrize(("ids", "accepted", "rejected"), IDS, ids=lambda part: str(part)[:20])
def test_an_id_is_an_int64_or_a_text_of_bounded_length(
    ids: pa.Array, accepted: list[Any], rejected: list[tuple[int, str]]
) -> None:
    parsed = TableParser(PLAIN).parse(batch_of(customer_id=ids, x=[1.0] * len(ids)))
    assert list(as_list(parsed.customer_ids)) == accepted
    assert [(row, reason) for row, reason, _ in reasons(parsed)] == rejected
    # An event id obeys the same rule, but may be missing.
    parsed = TableParser(PLAIN).parse(batch_of(customer_id=[1] * len(ids), event_id=ids, x=[1.0] * len(ids)))
    expected = [(row, reason, "event_id") for row, reason in rejected if reason != "missing_field"]
    assert reasons(parsed) == expected


@pytest.mark.parametrize(("kind", "fits"), [("integer", pa.array([1])), ("string", pa.array(["1"]))])
def test_the_declared_type_of_the_key_is_enforced(kind: Any, fits: pa.Array) -> None:
    schema = Schema(inputs=(Input(name="customer_id", type=kind), Input(name="x", type="number")))
    for ids in (pa.array([1]), pa.array(["1"])):
        parsed = TableParser(schema).parse(batch_of(customer_id=ids, x=[1]))
        assert (not parsed.rejections) == (ids.type == fits.type)


@pytest.mark.parametrize(
    ("array", "bad"),
    [
        (pa.array([0, None, 2**40], pa.timestamp("us")), []),
        (pa.array([0], pa.timestamp("ns", "Europe/Paris")), []),
        (pa.array([0, 253_402_300_800], pa.timestamp("s")), [1]),
        (pa.array(["2026-01-31T12:00:00Z", "yesterday", None]), [1]),
        (pa.array(["2026-01-31T12:00:00Z", "yesterday", None]).dictionary_encode(), [1]),
        (pa.array([0], pa.date32()), [0]),
        (pa.array([1_700_000_000, None]), [0]),
    ],
    ids=str,
)
def test_a_time_is_a_timestamp_or_its_text(array: pa.Array, bad: list[int]) -> None:
    count = len(array)
    parsed = TableParser(PLAIN).parse(batch_of(customer_id=[1] * count, occurred_at=array, x=[1] * count))
    assert reasons(parsed) == [(row, "wrong_type", "occurred_at") for row in bad]


def test_a_timestamp_is_a_string_input_s_text() -> None:
    parsed = parse(pa.array([0, None], pa.timestamp("ms", "+05:30")), {"type": "string", "default": "never"})
    assert values(parsed) == ["1970-01-01T00:00:00.000Z", "never"]


def test_a_strict_model_refuses_rows_that_hold_an_undeclared_value() -> None:
    schema = Schema(inputs=PLAIN.inputs, strict=True)
    batch = batch_of(customer_id=[1, 2, 3], x=[1.0, 2.0, None], extra=[None, "v", "v"], empty=[None] * 3)
    parsed = TableParser(schema).parse(batch)
    assert reasons(parsed) == [(1, "unknown_field", "extra"), (2, "missing_field", "x")]
    blank = batch_of(customer_id=["1"], x=["1"], extra=[" "])
    assert not TableParser(schema).parse(blank, text=True).rejections


NUMBER_CELLS = [
    *(("1", 1.0), (" 1.5\t", 1.5), ("+5", 5.0), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("-0", 0.0)),
    *(("1E-400", 0.0), ("012", 12.0), ("9007199254740993", 2.0**53)),
    *((cell, Reason.MISSING_FIELD) for cell in ("", " ", "\t", "\u2003")),
    *((cell, Reason.WRONG_TYPE) for cell in ("1,5", "nan", "inf", "-Infinity", "0x10", "1_000", "٣", "1e")),
    *((cell, Reason.WRONG_TYPE) for cell in ("true", "1 2", "1\x00", "--1", "1.5.", ".", "e5", "1d")),
    *((cell, Reason.NOT_FINITE) for cell in ("1e999", "-1e999", "9" * 400)),
]


@pytest.mark.parametrize(("cell", "expected"), NUMBER_CELLS)
def test_a_cell_of_text_is_a_number_or_its_fault_has_a_reason(cell: str, expected: float | Reason) -> None:
    for neighbour in ("1", "odd"):  # with and without need for a closer look at the column
        parsed = parse(pa.array([neighbour, cell]), {"type": "number"}, text=True)
        found = [rejection.reason for rejection in parsed.rejections if rejection.row == 1]
        assert (found or values(parsed)[-1:]) == [expected]
        assert not np.signbit(parsed.frame.columns["x"]).any()


@pytest.mark.parametrize(
    ("declared", "cells", "expected"),
    [
        ({"type": "boolean"}, ["true", "FALSE", " True ", "yes", "1", ""], [1, 0, 1]),
        (CATEGORY, ["A", "B", " A", "a", ""], [0, 1]),
        ({"type": "string"}, ["A", " ", "1", "  x "], ["A", "1", "  x "]),
        ({"type": "integer"}, ["3", "3.0", "3e0", "3.5", "9007199254740992"], [3, 3, 3]),
    ],
    ids=lambda part: part["type"] if isinstance(part, dict) else "",
)
def test_a_cell_of_text_is_read_by_its_declared_type(
    declared: dict[str, Any], cells: Sequence[str], expected: list[Any]
) -> None:
    assert values(parse(pa.array(cells), declared, text=True)) == expected


def test_the_key_of_a_text_table_is_read_by_its_declared_type() -> None:
    schema = Schema(inputs=(Input(name="id", type="integer"), Input(name="x", type="number")), key="id")
    cells = ["7", " 8 ", "x", "", "9223372036854775808", "1.0"]
    parsed = TableParser(schema).parse(batch_of(id=cells, x=["1"] * 6), text=True)
    assert list(as_list(parsed.customer_ids)) == [7, 8]
    assert reasons(parsed) == [
        (2, "wrong_type", "id"),
        (3, "missing_field", "id"),
        (4, "out_of_range", "id"),
        (5, "wrong_type", "id"),
    ]


def test_each_column_is_looked_up_once_however_many_rows_it_rejects(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    find = TableParser._find

    def counted(self: TableParser, batch: pa.RecordBatch, name: str, text: bool) -> pa.Array | None:
        calls.append(name)
        return find(self, batch, name, text)

    monkeypatch.setattr(TableParser, "_find", counted)
    parsed = parse(pa.array(["bad"] * 100), {"type": "number"}, text=True)
    assert len(parsed.rejections) == 100
    assert calls.count("x") == 2
