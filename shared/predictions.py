"""Predictions as they are written: ids, JSON for the output topic, and Arrow columns for files.

Both encodings hold the same fields, so that a prediction of the stream and one of the batch path can be
laid side by side: `prediction_id`, `customer_id`, `event_id` when given, `score`, the decision under the
model's own name, `threshold`, `model` and `model_sha256`.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

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


def position_prefix(*place: str | int) -> str:
    """The part of a position that a batch of rows shares: `topic/partition/` or `file/`."""
    return "".join(f"{part}/" for part in place)


class PredictionEncoder:
    """Writes an outcome's predictions as JSON values, one a row, in the shortest form of each number.

    The value is a pure function of the event, its position and the model: it holds no clock, host or
    random id, so that a replay writes the same bytes.
    """

    def __init__(self, model: Model) -> None:
        decision = model.decision_name
        self._row = msgspec.defstruct(
            "EncodedPrediction",
            [
                ("id", str),
                ("customer_id", int | str),
                ("event_id", int | str | None),
                ("score", float),
                ("decision", bool),
            ],
            rename={"id": "prediction_id", "decision": decision},
            gc=False,
        )
        self._row_without_event_id = msgspec.defstruct(
            "EncodedPredictionWithoutEventId",
            [("id", str), ("customer_id", int | str), ("score", float), ("decision", bool)],
            rename={"id": "prediction_id", "decision": decision},
            gc=False,
        )
        self._encode_lines = msgspec.json.Encoder().encode_lines
        constant = {"threshold": model.threshold, "model": model.id, "model_sha256": model.short_sha256}
        # A JSON text holds no raw line break, so `}` before one is always the end of a row.
        self._end = b"," + msgspec.json.encode(constant)[1:] + b"\n"

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
        customers = as_list(outcome.customer_ids)
        scores, decisions = outcome.scores.tolist(), outcome.decisions.tolist()
        if outcome.event_ids is None:
            rows: Any = map(self._row_without_event_id, ids, customers, scores, decisions)
        else:
            rows = [
                self._row(identity, customer, event, score, decision)
                if event is not None
                else self._row_without_event_id(identity, customer, score, decision)
                for identity, customer, event, score, decision in zip(
                    ids, customers, as_list(outcome.event_ids), scores, decisions, strict=True
                )
            ]
        lines = self._encode_lines(list(rows)).replace(b"}\n", self._end)
        return lines.split(b"\n")[:-1]


def prediction_schema(model: Model) -> pa.Schema:
    """The Arrow schema of a model's predictions."""
    return pa.schema(
        [
            pa.field("prediction_id", pa.string(), nullable=False),
            pa.field("customer_id", _key_type(model), nullable=False),
            pa.field("event_id", pa.string()),
            pa.field("score", pa.float64(), nullable=False),
            pa.field(model.decision_name, pa.bool_(), nullable=False),
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
        pa.array(np.full(count, model.threshold)),
        _repeated(model.id, count),
        _repeated(model.short_sha256, count),
    ]
    return pa.record_batch(columns, schema=prediction_schema(model))


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
