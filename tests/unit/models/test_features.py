"""A frame's matrix is the same whatever rows stand beside a row, and says what each of its columns is."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ModelError
from shared.events import EventParser
from shared.models.features import FeatureMatrix, ValueTooLargeError
from shared.schema import Schema
from tests.laws.strategies import events, schemas
from tests.support.trained import INPUTS

SCHEMA = Schema.model_validate({"inputs": INPUTS})
ROW = {"customer_id": 1, "tenure": 3, "charges": 0.1, "partner": True, "contract": "é", "payment": "bank"}


def matrix_of(*rows: dict[str, Any], schema: Schema = SCHEMA, dtype: Any = np.float64) -> Any:
    parsed = EventParser(schema).parse([json.dumps(row).encode() for row in rows])
    assert not parsed.rejections
    return FeatureMatrix(schema, dtype).build(parsed.frame)


def test_numbers_pass_categories_become_places_or_a_column_for_each_value() -> None:
    assert matrix_of(ROW).tolist() == [[3.0, 0.1, 1.0, 2.0, 0.0, 1.0, 0.0]]
    matrix = FeatureMatrix(SCHEMA, np.float64)
    assert matrix.names[3:] == ("contract", "payment=card", "payment=bank", "payment=check")
    assert matrix.inputs.tolist() == [0, 1, 2, 3, 4, 4, 4]


def test_a_missing_number_or_place_is_nan_and_a_missing_one_hot_category_all_zeros() -> None:
    maybe = Schema.model_validate({"inputs": [{**item, "missing": "nan"} for item in INPUTS]})
    (row,) = matrix_of({"customer_id": 1}, schema=maybe)
    assert np.isnan(row[:4]).all()
    assert row[4:].tolist() == [0, 0, 0]


def test_a_matrix_is_contiguous_and_of_its_type() -> None:
    for dtype in (np.float32, np.float64):
        built = matrix_of(ROW, ROW, dtype=dtype)
        assert (built.dtype, built.flags.c_contiguous) == (dtype, True)
    assert matrix_of().shape == (0, 7)


def test_a_number_beyond_float32_raises_and_names_its_input() -> None:
    largest = float(np.finfo(np.float32).max)
    assert matrix_of(ROW | {"charges": -largest}, dtype=np.float32)[0, 1] == -largest
    with pytest.raises(ValueTooLargeError, match="charges is beyond float32"):
        matrix_of(ROW, ROW | {"charges": 3.5e38}, dtype=np.float32)


def test_a_string_is_refused_with_what_to_declare() -> None:
    schema = Schema.model_validate({"inputs": [{"name": "note", "type": "string"}]})
    with pytest.raises(ModelError, match="'note' is a string") as caught:
        FeatureMatrix(schema, np.float32)
    assert caught.value.hint == "Declare it as a category with its values."


def test_contributions_of_a_one_hot_inputs_columns_are_added_up() -> None:
    matrix = FeatureMatrix(SCHEMA, np.float32)
    found = matrix.contributions(np.array([[1.0, 2, 3, 4, 5, 6, 7]]), np.array([0.5]))
    assert found.values.tolist() == [[1, 2, 3, 4, 18]]
    assert found.totals().tolist() == [28.5]


def test_names_of_other_spellings_fit() -> None:
    inputs = [{"name": "a b", "type": "number"}, {**INPUTS[4], "values": ["x y", "z"]}]
    matrix = FeatureMatrix(Schema.model_validate({"inputs": inputs}), np.float32)
    matrix.check(3, ["a b", "payment=x y", "payment=z"])
    matrix.check(3, ["a_b", "payment_x_y", "payment_z"])
    with pytest.raises(ModelError, match="column 2 is 'payment=z', but the model was trained on 'payment'"):
        matrix.check(3, ["a b", "payment=x y", "payment"])


@given(schemas(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_rows_numbers_do_not_depend_on_its_neighbours(schema: Schema, data: st.DataObject) -> None:
    values = [json.dumps(data.draw(events(schema))).encode() for _ in range(5)]
    frame = EventParser(schema).parse(values).frame
    if any(feature.type == "string" for feature in schema.features):
        return
    matrix = FeatureMatrix(schema, np.float64)
    alone = [matrix.build(frame.slice(row, row + 1)) for row in range(frame.count)]
    together = matrix.build(frame)
    assert together.tobytes() == b"".join(row.tobytes() for row in alone)
    assert together.shape == (frame.count, matrix.width)
