"""When events happened: their own `occurred_at`, or else the timestamp of their record."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from pydantic_core import from_json

from batch.advice.runs import Times
from shared.cells import blank_to_null
from shared.formats.base import Chunk
from shared.moments import moment
from shared.schema import OCCURRED_AT

#: Stands for no time.
NO_TIME: Final = np.iinfo(np.int64).min
_TICKS_A_MILLISECOND: Final = {"us": 10**3, "ns": 10**6}


class _Event(msgspec.Struct):
    occurred_at: str | None = None


_DECODE: Final = msgspec.json.Decoder(_Event).decode


def times_of(chunk: Chunk, rows: npt.NDArray[np.int64], *, records: bool) -> Times:
    """When valid rows happened, in milliseconds since 1970; NO_TIME where nothing says it.

    Args:
        chunk: Where they stand.
        rows: Their places in the chunk.
        records: Whether they are records of a topic, which have a timestamp of their own.
    """
    if chunk.values is not None:
        return _of_events([chunk.values[row] for row in rows.tolist()])
    places = pa.array(rows)
    if records:
        own = _of_events(_column(chunk, "value").take(places).to_pylist())
        return np.where(own == NO_TIME, record_times(chunk, rows), own)
    if chunk.batch is None or OCCURRED_AT not in chunk.batch.schema.names:
        return np.full(len(rows), NO_TIME)
    column = _column(chunk, OCCURRED_AT).take(places)
    return _of_column(blank_to_null(column) if chunk.text else column)


def record_times(chunk: Chunk, rows: npt.NDArray[np.int64]) -> Times:
    """The timestamps of records of a topic, in milliseconds since 1970; NO_TIME where one has none."""
    stamped: Times = _column(chunk, "timestamp").cast(pa.int64()).to_numpy()[rows]
    return np.where(stamped < 0, NO_TIME, stamped)


def _column(chunk: Chunk, name: str) -> pa.Array:
    # Of a repeated name the last counts, as it does for the validator.
    batch: pa.RecordBatch = chunk.batch
    return batch.column(batch.schema.get_all_field_indices(name)[-1])


def _of_column(column: pa.Array) -> Times:
    """A valid column of times: timestamps, or RFC 3339 texts."""
    if pt.is_timestamp(column.type):
        ticks: Times = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
        unit = column.type.unit
        found = ticks * 1_000 if unit == "s" else ticks // _TICKS_A_MILLISECOND.get(unit, 1)
        return np.where(pc.is_null(column).to_numpy(zero_copy_only=False), NO_TIME, found)
    return _of_texts(column.to_pylist())


def _of_events(values: Sequence[bytes]) -> Times:
    """Of events that the validator accepts."""
    try:
        texts = [event.occurred_at for event in map(_DECODE, values)]
    except msgspec.DecodeError:
        # The validator takes some that this decoder does not, such as a NaN in a field that is ignored.
        texts = [from_json(value, allow_inf_nan=True).get(OCCURRED_AT) for value in values]
    return _of_texts(texts)


def _of_texts(texts: Sequence[str | None]) -> Times:
    """Of valid RFC 3339 texts."""
    found = np.full(len(texts), NO_TIME)
    given = [text for text in texts if text is not None]
    if not given:
        return found
    try:
        # In microseconds: Arrow refuses what it cannot hold in full.
        micros = pa.array(given, pa.string()).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        times: Times = micros.to_numpy() // 1_000
    except pa.ArrowInvalid:
        # Nanoseconds, small letters, leap seconds.
        times = np.array([moment(text, 0) for text in given], np.int64)
    found[[text is not None for text in texts]] = times
    return found
