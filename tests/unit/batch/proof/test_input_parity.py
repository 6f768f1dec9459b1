"""Inputs of events beside those of rows: what counts as the same, and how it is shown."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from batch.proof.input_parity import SAME, InputParity, Inputs, instants
from batch.proof.result import FeatureParity
from shared.columnar import inputs_type
from shared.schema import Input, Schema

SCHEMA = Schema(
    inputs=(
        Input(name="count", type="integer", missing="nan"),
        Input(name="a.b", type="number", missing="nan"),
        Input(name="partner", type="boolean", missing="nan"),
        Input(name="kind", type="category", values=("x", "y"), missing="nan"),
        Input(name="note", type="string"),
    )
)
VALUES: dict[str, Any] = {
    "customer_id": "1",
    "event_id": "e",
    "count": 3,
    "a.b": 0.1 + 0.2,
    "partner": True,
    "kind": "x",
    "note": "é",
}
SECOND = 1_000_000
NOON = 1_769_860_800 * SECOND


def side(
    *rows: dict[str, Any] | None, times: Sequence[int | None] = (), **refused: list[str | None]
) -> Inputs:
    """Events or rows; those that are None were refused."""
    count = len(rows)
    return Inputs(
        pa.array([None if row is None else VALUES | row for row in rows], inputs_type(SCHEMA)),
        pa.array(times or [None] * count, pa.int64()),
        *(pa.array(refused.get(name, [None] * count), pa.string()) for name in ("reasons", "fields", "raw")),
    )


def compared(events: Inputs, rows: Inputs, *, by_key: bool = False) -> tuple[list[str | None], InputParity]:
    """By pair the first field that differs."""
    parity = InputParity(SCHEMA, joined_by_key=by_key)
    first = parity.compare(events, rows).tolist()
    return [None if place == SAME else parity.fields[place] for place in first], parity


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("customer_id", "2"),
        ("count", 4),
        ("a.b", 0.3),
        ("a.b", float(np.nextafter(0.1 + 0.2, 1))),
        ("partner", False),
        ("kind", "y"),
        ("note", "e\u0301"),
    ],
)
def test_any_other_value_differs_by_the_last_bit_too(name: str, other: object) -> None:
    """Each input is compared by its declared type."""
    first, parity = compared(side({}, {}), side({}, {name: other}))
    assert first == [None, name]
    assert {one.feature: one.mismatched for one in parity.parity() if one.mismatched} == {name: 1}
    assert compared(side({name: other}), side({name: other}))[0] == [None]


@pytest.mark.parametrize("name", ["count", "a.b", "partner", "kind"])
def test_a_value_that_one_side_lacks_differs_and_one_that_both_lack_does_not(name: str) -> None:
    """Missing is what the event lacks, extra what the row lacks."""
    first, parity = compared(side({name: None}, {}, {name: None}), side({}, {name: None}, {name: None}))
    assert first == [name, name, None]
    counts = {one.feature: one for one in parity.parity()}
    assert counts[name] == FeatureParity(feature=name, compared=3, mismatched=0, missing=1, extra=1)


def test_the_first_field_that_differs_is_in_declared_order() -> None:
    """The customer's id comes before all, unless the pair was joined by it."""
    events, rows = side({}), side({"customer_id": "9", "kind": "y", "count": 0})
    assert compared(events, rows)[0] == ["customer_id"]
    first, parity = compared(events, rows, by_key=True)
    assert first == ["count"]
    assert "customer_id" not in parity.fields


