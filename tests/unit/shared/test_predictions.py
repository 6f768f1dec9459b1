"""Predictions as JSON and as columns hold the same, to the bit, whatever the ids are."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models.directory import Model, read_model
from shared.position import position_prefix
from shared.predict import Outcome, Predictor
from shared.predictions import (
    REJECTION_SCHEMA,
    PredictionEncoder,
    as_list,
    prediction_schema,
    predictions_table,
    rejections_table,
)
from shared.schema import Reason, Rejection
from tests.support.models import linear_model, threshold_model

AWKWARD = [
    "x}\n",
    '"},{"',
    "\\",
    "é😀",
    "\x00\x1f\x7f",
    "",
    "a/b",
    "}",
    2**63 - 1,
    -(2**63),
    2**53 + 1,
    0,
    "0",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return read_model(threshold_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def untyped(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose key may be an integer or a string."""
    return read_model(linear_model(tmp_path_factory.mktemp("model")))


def outcome_of(customers: list[Any], scores: list[float], events: list[Any] | None = None) -> Outcome:
    array = np.array(scores, np.float64)
    rows = np.arange(len(scores))
    return Outcome(len(scores), rows, customers, events, array, array > 0.6, ())


def test_a_prediction_has_these_fields_in_this_order(model: Model) -> None:
    (value,) = PredictionEncoder(model).encode(outcome_of([105], [0.7], ["e-1"]), "events/3/", [42])
    assert value == (
        b'{"prediction_id":"events/3/42","customer_id":105,"event_id":"e-1","score":0.7,"churn":true,'
        b'"threshold":0.6,"model":"threshold@1","model_sha256":"' + model.sha256[:12].encode() + b'"}'
    )


def test_event_id_is_left_out_where_there_is_none(model: Model) -> None:
    encoder = PredictionEncoder(model)
    some = encoder.encode(outcome_of([1, 2], [0.1, 0.2], [None, 5]), "t/0/", [7, 9])
    assert ["event_id" in json.loads(value) for value in some] == [False, True]
    none = encoder.encode(outcome_of([1, 2], [0.1, 0.2]), "t/0/", [7, 9])
    assert none[0] == some[0]


def test_a_replay_writes_the_same_bytes(tmp_path: Path) -> None:
    directory = linear_model(tmp_path / "m")
    event = b'{"customer_id":"7","tenure":1,"partner":true,"contract":"yearly"}'
    written = set()
    for _ in range(2):
        predictor = Predictor.load(directory)
        written.add(PredictionEncoder(predictor.model).encode(predictor.score_one(event), "t/0/", [1])[0])
    assert len(written) == 1


@pytest.mark.parametrize("identity", AWKWARD, ids=repr)
def test_any_id_comes_back_as_it_went_in(identity: int | str, model: Model) -> None:
    outcome = outcome_of([identity, 1], [0.5, 0.5], [identity, None])
    values = PredictionEncoder(model).encode(outcome, "t/0/", [1, 2])
    read = [json.loads(value) for value in values]
    assert (read[0]["customer_id"], read[0]["event_id"]) == (identity, identity)
    assert read[1]["model"] == read[0]["model"] == "threshold@1"
    assert not any(b"\n" in value for value in values)


