"""Snapshots of topics: their columns, and scoring them by columns where the stream would give the same.

A row's `inputs` hold what the validator made of its event, so that scoring them by columns gives the
stream's own scores. A row without them is scored from its event's bytes, for the stream's own reason; so
is a whole snapshot that was parsed for a model which declares its inputs otherwise.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import starmap
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.manifest import MANIFEST_FILE, PartFile, Snapshot, read_manifest
from batch.rejected_rows import texts_of
from batch.sources import Ids, Scorable, Scored, StoredRows, ids_of_events, rejected_table
from shared.errors import InputError
from shared.explanations import joined
from shared.files import Chunk, check_file, original_rows, read_file, split_file
from shared.formats.base import RAW, Split
from shared.frame import MISSING_CODE, Column, Frame, Parsed
from shared.predict import Outcome, Predictor
from shared.predictions import as_list
from shared.schema import EVENT_ID, Input, Reason, Schema
from shared.storage import LocalFile

INPUTS: Final = "inputs"
#: Whether an id was an integer in the event: its column holds text, since another row's may be a string.
_IS_INTEGER: Final = "{} is an integer"

RECORD_SCHEMA: Final = pa.schema(
    [
        pa.field("topic", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
    ]
)
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


def snapshot_schema(schema: Schema | None) -> pa.Schema:
    """The columns of a snapshot, with the parsed inputs of a model if one is given."""
    return RECORD_SCHEMA if schema is None else RECORD_SCHEMA.append(pa.field(INPUTS, inputs_type(schema)))


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


def sources_of_snapshot(folder: Path, predictor: Predictor, batch_rows: int) -> list[Scorable]:
    """The parts of a snapshot, as its manifest lists them.

    Raises:
        InputError: The folder holds something else, or is not whole.
    """
    manifest = read_manifest(folder)
    if not isinstance(manifest, Snapshot):
        raise InputError(
            f"{folder}: it holds predictions, not rows to score",
            hint=f"Score what they were made from: its {MANIFEST_FILE} lists that under inputs.",
        )
    by_columns = manifest.model is not None and manifest.model.inputs == predictor.model.schema
    return [
        SnapshotRows(folder, manifest.topic, part, by_columns=by_columns, batch_rows=batch_rows)
        for part in manifest.parts
    ]


class SnapshotRows(StoredRows):
    """The rows of one part of a snapshot: a row's position is that of its record on the topic."""

    renames = False
    raw = True

    def __init__(
        self, folder: Path, topic: str, part: PartFile, *, by_columns: bool, batch_rows: int
    ) -> None:
        self.file, self.name = LocalFile(folder / part.file), part.file
        self.place = f"{topic}/{part.partition}"
        self.sha256 = part.sha256
        self.format, self.by_events = "parquet", not by_columns
        self._batch_rows = batch_rows
        self._by_columns = by_columns

    @property
    def _wanted(self) -> dict[str, Any]:
        columns = ["offset", "value", *([INPUTS] if self._by_columns else [])]
        return {"columns": columns, "required": columns, "batch_rows": self._batch_rows}

    def check(self, predictor: Predictor) -> None:  # noqa: ARG002 - a snapshot suits any model
        """Looks at the part's footer."""
        check_file(self.file, **self._wanted)

    def splits(self, predictor: Predictor, rows: int) -> list[Split]:  # noqa: ARG002 - a snapshot suits any model
        """Runs of row groups."""
        return split_file(self.file, rows, **self._wanted)

    def chunks(
        self,
        predictor: Predictor,  # noqa: ARG002 - a snapshot suits any model
        split: Split | None = None,
        skip: int = 0,
    ) -> Iterator[Chunk]:
        """The rows of a split."""
        return read_file(self.file, split=split, skip=skip, **self._wanted)

    def score(self, predictor: Predictor, chunk: Chunk) -> Scored:
        """Scores the rows with parsed inputs by columns, and the others from their events' bytes."""
        batch, offsets = chunk.batch, _column(chunk, "offset")
        outcome, ids = self._outcome(predictor, batch)
        positions = self._positions(offsets.take(pa.array([r.row for r in outcome.rejections], pa.int64())))
        return Scored(
            self.place,
            len(chunk.rows),
            outcome,
            self._positions(offsets.take(pa.array(outcome.rows))),
            rejected_table(outcome, positions, ids),
        )

    def events(self, chunk: Chunk) -> pa.Array | None:
        """The records' values."""
        return _column(chunk, "value")

    def numbers(self, chunk: Chunk) -> npt.NDArray[np.int64]:
        """The records' offsets."""
        offsets: npt.NDArray[np.int64] = _column(chunk, "offset").to_numpy()
        return offsets

    def indices(self, chunk: Chunk, outcome: Outcome) -> npt.NDArray[np.int64]:  # noqa: ARG002 - known already
        """The outcome's own row numbers: it counts the chunk's rows."""
        return outcome.rows

    def rejected_rows(self, chunk: Chunk, outcome: Outcome) -> npt.NDArray[np.int64]:
        """The row numbers in the part's file."""
        return chunk.rows[[rejection.row for rejection in outcome.rejections]]

    def at_hand(self, chunk: Chunk, rows: npt.NDArray[np.int64]) -> None:
        """Nothing: the records' keys were not read."""

    def originals(self, split: Split, rows: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
        """The records' keys, as text or else in base64, and their values."""
        for batch in original_rows(self.file, rows, split, batch_rows=self._batch_rows):
            columns = [*texts_of(batch.column("key")), batch.column("value")]
            yield pa.RecordBatch.from_arrays(columns, ["key", "key_base64", RAW])

    def _outcome(self, predictor: Predictor, batch: Any) -> tuple[Outcome, Ids]:
        values, schema = batch.column("value"), predictor.model.schema
        parsed = np.zeros(batch.num_rows, np.bool_)
        if self._by_columns:
            parsed = pc.is_valid(batch.column(INPUTS)).to_numpy(zero_copy_only=False)
        from_bytes = np.flatnonzero(~parsed)
        by_bytes = _at(predictor.score_json(values.take(pa.array(from_bytes)).to_pylist()), from_bytes)
        outcome = by_bytes
        if parsed.any():
            rows = batch.column(INPUTS).filter(pa.array(parsed))
            outcome = _merged(_at(_score_inputs(predictor, rows), np.flatnonzero(parsed)), by_bytes)
        rejected = values.take(pa.array([rejection.row for rejection in outcome.rejections], pa.int64()))
        return outcome, ids_of_events(rejected.to_pylist(), schema.key)

    def _positions(self, offsets: pa.Array) -> pa.StringArray:
        return pc.binary_join_element_wise(self.place, pc.cast(offsets, pa.string()), "/")


def _column(chunk: Chunk, name: str) -> pa.Array:
    return chunk.batch.column(name)  # type: ignore[union-attr] # a snapshot's parts are columns


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
    order = np.argsort(np.concatenate([_valid_rows(left), _valid_rows(right)]))
    theirs = right.frame.columns
    columns = {
        name: np.concatenate([column, theirs[name]])[order] for name, column in left.frame.columns.items()
    }
    return Frame(len(order), columns)


def _valid_rows(outcome: Outcome) -> npt.NDArray[np.int64]:
    """The rows that the model was given: those that it failed for are rejected by it alone."""
    failed = [rejection.row for rejection in outcome.rejections if rejection.reason is Reason.MODEL_ERROR]
    return np.sort(np.concatenate([outcome.rows, np.array(failed, np.int64)]))