def test_of_a_refused_row_only_the_field_at_fault_is_compared() -> None:
    """The validator makes nothing of the others."""
    events = side({}, {}, None, None)
    rows = side(
        None,
        None,
        {},
        None,
        reasons=["wrong_type", "missing_field", None, "wrong_type"],
        fields=["a.b", "count", None, "note"],
    )
    events = Inputs(
        events.values,
        events.occurred,
        pa.array([None, None, "unknown_category", "wrong_type"]),
        pa.array([None, None, "kind", "note"]),
        pa.array([None, None, "z", "1"]),
    )
    first, parity = compared(events, rows)
    # What both refuse is not compared by inputs: their reasons are.
    assert first == ["a.b", "count", "kind", None]
    counts = {one.feature: (one.compared, one.mismatched, one.missing, one.extra) for one in parity.parity()}
    assert counts == {
        "customer_id": (0, 0, 0, 0),
        "count": (1, 0, 0, 1),
        "a.b": (1, 1, 0, 0),
        "partner": (0, 0, 0, 0),
        "kind": (1, 1, 0, 0),
        "note": (0, 0, 0, 0),
    }
    assert events.shown(2, "kind") == "z"
    assert events.shown(2, "note") is None


def test_a_row_refused_as_a_whole_differs_in_no_field() -> None:
    """A line of the wrong number of fields has no input at fault."""
    first, _ = compared(side({}), side(None, reasons=["ragged_row"]))
    assert first == [None]


def test_times_count_where_both_sides_have_one() -> None:
    """A table without the column says nothing of it."""
    events = side({}, {}, {}, times=[NOON, NOON, None])
    first, parity = compared(events, side({}, {}, {}, times=[NOON, NOON + 1, NOON]))
    assert first == [None, "occurred_at", None]
    counts = {one.feature: one for one in parity.parity()}
    assert counts["occurred_at"] == FeatureParity(
        feature="occurred_at", compared=2, mismatched=1, missing=0, extra=0
    )
    first, parity = compared(events, side({}, {}, {}))
    assert first == [None, None, None]
    assert "occurred_at" not in {one.feature for one in parity.parity()}


def test_values_are_shown_so_that_other_bits_are_another_text() -> None:
    """Numbers in the shortest form that reads back, times in UTC."""
    shown = side({"note": None}, times=[NOON])
    values = [shown.shown(0, name) for name in ("count", "a.b", "partner", "kind", "note", "occurred_at")]
    assert values == ["3", "0.30000000000000004", "true", "x", None, "2026-01-31T12:00:00.000000Z"]
    assert side({}).shown(0, "occurred_at") is None


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31t12:00:00z", NOON),
        ("2026-01-31 13:30:00.5+01:30", NOON + SECOND // 2),
        ("2026-01-31T10:30:00-0130", NOON),
        ("2026-01-31T12:00:00.1234567Z", NOON + 123_456),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * SECOND),
        ("0001-01-01T00:00:00+05:00", -62_135_614_800 * SECOND),
        ("2026-01-31", None),
        ("noon", None),
        ("", None),
        (None, None),
    ],
)
def test_an_instant_is_that_of_the_rfc_3339_text(text: str | None, instant: int | None) -> None:
    """In any zone, with a leap second, and before the years that Python's dates begin with."""
    assert instants(pa.array([text], pa.string()), 1).to_pylist() == [instant]


@pytest.mark.parametrize(
    "kind", [pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.timestamp("ns", "America/New_York")]
)
def test_an_instant_is_that_of_a_typed_column(kind: pa.DataType) -> None:
    """A timestamp without a zone is in UTC, as the validator has it."""
    times = pa.array([datetime(2026, 1, 31, 12, tzinfo=UTC), None]).cast(pa.timestamp("s")).cast(pa.int64())
    column = times.cast(pa.timestamp("s", "UTC")).cast(kind) if kind.tz else times.cast(pa.timestamp("s"))
    assert instants(column, 2).to_pylist() == [NOON, None]


def test_what_is_no_column_of_times_names_no_instant() -> None:
    """A number, or no column at all; dictionaries of texts do."""
    assert instants(None, 2).to_pylist() == [None, None]
    assert instants(pa.array([1, 2]), 2).to_pylist() == [None, None]
    assert instants(pa.array(["2026-01-31T12:00:00Z"]).dictionary_encode(), 1).to_pylist() == [NOON]
