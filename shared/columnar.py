"""Events by columns: what the batch path makes of an event, from what the validator read in it.

An event that the validator takes becomes a row of typed Arrow columns, as a snapshot's `inputs` hold it, and
the row is validated and scored again as those of a file are: by another route than the stream's, which goes
from JSON straight to the model's frame. An event that it refuses is scored from its bytes, for the stream's
own reason.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.explanations import joined
from shared.frame import MISSING_CODE, Column, Frame, Parsed
from shared.predict import Outcome, Predictor
from shared.predictions import as_list
from shared.schema import EVENT_ID, Input, Reason, Schema

#: Whether an id was an integer in the event: its column holds text, since another row's may be a string.
_IS_INTEGER: Final = "{} is an integer"
_ARROW_TYPES: Final = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "category": pa.dictionary(pa.int32(), pa.string()),
}


def inputs_type(schema: Schema) -> pa.StructType:
    """The type of the column of parsed inputs."""
    ids = [(schema.key, schema.key_type), (EVENT_ID, None)]
    fields = []
    for name, declared in ids:
        fields.append(pa.field(name, pa.int64() if declared == "integer" else pa.string()))
        if declared is None:
            fields.append(pa.field(_IS_INTEGER.format(name), pa.bool_()))
    return pa.struct(
        [*fields, *(pa.field(feature.name, _ARROW_TYPES[feature.type]) for feature in schema.features)]
    )


def inputs_column(schema: Schema, parsed: Parsed) -> pa.StructArray:
    """What a validator made of events as a column, null for those that it refused."""
    columns = [
        *_id_columns(parsed.customer_ids, schema.key_type),
        *_id_columns(parsed.event_ids or [None] * len(parsed.rows), None),
        *(_feature_column(feature, parsed.frame.columns[feature.name]) for feature in schema.features),
    ]
    valid = pa.StructArray.from_arrays(columns, fields=list(inputs_type(schema)))
    places: npt.NDArray[np.int64] = np.full(parsed.total, -1, np.int64)
    places[parsed.rows] = np.arange(len(parsed.rows))
    return valid.take(pa.array(places, mask=places < 0))


def _id_columns(ids: Any, declared: str | None) -> list[pa.Array]:
    values = as_list(ids)
    if declared is not None:
        return [pa.array(values, _ARROW_TYPES[declared])]
    texts = [None if value is None else str(value) for value in values]
    return [
        pa.array(texts, pa.string()),
        pa.array([None if value is None else isinstance(value, int) for value in values], pa.bool_()),
    ]


def _feature_column(feature: Input, column: Column) -> pa.Array:
    if feature.type == "category":
        codes = pa.array(column, pa.int32(), mask=column == MISSING_CODE)
        return pa.DictionaryArray.from_arrays(codes, pa.array(feature.values, pa.string()))
    if feature.type == "string":
        return pa.array(column, pa.string())
    # NaN stands for a missing value in a frame; a valid row has no other.
    return pa.array(column, mask=np.isnan(column)).cast(_ARROW_TYPES[feature.type])


def score_by_columns(predictor: Predictor, values: Sequence[bytes | None]) -> Outcome:
    """Scores events by the batch path: validated, put into columns, and scored as the rows of a table.

    Args:
        predictor: What to score with.
        values: One JSON object each; None is a tombstone.
    """
    array = pa.array(values, pa.binary())
    return score_rows(predictor, array, inputs_column(predictor.model.schema, predictor.parse_json(values)))


def score_rows(predictor: Predictor, values: pa.Array, inputs: pa.StructArray | None) -> Outcome:
    """Scores events that were put into columns before.

    Args:
        predictor: What to score with.
        values: The events' bytes.
        inputs: What `inputs_column` made of them for a model of the same schema; rows that are null there are
            scored from their bytes, and so are all when it is None.
    """
    parsed = np.zeros(len(values), np.bool_)
    if inputs is not None:
        parsed = pc.is_valid(inputs).to_numpy(zero_copy_only=False)
    from_bytes = np.flatnonzero(~parsed)
    by_bytes = _at(predictor.score_json(values.take(pa.array(from_bytes)).to_pylist()), from_bytes)
    if inputs is None or not parsed.any():
        return by_bytes
    rows = inputs.filter(pa.array(parsed))
    return _merged(_at(_score_inputs(predictor, rows), np.flatnonzero(parsed)), by_bytes)


def _score_inputs(predictor: Predictor, rows: pa.StructArray) -> Outcome:
    """Scores parsed inputs; their ids are as they were in the events."""
    schema = predictor.model.schema
    columns = dict(zip((field.name for field in rows.type), rows.flatten(), strict=True))
    flags = {name: columns.pop(_IS_INTEGER.format(name), None) for name in (schema.key, EVENT_ID)}
    batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    outcome = predictor.score_table(batch)
    scored = pa.array(outcome.rows)
    customers, events = (
        ids if flag is None else _as_sent(ids, flag.take(scored))
        for ids, flag in ((outcome.customer_ids, flags[schema.key]), (outcome.event_ids, flags[EVENT_ID]))
    )
    return replace(outcome, customer_ids=customers, event_ids=events)


def _as_sent(ids: Any, is_integer: pa.BooleanArray) -> Any:
    """Ids as they were in the events: integers where they were integers."""
    if ids is None or not pc.any(is_integer).as_py():
        return ids
    pairs = zip(as_list(ids), is_integer.to_pylist(), strict=True)
    return list(starmap(lambda text, whole: int(text) if whole else text, pairs))


def _at(outcome: Outcome, rows: npt.NDArray[np.int64]) -> Outcome:
    """An outcome by the rows of the batch that its own rows were taken from."""
    numbers = rows.tolist()
    rejections = tuple(replace(rejection, row=numbers[rejection.row]) for rejection in outcome.rejections)
    return replace(outcome, rows=rows[outcome.rows], rejections=rejections)


def _merged(left: Outcome, right: Outcome) -> Outcome:
    """Two outcomes of different rows of one batch, as one in the order of the rows."""
    rejections = tuple(sorted((*left.rejections, *right.rejections), key=lambda rejection: rejection.row))
    total = left.total + right.total
    if not len(right.rows):
        return replace(left, total=total, rejections=rejections, frame=_in_order(left, right))
    rows = np.concatenate([left.rows, right.rows])
    order = np.argsort(rows)
    places = order.tolist()
    customers = [*as_list(left.customer_ids), *as_list(right.customer_ids)]
    events = [
        event
        for side in (left, right)
        for event in (as_list(side.event_ids) if side.event_ids is not None else [None] * len(side.rows))
    ]
    explanations = joined(left.explanations, right.explanations)
    return Outcome(
        total,
        rows[order],
        [customers[place] for place in places],
        [events[place] for place in places] if any(event is not None for event in events) else None,
        np.concatenate([left.scores, right.scores])[order],
        np.concatenate([left.decisions, right.decisions])[order],
        rejections,
        None if explanations is None else explanations.take(order),
        _in_order(left, right),
    )


def _in_order(left: Outcome, right: Outcome) -> Frame | None:
    """The valid rows of two outcomes in the order of the batch, however it was cut."""
    if left.frame is None or right.frame is None:
        return None
    order = np.argsort(np.concatenate([valid_rows(left), valid_rows(right)]))
    theirs = right.frame.columns
    columns = {
        name: np.concatenate([column, theirs[name]])[order] for name, column in left.frame.columns.items()
    }
    return Frame(len(order), columns)


def valid_rows(outcome: Outcome) -> npt.NDArray[np.int64]:
    """The rows that the model was given, as they stand in the outcome's frame.

    Those that it failed for are rejected by it alone.
    """
    failed = [rejection.row for rejection in outcome.rejections if rejection.reason is Reason.MODEL_ERROR]
    return np.sort(np.concatenate([outcome.rows, np.array(failed, np.int64)]))