@given(
    st.lists(st.tuples(st.text() | st.integers(-(2**63), 2**63 - 1), st.none() | st.text(), st.text())),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_no_text_breaks_a_batch_apart(
    model: Model, drawn: list[tuple[Any, Any, str]], data: st.DataObject
) -> None:
    customers, events, names = (list(part) for part in zip(*drawn, strict=True)) if drawn else ([], [], [])
    scores = data.draw(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=len(drawn), max_size=len(drawn))
    )
    prefix = position_prefix("".join(names), 0)
    values = PredictionEncoder(model).encode(outcome_of(customers, scores, events), prefix, range(len(drawn)))
    read = [json.loads(value) for value in values]
    assert [row["prediction_id"] for row in read] == [f"{prefix}{row}" for row in range(len(drawn))]
    assert [row["customer_id"] for row in read] == customers
    assert [row.get("event_id") for row in read] == events
    assert [row["score"] for row in read] == scores


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=500, deadline=None)
def test_a_score_is_written_shortest_and_reads_back_to_the_bit(model: Model, score: float) -> None:
    (value,) = PredictionEncoder(model).encode(outcome_of([1], [score]), "t/0/", [0])
    text = value.partition(b'"score":')[2].partition(b",")[0].decode()
    back = float(text)
    assert (back, math.copysign(1, back)) == (score, math.copysign(1, score))
    shortest = repr(score).partition("e")[0].strip("-").replace(".", "").strip("0")
    assert text.lower().partition("e")[0].strip("-").replace(".", "").strip("0") == shortest


def test_a_wrong_number_of_positions_is_refused(model: Model) -> None:
    for events in (None, ["a", "b"]):
        with pytest.raises(ValueError, match="1 numbers for 2 scored rows"):
            PredictionEncoder(model).encode(outcome_of([1, 2], [0.1, 0.2], events), "t/0/", [1])


def test_no_rows_are_no_predictions(model: Model) -> None:
    empty = outcome_of([], [])
    assert PredictionEncoder(model).encode(empty, "t/0/", []) == []
    assert predictions_table(model, empty, pa.array([], pa.string())).schema == prediction_schema(model)


@pytest.mark.parametrize("events", [None, ["a", None, "12"], [None, 5, 2**53 + 1]])
def test_columns_hold_what_json_holds(events: list[Any] | None, model: Model, untyped: Model) -> None:
    for used, customers in ((model, [1, 2**53 + 1, -5]), (untyped, ["a", 7, "é}\n"])):
        outcome = outcome_of(customers, [0.1, 0.6000000000000001, 5e-324], events)
        values = PredictionEncoder(used).encode(outcome, "f.csv/", [1, 3, 9])
        table = predictions_table(used, outcome, pa.array(["f.csv/1", "f.csv/3", "f.csv/9"]))
        assert table.schema == prediction_schema(used)
        assert table.schema.names[4] == used.decision_name
        # Only a declared integer key stays a number in a column; event ids are text there.
        as_column = int if used is model else str
        for row, value in zip(table.to_pylist(), map(json.loads, values), strict=True):
            event_id = value.get("event_id")
            expected = {**value, "customer_id": as_column(value["customer_id"]), "event_id": None}
            assert row == expected | ({} if event_id is None else {"event_id": str(event_id)})


def test_both_paths_write_the_same_predictions(model: Model) -> None:
    predictor = Predictor(model)
    rows = [{"customer_id": key, "event_id": f"e{key}", "feature": key / 7} for key in range(20)]
    stream = predictor.score_json([json.dumps(row).encode() for row in rows])
    batch = predictor.score_table(pa.RecordBatch.from_pylist(rows))
    encoder = PredictionEncoder(model)
    assert encoder.encode(stream, "p/", range(20)) == encoder.encode(batch, "p/", range(20))


def test_rejections_are_columns_too() -> None:
    rejections = (
        Rejection(1, Reason.TOMBSTONE, None, "the event has no value"),
        Rejection(4, Reason.WRONG_TYPE, "x", "x is 'é'"),
    )
    outcome = replace(outcome_of([], []), rejections=rejections)
    table = rejections_table(outcome, pa.array(["f/1", "f/4"]))
    assert table.schema == REJECTION_SCHEMA
    assert table.to_pylist()[0] == {
        "position": "f/1",
        "reason": "tombstone",
        "field": None,
        "detail": "the event has no value",
    }
    assert table["field"].to_pylist() == [None, "x"]
    assert as_list(table["reason"]) == ["tombstone", "wrong_type"]
