"""The rows that a model is certified with show what its inputs allow, and go the same by every route."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.model.golden import choose_golden
from batch.model.routes import ORDERS, EventRows, Rows, TableRows, routes_of
from batch.model.samples import Event, events_of, generate_sample, with_ids
from shared.events import EventParser
from shared.frame import Parsed
from shared.models.directory import read_model
from shared.predict import Predictor
from shared.schema import Schema
from shared.tables import TableParser
from tests.laws.strategies import schemas
from tests.support.models import linear_model

SCHEMA = Schema.model_validate(
    {
        "inputs": [
            {"name": "tenure", "type": "integer", "minimum": 0, "maximum": 120},
            {"name": "charges", "type": "number", "missing": "nan"},
            {"name": "partner", "type": "boolean", "default": False},
            {"name": "contract", "type": "category", "values": ["monthly", "yearly", "é"], "missing": "nan"},
        ]
    }
)


def parsed(schema: Schema, events: list[Event]) -> Parsed:
    return EventParser(schema).parse([json.dumps(event).encode() for event in with_ids(schema, events)])


def test_generated_rows_show_every_category_bound_and_missing_value() -> None:
    shown: dict[str, set[Any]] = {feature.name: set() for feature in SCHEMA.features}
    for event in generate_sample(SCHEMA, 200).events:
        for name, value in event.items():
            shown[name].add(value)
    assert shown["contract"] == {"monthly", "yearly", "é", None}
    assert shown["partner"] == {True, False, None}
    assert {0, 1, 119, 120} <= shown["tenure"]
    assert None not in shown["tenure"]
    assert {None, 0.0, 1e300, -1e300} <= shown["charges"]


@given(schemas(), st.integers(1, 60))
def test_generated_rows_are_valid_and_the_same_at_every_call(schema: Schema, count: int) -> None:
    events = generate_sample(schema, count).events
    assert len(events) == count
    assert parsed(schema, events).rejections == ()
    assert generate_sample(schema, count).digest() == generate_sample(schema, count).digest()


@given(schemas())
def test_rows_of_a_frame_are_events_that_give_the_same_frame(schema: Schema) -> None:
    first = parsed(schema, generate_sample(schema, 40).events)
    again = parsed(schema, events_of(schema, first))
    for name, column in first.frame.columns.items():
        other = again.frame.columns[name]
        same = column.tolist() == other.tolist() if column.dtype == object else None
        assert same or column.tobytes() == other.tobytes()


def read(schema: Schema, rows: Rows) -> Iterator[Event]:
    if isinstance(rows, TableRows):
        found = TableParser(schema).parse(rows.batch, text=rows.text)
    else:
        assert isinstance(rows, EventRows)
        found = EventParser(schema).parse(rows.values)
    assert found.rejections == ()
    yield from events_of(schema, found)


class _Unscored:
    """As much of a predictor as reading files needs."""

    def __init__(self, schema: Schema) -> None:
        self.model = self
        self.schema = schema


@settings(max_examples=15, deadline=None)
@given(schemas())
def test_each_route_brings_the_same_rows(schema: Schema) -> None:
    events = with_ids(schema, generate_sample(schema, 30).events)
    predictor: Any = _Unscored(schema)
    json_route, *others = routes_of(predictor, events)
    expected = list(read(schema, json_route.rows))
    assert len(expected) == 30
    for route in others:
        places = route.places[::-1]
        found = list(read(schema, route.rows.take(np.arange(len(places))[::-1])))
        assert found == [expected[place] for place in places.tolist()]


def test_a_blank_text_goes_every_way_but_through_a_csv_file() -> None:
    schema = Schema.model_validate({"inputs": [{"name": "c", "type": "category", "values": ["", " ", "a"]}]})
    predictor: Any = _Unscored(schema)
    routes = routes_of(predictor, with_ids(schema, [{"c": ""}, {"c": "a"}, {"c": " "}]))
    assert {route.name: route.places.tolist() for route in routes} == {
        "json": [0, 1, 2],
        "csv": [1],
        "parquet": [0, 1, 2],
    }
    routes = routes_of(predictor, with_ids(schema, [{"c": ""}]))
    assert [route.name for route in routes] == ["json", "parquet"]


def test_texts_with_line_breaks_and_quotes_go_through_a_csv_file() -> None:
    schema = Schema.model_validate({"inputs": [{"name": "note", "type": "string"}]})
    predictor: Any = _Unscored(schema)
    texts = ["a\r\nb", "a\rb", 'a"b', "a,b", "'", " a ", "\ufdd0", "客"]
    _, by_csv, _ = routes_of(predictor, with_ids(schema, [{"note": text} for text in texts]))
    assert [event["note"] for event in read(schema, by_csv.rows)] == texts


def test_the_orders_hold_every_row_once() -> None:
    for arrange in ORDERS.values():
        assert sorted(arrange(100).tolist()) == list(range(100))
    assert any(left > right for left, right in pairwise(ORDERS["shuffled"](100).tolist()))


def test_golden_rows_are_varied_and_not_those_that_there_are(tmp_path: Path) -> None:
    predictor = Predictor(read_model(linear_model(tmp_path / "m")))
    schema = predictor.model.schema
    events = generate_sample(schema, 500).events
    values = [json.dumps(event).encode() for event in with_ids(schema, events)]
    scores = predictor.score_json(values).scores
    golden = choose_golden(schema, events, scores)
    assert len(golden) == 20
    assert {row.event["contract"] for row in golden} == {"monthly", "yearly", "é"}
    assert {0, 1200} <= {row.event["tenure"] for row in golden}
    assert None in {row.event["charges"] for row in golden}
    assert max(row.score for row in golden) - min(row.score for row in golden) > 0.5
    assert all(predictor.score_one(row.event).scores.tolist() == [row.score] for row in golden)
    held = [{name: value for name, value in row.event.items() if name != schema.key} for row in golden[:15]]
    more = choose_golden(schema, events, scores, held)
    assert len(more) == 5
    assert not [row for row in more if {n: v for n, v in row.event.items() if n != schema.key} in held]
    assert choose_golden(schema, events, scores, events[:20]) == []


def test_few_rows_give_few_golden_rows() -> None:
    (row,) = choose_golden(SCHEMA, [{"tenure": 1}] * 3, np.array([0.5] * 3))
    assert (row.event, row.score) == ({"customer_id": 1, "tenure": 1}, 0.5)
