"""Both sides of a proof against a table, as columns: what they are known by, and what they hold."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from batch.proof.buckets import ID
from batch.proof.input_parity import Inputs, instants
from batch.selection.fields import EventFields, EventReader, without_dictionary
from batch.sources import Scorable, ids_of_rows, positions_of
from shared.columnar import inputs_column, inputs_type
from shared.files import Chunk
from shared.frame import Parsed
from shared.predict import Predictor
from shared.schema import EVENT_ID, OCCURRED_AT, Rejection, Schema

#: What both sides are compared by, in this order; see `Inputs`.
_VALUES, _OCCURRED, _REASON, _FIELD, _RAW = "values", "occurred", "reason", "field", "raw"
_QUOTE: Final = b'"'


class IdReader:
    """Takes the id that rows are joined by out of JSON events.

    Args:
        schema: What a model declares.
        name: The field that holds the id.
    """

    def __init__(self, schema: Schema, name: str) -> None:
        self._name, self._reader = name, EventReader([name], schema)

    def ids(self, values: Sequence[bytes | None]) -> pa.StringArray:
        """The id of each event, as text; null where none can be read."""
        return _ids(EventFields(values, self._reader), self._name)


def rows_schema(schema: Schema) -> pa.Schema:
    """The columns of rows that are laid by."""
    return pa.schema(
        [
            pa.field(ID, pa.string()),
            pa.field("position", pa.string(), nullable=False),
            pa.field("detail", pa.string()),
            pa.field(_VALUES, inputs_type(schema)),
            pa.field(_OCCURRED, pa.int64()),
            pa.field(_REASON, pa.string()),
            pa.field(_FIELD, pa.string()),
            pa.field(_RAW, pa.string()),
        ]
    )


def inputs_of(rows: pa.Table | pa.RecordBatch) -> Inputs:
    """The inputs of rows that were laid by."""
    columns = [rows.column(name) for name in (_VALUES, _OCCURRED, _REASON, _FIELD, _RAW)]
    return Inputs(
        *(pa.concat_arrays(one.chunks) if isinstance(one, pa.ChunkedArray) else one for one in columns)
    )


class Sides:
    """Reads events and rows by the inputs that a model declares.

    Args:
        predictor: The model's.
        on: The field by which they are joined.
    """

    def __init__(self, predictor: Predictor, on: str) -> None:
        self._predictor, self._on = predictor, on
        schema = predictor.model.schema
        self._reader = EventReader(schema.fields, schema)
        self._schema = rows_schema(schema)

    def events(self, values: Sequence[bytes | None]) -> Inputs:
        """The inputs of events."""
        parsed = self._predictor.parse_json(values)
        return self._inputs(
            parsed, EventFields(values, self._reader).operand(OCCURRED_AT, "text"), self._raw(values, parsed)
        )

    def rows(self, source: Scorable) -> Iterator[tuple[pa.RecordBatch, float]]:
        """The rows of a source, as columns of `rows_schema`, and what share of it lies behind them.

        Raises:
            TandemError: The source cannot be read.
        """
        for chunk in source.chunks(self._predictor):
            column = source.events(chunk)
            events = chunk.values if column is None else column.to_pylist()
            rows = (
                self._of_columns(source, chunk) if events is None else self._of_events(source, chunk, events)
            )
            yield rows, chunk.done
            if chunk.rejections:
                yield self._refused(source, chunk.rejections), chunk.done

    def _of_events(self, source: Scorable, chunk: Chunk, values: Sequence[bytes | None]) -> pa.RecordBatch:
        parsed = self._predictor.parse_json(values)
        fields = EventFields(values, self._reader)
        inputs = self._inputs(parsed, fields.operand(OCCURRED_AT, "text"), self._raw(values, parsed))
        return self._batch(source, chunk, _ids(fields, self._on), parsed, inputs)

    def _of_columns(self, source: Scorable, chunk: Chunk) -> pa.RecordBatch:
        batch: Any = chunk.batch
        schema = self._predictor.model.schema
        parsed = self._predictor.parse_table(batch, text=chunk.text)
        pairs = ids_of_rows(batch, range(batch.num_rows), schema, text=chunk.text)
        ids = pa.array(
            [event if self._on == EVENT_ID else customer for customer, event in pairs], pa.string()
        )
        raw = {one.row: _cell(batch, one) for one in parsed.rejections}
        inputs = self._inputs(parsed, _last(batch, OCCURRED_AT), raw)
        return self._batch(source, chunk, ids, parsed, inputs)

    def _batch(
        self, source: Scorable, chunk: Chunk, ids: pa.StringArray, parsed: Parsed, inputs: Inputs
    ) -> pa.RecordBatch:
        details = _sparse({one.row: one.detail for one in parsed.rejections}, parsed.total)
        positions = positions_of(source.place, source.numbers(chunk))
        columns = [
            ids,
            positions,
            details,
            inputs.values,
            inputs.occurred,
            inputs.reasons,
            inputs.fields,
            inputs.raw,
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _refused(self, source: Scorable, rejections: Sequence[Rejection]) -> pa.RecordBatch:
        """Rows that the format refuses: nothing of them can be read, not even an id."""
        rows = [
            {
                "position": f"{source.place}/{one.row}",
                "detail": one.detail,
                _REASON: str(one.reason),
                _FIELD: one.field,
            }
            for one in rejections
        ]
        return pa.RecordBatch.from_pylist(rows, schema=self._schema)

    def _inputs(self, parsed: Parsed, times: pa.Array | None, raw: dict[int, str | None]) -> Inputs:
        schema, total = self._predictor.model.schema, parsed.total
        return Inputs(
            inputs_column(schema, parsed),
            instants(times, total),
            _sparse({one.row: str(one.reason) for one in parsed.rejections}, total),
            _sparse({one.row: one.field for one in parsed.rejections}, total),
            _sparse(raw, total),
        )

    def _raw(self, values: Sequence[bytes | None], parsed: Parsed) -> dict[int, str | None]:
        """By row, what the field at fault of a refused event holds."""
        found: dict[int, str | None] = {}
        for one in parsed.rejections:
            place = None if one.field is None else self._reader.places.get(one.field)
            texts = None if place is None else self._reader.read(values[one.row])
            if place is not None and texts is not None:
                found[one.row] = _json_as_text(texts[place])
        return found


def _ids(fields: EventFields, name: str) -> pa.StringArray:
    whole = fields.operand(name, "whole").cast(pa.string())
    ids = pc.coalesce(fields.operand(name, "text"), whole)
    # An empty text is no id in a CSV file; so it is none anywhere.
    return pc.if_else(pc.equal(ids, ""), pa.scalar(None, pa.string()), ids)


def _last(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    # Of a repeated name the last counts, as it does for the validator.
    places = batch.schema.get_all_field_indices(name)
    return batch.column(places[-1]) if places else None


def _cell(batch: pa.RecordBatch, rejection: Rejection) -> str | None:
    """What the field at fault of a refused row holds."""
    column = None if rejection.field is None else _last(batch, rejection.field)
    if column is None:
        return None
    value = without_dictionary(column.slice(rejection.row, 1))
    try:
        text: str | None = value.cast(pa.string())[0].as_py()
    except pa.ArrowException:  # a list, say
        text = value.to_string(skip_new_lines=True)
    return text


def _json_as_text(value: bytes) -> str | None:
    if value == b"null":
        return None
    if value.startswith(_QUOTE):
        try:
            return msgspec.json.decode(value, type=str)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass  # a text that is no UTF-8 is shown as it stands
    return value.decode(errors="replace")


def _sparse(values: dict[int, str | None] | dict[int, str], total: int) -> pa.StringArray:
    """A column that has a value in some rows."""
    if not values:
        return pa.nulls(total, pa.string())
    column: list[str | None] = [None] * total
    for row, value in values.items():
        column[row] = value
    return pa.array(column, pa.string())
