"""Predictions as they are written: ids, JSON for the output topic, and Arrow columns for files.

Both encodings hold the same fields, so that a prediction of the stream and one of the batch path can be
laid side by side: `prediction_id`, `customer_id`, `event_id` when given, `score`, the decision under the
model's own name, when explained `base` and `contributions`, `threshold`, `model` and `model_sha256`.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from shared.explanations import Explanations
from shared.frame import IdValues
from shared.models.directory import Model
from shared.predict import Outcome

#: The reasons' own columns in a file of rejected rows.
REJECTION_SCHEMA: Final = pa.schema(
    [
        pa.field("position", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
#: The largest contributions of a prediction, as a column.
CONTRIBUTIONS: Final = pa.list_(
    pa.field(
        "element",
        pa.struct(
            [
                pa.field("input", pa.string(), nullable=False),
                pa.field("contribution", pa.float64(), nullable=False),
            ]
        ),
        nullable=False,
    )
)


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """What one input added to a raw score.

    Attributes:
        input: Its name.
        contribution: What it added.
    """

    input: str
    contribution: float


class PredictionEncoder:
    """Writes an outcome's predictions as JSON values, one a row, in the shortest form of each number.

    The value is a pure function of the event, its position and the model: it holds no clock, host or
    random id, so that a replay writes the same bytes.
    """

    def __init__(self, model: Model) -> None:
        self._features = [feature.name for feature in model.schema.features]
        # A type of row for each set of fields: with an event id or not, explained or not.
        self._types = {
            (with_event_id, explained): _row_type(model, with_event_id, explained)
            for with_event_id in (False, True)
            for explained in (False, True)
        }
        self._encode_lines = msgspec.json.Encoder().encode_lines

    def encode(self, outcome: Outcome, prefix: str, numbers: Sequence[int]) -> list[bytes]:
        """The predictions of an outcome.

        Args:
            outcome: What the predictor made of a batch.
            prefix: The position's part that all rows share; see position_prefix.
            numbers: The offset or row number of each scored row.

        Returns:
            One JSON object a scored row.
        """
        if len(numbers) != len(outcome.rows):
            raise ValueError(f"{len(numbers)} numbers for {len(outcome.rows)} scored rows")
        if not len(outcome.rows):
            return []
        ids = [f"{prefix}{number}" for number in numbers]
        customers, events = as_list(outcome.customer_ids), outcome.event_ids
        answers = [outcome.scores.tolist(), outcome.decisions.tolist(), *self._explained(outcome)]
        explained = outcome.explanations is not None
        with_event_id, without = self._types[True, explained], self._types[False, explained]
        if events is None:
            rows: Any = map(without, ids, customers, *answers)
        elif None not in (events := as_list(events)):
            rows = map(with_event_id, ids, customers, events, *answers)
        else:
            rows = [
                with_event_id(*row) if row[2] is not None else without(*row[:2], *row[3:])
                for row in zip(ids, customers, events, *answers, strict=True)
            ]
        # A JSON text holds no raw line break.
        return self._encode_lines(list(rows)).split(b"\n")[:-1]

    def _explained(self, outcome: Outcome) -> list[list[Any]]:
        """The further fields of explained predictions."""
        if outcome.explanations is None:
            return []
        return [
            outcome.explanations.base.tolist(),
            contribution_lists(self._features, outcome.explanations),
        ]


def _row_type(model: Model, with_event_id: bool, explained: bool) -> Any:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [("id", str), ("customer_id", int | str)]
    fields += [("event_id", int | str)] if with_event_id else []
    fields += [("score", float), ("decision", bool)]
    fields += [("base", float), ("contributions", list[Contribution])] if explained else []
    # What no row changes is written as the bytes of one last value.
    last = b",".join(
        [
            msgspec.json.encode(model.threshold),
            msgspec.json.encode({"model": model.id, "model_sha256": model.short_sha256})[1:-1],
        ]
    )
    fields += [("threshold", msgspec.Raw, msgspec.Raw(last))]
    names = {"id": "prediction_id", "decision": model.decision_name}
    return msgspec.defstruct("EncodedPrediction", fields, rename=names, gc=False)


def contribution_lists(features: Sequence[str], explanations: Explanations) -> list[list[Contribution]]:
    """The largest contributions of each row, as JSON has them.

    Args:
        features: The names of the model's features, in declared order.
        explanations: What explains the rows.
    """
    rows, width = explanations.inputs.shape
    names = map(features.__getitem__, explanations.inputs.ravel().tolist())
    flat = list(map(Contribution, names, explanations.contributions.ravel().tolist()))
    return [flat[start : start + width] for start in range(0, rows * width, width)]


def prediction_schema(model: Model, *, explained: bool = False) -> pa.Schema:
    """The Arrow schema of a model's predictions.

    Args:
        model: The model that scores.
        explained: Whether they have contributions.
    """
    further = [
        pa.field("base", pa.float64(), nullable=False),
        pa.field("contributions", CONTRIBUTIONS, nullable=False),
    ]
    return pa.schema(
        [
            pa.field("prediction_id", pa.string(), nullable=False),
            pa.field("customer_id", _key_type(model), nullable=False),
            pa.field("event_id", pa.string()),
            pa.field("score", pa.float64(), nullable=False),
            pa.field(model.decision_name, pa.bool_(), nullable=False),
            *(further if explained else ()),
            pa.field("threshold", pa.float64(), nullable=False),
            pa.field("model", pa.dictionary(pa.int32(), pa.string()), nullable=False),
            pa.field("model_sha256", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        ]
    )


def predictions_table(model: Model, outcome: Outcome, positions: pa.StringArray) -> pa.RecordBatch:
    """An outcome's predictions as columns.

    Args:
        model: The model that scored.
        outcome: What the predictor made of a batch.
        positions: The prediction id of each scored row.
    """
    count = len(outcome.rows)
    event_ids = [None] * count if outcome.event_ids is None else outcome.event_ids
    columns = [
        positions,
        _ids(outcome.customer_ids, _key_type(model)),
        _ids(event_ids, pa.string()),
        pa.array(outcome.scores),
        pa.array(outcome.decisions),
        *_explanation_columns(model, outcome.explanations),
        pa.array(np.full(count, model.threshold)),
        _repeated(model.id, count),
        _repeated(model.short_sha256, count),
    ]
    return pa.record_batch(
        columns, schema=prediction_schema(model, explained=outcome.explanations is not None)
    )


def _explanation_columns(model: Model, explanations: Explanations | None) -> list[pa.Array]:
    if explanations is None:
        return []
    names = pa.array([feature.name for feature in model.schema.features], pa.string())
    rows, width = explanations.inputs.shape
    pairs = pa.StructArray.from_arrays(
        [
            names.take(pa.array(explanations.inputs.ravel())),
            pa.array(explanations.contributions.ravel()),
        ],
        fields=list(CONTRIBUTIONS.value_type),
    )
    starts = pa.array(np.arange(rows + 1, dtype=np.int32) * width, pa.int32())
    return [pa.array(explanations.base), pa.ListArray.from_arrays(starts, pairs, type=CONTRIBUTIONS)]


def rejections_table(outcome: Outcome, positions: pa.StringArray) -> pa.RecordBatch:
    """An outcome's rejections as columns.

    Args:
        outcome: What the predictor made of a batch.
        positions: The position of each rejected row.
    """
    rejections = outcome.rejections
    columns = [
        positions,
        pa.array([str(rejection.reason) for rejection in rejections], pa.string()),
        pa.array([rejection.field for rejection in rejections], pa.string()),
        pa.array([rejection.detail for rejection in rejections], pa.string()),
    ]
    return pa.record_batch(columns, schema=REJECTION_SCHEMA)


def as_list(ids: IdValues) -> Sequence[Any]:
    """Ids as Python values."""
    return ids.to_pylist() if isinstance(ids, pa.Array) else ids


def _key_type(model: Model) -> pa.DataType:
    return pa.int64() if model.schema.key_type == "integer" else pa.string()


def _ids(ids: IdValues, kind: pa.DataType) -> pa.Array:
    if isinstance(ids, pa.Array):
        return ids.cast(kind)
    if pa.types.is_string(kind):
        ids = [None if value is None else str(value) for value in ids]
    return pa.array(ids, kind)


def _repeated(value: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))
