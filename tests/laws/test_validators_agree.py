"""The quick decoder accepts nothing that pydantic refuses, and reads the same values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import EventParser
from shared.frame import Parsed
from shared.schema import Input, Schema
from tests.laws.strategies import ODDITIES, event_bytes, schemas


def essence(parsed: Parsed) -> object:
    """Everything about a result that must agree, floats to the bit."""
    columns = {
        name: column.tolist() if column.dtype == object else column.tobytes()
        for name, column in parsed.frame.columns.items()
    }
    event_ids = None if parsed.event_ids is None else list(parsed.event_ids)
    return parsed.rows.tolist(), list(parsed.customer_ids), event_ids, columns


@st.composite
def schema_and_values(draw: st.DrawFn) -> tuple[Schema, list[bytes | None]]:
    schema = draw(schemas())
    return schema, draw(st.lists(event_bytes(schema), max_size=8))


@given(schema_and_values())
@settings(max_examples=400, deadline=None)
def test_what_the_quick_decoder_accepts_pydantic_accepts_with_equal_values(
    drawn: tuple[Schema, list[bytes | None]],
) -> None:
    schema, values = drawn
    quick = EventParser(schema).parse(values)
    defined = EventParser(schema, quick=False).parse(values)
    assert essence(quick) == essence(defined)
    assert quick.rejections == defined.rejections


#: Whatever else an event lacks has a default, so that its one oddity decides.
LENIENT = Schema(
    key="id",
    inputs=(
        Input(name="id", type="integer"),
        Input(name="tenure", type="number", default=0.0),
        Input(name="note", type="string", default="none"),
    ),
)


@pytest.mark.parametrize("value", ODDITIES, ids=lambda value: repr(value[:40]))
def test_an_oddity_is_decided_as_pydantic_decides_it_alone_and_among_others(value: bytes) -> None:
    for values in ([value], [b'{"id":7}', value, b'{"id":8}']):
        quick = EventParser(LENIENT).parse(values)
        defined = EventParser(LENIENT, quick=False).parse(values)
        assert essence(quick) == essence(defined)
        assert quick.rejections == defined.rejections
        assert len(quick.rows) + len(quick.rejections) == len(values)


@given(schema_and_values())
@settings(max_examples=200, deadline=None)
def test_a_row_is_read_the_same_alone_as_in_any_batch(drawn: tuple[Schema, list[bytes | None]]) -> None:
    schema, values = drawn
    parser = EventParser(schema)
    whole = parser.parse(values)
    alone = [parser.parse([value]) for value in values]
    assert whole.rows.tolist() == [row for row, parsed in enumerate(alone) if parsed.frame.count]
    kept = [parsed for parsed in alone if parsed.frame.count]
    for name, column in whole.frame.columns.items():
        assert repr(column.tolist()) == repr([parsed.frame.columns[name].tolist()[0] for parsed in kept])
    reasons = [(rejection.row, rejection.reason, rejection.field) for rejection in whole.rejections]
    assert reasons == [
        (row, parsed.rejections[0].reason, parsed.rejections[0].field)
        for row, parsed in enumerate(alone)
        if parsed.rejections
    ]
    assert len(whole.rows) + len(whole.rejections) == len(values)
