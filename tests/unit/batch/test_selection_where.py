"""`--where`: what its texts mean for rows of every kind, and where one that means nothing is pointed at."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.selection.conditions import Comparison
from batch.selection.selection import Selection, Selector
from batch.selection.where import parse_where
from batch.sources import FileRows, Reading
from shared.errors import ConfigurationError, ExitCode
from shared.files import Chunk, Source
from shared.schema import Input, Schema

SOURCE = FileRows(Source(Path("a.csv"), "a.csv"), Reading())
SCHEMA = Schema(inputs=(Input(name="tenure", type="number"),))
Rows = Sequence[dict[str, Any]]
ROWS: Rows = [
    {"plan": "pro", "tenure": 24, "region": "eu", "active": True},
    {"plan": "free", "tenure": 3.5, "region": None, "active": False},
    {"plan": None, "tenure": 12, "region": "us", "active": None},
    {"plan": "it's", "tenure": None, "region": "ap", "active": True},
]


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def typed(rows: Rows) -> Chunk:
    batch = pa.record_batch({name: pa.array([row.get(name) for row in rows]) for name in _names(rows)})
    return Chunk(np.arange(len(rows)), batch)


def of_dictionaries(rows: Rows) -> Chunk:
    batch: Any = typed(rows).batch
    texts = [
        column.dictionary_encode() if pa.types.is_string(column.type) else column for column in batch.columns
    ]
    return Chunk(np.arange(len(rows)), pa.RecordBatch.from_arrays(texts, batch.schema.names))


def text(rows: Rows) -> Chunk:
    def cell(value: Any) -> str:
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    batch = pa.record_batch(
        {name: pa.array([cell(row.get(name)) for row in rows], pa.string()) for name in _names(rows)}
    )
    return Chunk(np.arange(len(rows)), batch, text=True)


def events(rows: Rows) -> Chunk:
    return Chunk(np.arange(len(rows)), None, [json.dumps(row).encode() for row in rows])


KINDS: dict[str, Callable[[Rows], Chunk]] = {
    "typed": typed,
    "dictionaries": of_dictionaries,
    "text": text,
    "events": events,
}


def selected(where: str, chunk: Chunk) -> list[int]:
    """The numbers of the rows that a condition selects."""
    selector = Selector(Selection(where=parse_where(where)), SCHEMA)
    picked: list[int] = selector.pick(chunk, SOURCE).rows.tolist()
    return picked


MEANINGS = {
    "plan = 'pro'": [0],
    'plan == "pro" AND tenure > 12': [0],
    "plan <> 'pro'": [1, 3],
    "plan != 'pro'": [1, 3],
    "plan = 'it''s'": [3],
    "tenure >= 12": [0, 2],
    "tenure < 12.5": [1, 2],
    "12 < tenure": [0],
    "tenure in (3.5, 24)": [0, 1],
    "tenure not in (3.5, 24)": [2],
    "region in ('eu', 'us') or active = false": [0, 1, 2],
    "not (region in ('eu', 'us') or active = false)": [3],
    "region is null": [1],
    "region IS NOT NULL and not active": [],
    "active": [0, 3],
    "not active": [1],
    "plan is None or tenure is null": [2, 3],
    "plan = 'pro' or plan = 'free' and tenure > 100": [0],
    "(plan = 'pro' or plan = 'free') and tenure > 100": [],
    "`plan` = 'free'": [1],
    "tenure > -1e-3 and tenure <= +24.": [0, 1, 2],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", MEANINGS)
def test_a_condition_means_the_same_for_rows_of_every_kind(kind: str, where: str) -> None:
    assert selected(where, KINDS[kind](ROWS)) == MEANINGS[where]


POINTED = {
    "plan = ": ("a value is expected", 7),
    "plan = pro": ("a text stands in quotes", 7),
    "plan = 'pro": ("a quote is opened and never closed", 7),
    "plan = 'pro' tenure > 1": ("'and', 'or' or the end is expected", 13),
    "(plan = 'pro'": ("')' is expected", 13),
    "plan is 'pro'": ("'null' is expected", 8),
    "plan = null": ("nothing compares with null: write 'is null'", 7),
    "tenure in ()": ("a value is expected", 11),
    "tenure in (1, 'a')": ("the values are not of one kind", 10),
    "tenure not (1)": ("'in' is expected", 11),
    "tenure > 1 and": ("a column or a value is expected", 14),
    "__import__('os')": ("'and', 'or' or the end is expected", 10),
    "plan = 'pro'; exit()": ("this is not understood", 12),
    "tenure + 1 > 2": ("this is not understood", 7),
    "1 = 1": ("a column is expected", 4),
    "tenure > 12abc": ("this is not understood", 9),
    "": ("a column or a value is expected", 0),
    "tenure < 1" + "0" * 400: ("the number is larger than any that a column holds", 9),
    "tenure in (1, -1" + "0" * 5000 + ")": ("the number is larger than any that a column holds", 14),
    "tenure > 1e999": ("the number is larger than any that a column holds", 9),
}


@pytest.mark.parametrize("where", POINTED)
def test_what_is_no_condition_is_pointed_at(where: str) -> None:
    said, place = POINTED[where]
    with pytest.raises(ConfigurationError) as refused:
        parse_where(where)
    message, line, pointer = refused.value.message.splitlines()
    assert said in message
    assert line == f"  {where}"
    assert pointer == "  " + " " * place + "^"
    assert refused.value.exit_code == ExitCode.USAGE


def test_a_number_may_be_as_long_as_it_likes() -> None:
    assert parse_where(f"a = -{'0' * 5000}7") == Comparison("a", "=", -7)
    assert parse_where(f"a = 1{'0' * 300}") == Comparison("a", "=", 1e300)
    for make in KINDS.values():
        assert selected(f"tenure < 1{'0' * 300}", make(ROWS)) == [0, 1, 2]


@pytest.mark.parametrize("deep", ["(" * 2000 + "a" + ")" * 2000, "not " * 2000 + "a"])
def test_a_condition_that_is_too_deep_is_refused(deep: str) -> None:
    with pytest.raises(ConfigurationError, match="more than 50 brackets or nots"):
        parse_where(deep)


@given(where=st.text(alphabet="ab_1.'\"`()=<>!, \n\\andorotisul", max_size=30))
@settings(deadline=None, max_examples=200)
def test_any_text_is_a_condition_or_is_refused(where: str) -> None:
    try:
        parse_where(where)
    except ConfigurationError as refused:
        assert refused.hint  # noqa: PT017 - either outcome will do


def test_numbers_of_any_arrow_type_compare_as_numbers() -> None:
    for kind in (pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(21, 2), pa.int64()):
        chunk = Chunk(np.arange(3), pa.record_batch({"n": pa.array([1, 2, 3]).cast(kind)}))
        assert selected("n >= 2 and n < 300.5 and n > -1 and n != 99999999999999999999", chunk) == [1, 2]


def test_whole_numbers_compare_exactly() -> None:
    """float64 holds 9007199254740993 and its neighbour as one number."""
    numbers = [2**53, 2**53 + 1]
    for chunk in (
        Chunk(np.arange(2), pa.record_batch({"n": numbers})),
        Chunk(np.arange(2), pa.record_batch({"n": list(map(str, numbers))}), text=True),
        Chunk(np.arange(2), None, [b'{"n":%d}' % number for number in numbers]),
    ):
        assert selected(f"n = {2**53 + 1}", chunk) == [1]
        assert selected(f"n in (1, {2**53 + 1})", chunk) == [1]


def test_times_compare_with_texts() -> None:
    moments = [datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)]
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.timestamp("s", "Europe/Berlin")):
        chunk = Chunk(np.arange(2), pa.record_batch({"t": pa.array(moments).cast(kind)}))
        assert selected("t < '2026-02-01'", chunk) == [0]
        assert selected("t = '2026-01-31T13:00:00+01:00'", chunk) == [0]
    days = pa.record_batch({"d": [date(2026, 1, 31), date(2026, 2, 1)]})
    assert selected("d in ('2026-02-01')", Chunk(np.arange(2), days)) == [1]
    with pytest.raises(ConfigurationError, match=r"compares d, which is date32.*, with what is no date"):
        selected("d > 'soon'", Chunk(np.arange(2), days))


def test_a_type_that_does_not_go_with_the_value_is_refused() -> None:
    chunk = Chunk(np.arange(1), pa.record_batch({"plan": ["pro"], "n": [1], "amount": [Decimal(1)]}))
    for where, said in (
        ("plan > 12", "compares plan with a number, but its type is string"),
        ("n = 'a'", "compares n with a text, but its type is int64"),
        ("n", "compares n with true or false, but its type is int64"),
        ("amount in ('a')", "compares amount with a text, but its type is decimal128"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            selected(where, chunk)


def test_a_column_without_any_value_compares_with_everything() -> None:
    chunk = Chunk(np.arange(2), pa.record_batch({"n": pa.nulls(2)}))
    for where in ("n = 1", "n = 'a'", "not n", "n in ('a', 'b')", "n not in (1)"):
        assert selected(where, chunk) == []
    assert selected("n is null", chunk) == [0, 1]


def test_what_is_nothing_of_the_kind_is_not_selected() -> None:
    chunk = Chunk(np.arange(3), pa.record_batch({"n": ["x", "1,5", " 7 "]}), text=True)
    assert selected("n > 1", chunk) == [2]
    assert selected("n <= 1 or n != 7", chunk) == []
    chunk = Chunk(np.arange(4), None, [b'{"n":"7"}', b'{"n":true}', b'{"n":[7]}', b'{"n":7}'])
    assert selected("n > 1", chunk) == [3]
    assert selected("n", chunk) == [1]


def test_an_event_that_cannot_be_read_is_kept_to_be_rejected() -> None:
    values = [b"{", b"[1]", b'{"n":1}', b'{"n":NaN,"plan":"pro"}', b'{"n":1,"n":2}', b'"n"', b"null"]
    chunk = Chunk(np.arange(7), None, values)
    assert selected("n = 2", chunk) == [0, 1, 4, 5, 6]
    assert selected("plan = 'pro'", chunk) == [0, 1, 3, 5, 6]


def test_names_of_columns_may_be_anything_in_backquotes() -> None:
    chunk = Chunk(np.arange(2), pa.record_batch({"tenure in months": [1, 2], "and": [1, 2], "é.x": [1, 2]}))
    assert selected("`tenure in months` > 1", chunk) == [1]
    assert selected("`and` > 1 and é.x = 2", chunk) == [1]
