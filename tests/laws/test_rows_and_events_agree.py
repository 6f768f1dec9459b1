"""A row that is sent as an event gets the score, or the reason, that it gets where it stands in a table."""

from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import event, given, settings
from hypothesis import strategies as st

from batch.sources import ids_of_events, ids_of_rows
from producer.rows import RowEncoder
from shared.events import EventParser
from shared.frame import Parsed
from shared.schema import Schema
from shared.tables import TableParser
from tests.laws.strategies import CATEGORIES, TIMES, schemas

INT64 = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-60, 60)
TEXT = st.sampled_from((*CATEGORIES, *TIMES, "12", "none")) | st.text(max_size=5)
#: Arrow type to the values that a column of it may hold.
COLUMNS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.null(): st.none(),
    pa.bool_(): st.booleans(),
    pa.int8(): SMALL,
    pa.int64(): SMALL | INT64 | st.sampled_from((2**53, 2**53 + 1)),
    pa.uint64(): st.integers(0, 60) | st.integers(0, 2**64 - 1),
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32) | SMALL.map(float),
    pa.float64(): st.floats() | SMALL.map(float) | st.sampled_from((-0.0, 2.0**53, 2.0**63, 1e22)),
    pa.decimal128(10, 2): st.decimals(-(10**7), 10**7, places=2),
    pa.decimal128(38, 0): st.integers(-(10**37), 10**37).map(Decimal),
    pa.decimal256(40, 38): st.decimals(-60, 60, places=38, allow_nan=False),
    pa.string(): TEXT,
    pa.large_string(): TEXT,
    pa.dictionary(pa.int8(), pa.string()): TEXT,
    pa.dictionary(pa.int8(), pa.int64()): SMALL,
    pa.timestamp("ns"): INT64,
    pa.timestamp("s"): INT64 | st.datetimes().map(lambda at: int(at.replace(tzinfo=UTC).timestamp())),
    pa.timestamp("ms", "+05:30"): st.datetimes(timezones=st.just(UTC)),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.time64("us"): st.times(),
}
#: Cells on every side of what is a number, a boolean, blank, or an id.
ODD_CELLS = (
    "| |\t|\x0b|\x1c|\x85|\xa0|\u2003|\u200b|\ufeff|\u180e|\x00|12| 12 |+12|-0|-0.0|012|12.|.5|1e3|1E-3|1e"
    "|1e999|1e-999|1,5|1_000|0x1F|nan|NaN|inf|-Infinity|\u0663|\uff11|12\x00|12\n|12abc|9007199254740993|0.1|\xa012"
    "|123456789012345678901234567890.5|4.9e-324|2.2250738585072011e-308|1e400|-1e400|9223372036854775807"
    "|9223372036854775808|-9223372036854775809|-9999999999999999999|true|TRUE| False |yes|1|0|T| One year"
)
CELLS = (
    st.sampled_from([*ODD_CELLS.split("|"), "1" * 400, *CATEGORIES, *TIMES])
    | st.floats(-60, 60).map(repr)
    | st.floats().map(repr)
    | SMALL.map(str)
    | st.text(max_size=4)
)


@st.composite
def typed_tables(draw: st.DrawFn, schema: Schema) -> pa.RecordBatch:
    """A table with a column, most often of a fitting type, for most fields."""
    count = draw(st.integers(0, 4))
    names = [*schema.fields, "extra"]
    arrays, chosen = [], []
    for name in draw(st.permutations(names)) + draw(st.lists(st.sampled_from(names), max_size=1)):
        if draw(st.integers(0, 9)) == 0:
            continue
        kind = draw(
            _fitting_type(schema, name) if draw(st.integers(0, 3)) else st.sampled_from(list(COLUMNS))
        )
        values = draw(st.lists(COLUMNS[kind] | st.none() | COLUMNS[kind], min_size=count, max_size=count))
        arrays.append(_array(values, kind))
        chosen.append(name)
    return pa.RecordBatch.from_arrays([*arrays, pa.nulls(count)], [*chosen, "always there"])


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def _fitting_type(schema: Schema, name: str) -> st.SearchStrategy[pa.DataType]:
    if name == schema.key:
        return st.sampled_from([pa.int64(), pa.string(), pa.int8(), pa.uint64()])
    declared = next((item.type for item in schema.features if item.name == name), "string")
    return st.sampled_from(
        {
            "number": [pa.float64(), pa.int64(), pa.float32(), pa.decimal128(10, 2)],
            "integer": [pa.int8(), pa.int64(), pa.float64()],
            "boolean": [pa.bool_()],
            "string": [pa.string(), pa.large_string(), pa.timestamp("s")],
            "category": [pa.string(), pa.dictionary(pa.int8(), pa.string())],
        }[declared]
    )


@st.composite
def text_tables(draw: st.DrawFn, schema: Schema) -> pa.RecordBatch:
    """A table of text cells, as a CSV file's."""
    count = draw(st.integers(1, 4))
    names = [name for name in (*schema.fields, "extra") if draw(st.integers(0, 9))]
    columns = [draw(st.lists(CELLS, min_size=count, max_size=count)) for _ in names]
    columns = [[cell.encode("utf-8", "ignore").decode() for cell in column] for column in columns]
    arrays = [pa.array(column, pa.string()) for column in columns]
    return pa.RecordBatch.from_arrays([*arrays, pa.nulls(count, pa.string())], [*names, "always there"])


def essence(parsed: Parsed) -> object:
    """What must agree: the rows, what the model sees of them to the bit, and the reasons."""
    columns = {
        name: column.tolist() if column.dtype == object else column.tobytes()
        for name, column in parsed.frame.columns.items()
    }
    reasons = [(rejection.row, rejection.reason, rejection.field) for rejection in parsed.rejections]
    return parsed.rows.tolist(), columns, reasons


def check(schema: Schema, batch: pa.RecordBatch, *, text: bool) -> None:
    table = TableParser(schema).parse(batch, text=text)
    values = [message.value for message in RowEncoder(schema).messages(batch, text=text)]
    sent = EventParser(schema).parse(values)
    event(f"rows accepted: {bool(len(table.rows))}")
    for rejection in table.rejections:
        event(rejection.reason)
    assert essence(sent) == essence(table), values
    rejected = [rejection.row for rejection in table.rejections]
    of_events = ids_of_events([values[row] for row in rejected], schema.key)
    assert ids_of_rows(batch, rejected, schema, text=text) == of_events, values
    assert [str(i) for i in sent.customer_ids] == [str(i) for i in pa.array(table.customer_ids).to_pylist()]


@st.composite
def schema_and_typed(draw: st.DrawFn) -> tuple[Schema, pa.RecordBatch]:
    schema = draw(schemas())
    return schema, draw(typed_tables(schema))


@st.composite
def schema_and_text(draw: st.DrawFn) -> tuple[Schema, pa.RecordBatch]:
    schema = draw(schemas())
    return schema, draw(text_tables(schema))


@given(schema_and_typed())
@settings(max_examples=500, deadline=None)
def test_a_typed_row_and_its_event_agree(drawn: tuple[Schema, pa.RecordBatch]) -> None:
    schema, batch = drawn
    check(schema, batch, text=False)


@given(schema_and_text())
@settings(max_examples=500, deadline=None)
def test_a_row_of_text_and_its_event_agree(drawn: tuple[Schema, pa.RecordBatch]) -> None:
    schema, batch = drawn
    check(schema, batch, text=True)
