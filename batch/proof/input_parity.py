"""How the inputs of the stream's events compare with those of the batch side's rows, field by field.

Values are compared as the validator made them of their declared types, numbers to the bit; the customer's id
as its text, since a CSV file does not say whether an id is a number; `occurred_at` as the instant that it
names, in microseconds, where both sides have one. The validator makes nothing of an event or row that it
refuses: of it only the field at fault is compared, and differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from batch.proof.result import FeatureParity
from shared.schema import OCCURRED_AT, Reason, Schema

Mask = npt.NDArray[np.bool_]

#: Where no field differs.
SAME: Final = -1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of some events, or of the rows beside them.

    Attributes:
        values: What the validator made of them: a struct as `inputs_type` of shared/columnar.py says; null
            where it refused them.
        occurred: What `instants` made of their `occurred_at`.
        reasons: Why they were refused; null where they were not.
        fields: The field at fault; null where they were not refused, or as a whole.
        raw: What that field held, as text.
    """

    values: pa.StructArray
    occurred: pa.Int64Array
    reasons: pa.StringArray
    fields: pa.StringArray
    raw: pa.StringArray

    def take(self, rows: npt.NDArray[np.int64]) -> "Inputs":
        """Some of them."""
        columns = (self.values, self.occurred, self.reasons, self.fields, self.raw)
        return Inputs(*(column.take(pa.array(rows)) for column in columns))

    def shown(self, row: int, field: str) -> str | None:
        """What a field holds, as text; None where it has no value.

        Args:
            row: The event or row.
            field: Its field.
        """
        if self.fields[row].as_py() == field:
            return _as_text(self.raw[row].as_py())
        if not self.values[row].is_valid:
            return None
        if field == OCCURRED_AT:
            micros = self.occurred[row].as_py()
            return None if micros is None else f"{np.datetime64(micros, 'us')}Z"
        return _as_text(self.values[row][field].as_py())


@dataclass(slots=True)
class _Counts:
    compared: int = 0
    mismatched: int = 0
    missing: int = 0
    extra: int = 0


class InputParity:
    """Compares inputs, and counts.

    Args:
        schema: What both sides were validated by.
        joined_by_key: Whether pairs have the same customer because they were joined by it.
    """

    def __init__(self, schema: Schema, *, joined_by_key: bool) -> None:
        self._key = schema.key
        ids = [] if joined_by_key else [schema.key]
        self.fields = [*ids, OCCURRED_AT, *(feature.name for feature in schema.features)]
        self._counts = {name: _Counts() for name in self.fields}

    def compare(self, events: Inputs, rows: Inputs) -> npt.NDArray[np.int64]:
        """Compares pairs of event and row.

        Args:
            events: The stream's side.
            rows: The batch's, as many.

        Returns:
            For each pair the place in `fields` of the first that differs, or SAME.
        """
        first = np.full(len(events.values), SAME, np.int64)
        valid = [_mask(side.values.is_valid()) for side in (events, rows)]
        both, one = valid[0] & valid[1], valid[0] ^ valid[1]
        for place, name in enumerate(self.fields):
            counts = self._counts[name]
            compared, mismatched, missing, extra = both, *self._differing(name, events, rows, both)
            for side, only in ((events, missing), (rows, extra)):
                at_fault = one & _mask(pc.fill_null(pc.equal(side.fields, name), False))
                absent = at_fault & _mask(pc.fill_null(pc.equal(side.reasons, Reason.MISSING_FIELD), False))
                np.logical_or(only, absent, out=only)
                mismatched |= at_fault & ~absent
                compared = compared | at_fault
            if name == OCCURRED_AT:
                compared = mismatched | (both & _given(events.occurred) & _given(rows.occurred))
            found = [int(np.count_nonzero(mask)) for mask in (compared, mismatched, missing, extra)]
            counts.compared += found[0]
            counts.mismatched += found[1]
            counts.missing += found[2]
            counts.extra += found[3]
            first[(first == SAME) & (mismatched | missing | extra)] = place
        return first

    def parity(self) -> list[FeatureParity]:
        """How each field compares; `occurred_at` only where both sides have one somewhere."""
        return [
            FeatureParity(
                feature=name,
                compared=counts.compared,
                mismatched=counts.mismatched,
                missing=counts.missing,
                extra=counts.extra,
            )
            for name, counts in self._counts.items()
            if name != OCCURRED_AT or counts.compared
        ]

    def _differing(self, name: str, events: Inputs, rows: Inputs, both: Mask) -> tuple[Mask, Mask, Mask]:
        """Where two valid sides have other values, only the row has one, and only the event has one."""
        if name == OCCURRED_AT:
            given = [_given(side.occurred) for side in (events, rows)]
            other = ~_equal(events.occurred, rows.occurred)
            nowhere = np.zeros(len(both), np.bool_)
            return both & given[0] & given[1] & other, nowhere, nowhere.copy()
        sides = [pc.struct_field(side.values, [name]) for side in (events, rows)]
        given = [_given(side) for side in sides]
        if name == self._key:
            sides = [side.cast(pa.string()) for side in sides]
        other = ~_equal(*sides)
        return both & given[0] & given[1] & other, both & ~given[0] & given[1], both & given[0] & ~given[1]


def _equal(left: pa.Array, right: pa.Array) -> Mask:
    """Where two columns of one type hold the same value: of numbers the same bits. Null is of no meaning."""
    left, right = (
        side.dictionary_decode() if pt.is_dictionary(side.type) else side for side in (left, right)
    )
    if pt.is_floating(left.type):
        left, right = (side.view(pa.int64()) for side in (left, right))
    return _mask(pc.fill_null(pc.equal(left, right), False))


def _given(array: pa.Array) -> Mask:
    return _mask(array.is_valid())


def _mask(array: pa.Array) -> Mask:
    mask: Mask = array.to_numpy(zero_copy_only=False).astype(np.bool_)
    return mask


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    # The shortest text that reads back to the same float64: another text for other bits.
    return repr(value) if isinstance(value, float) else None if value is None else str(value)


def instants(times: pa.Array | None, count: int) -> pa.Int64Array:
    """The instants that times name, in microseconds since 1970; null for what is no time.

    Args:
        times: RFC 3339 texts, or timestamps, which are in UTC where they have no zone; None: there are none.
        count: How many.
    """
    if times is None:
        return pa.nulls(count, pa.int64())
    if pt.is_dictionary(times.type):
        times = times.dictionary_decode()
    if pt.is_timestamp(times.type):
        return times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64())
    if not (pt.is_string(times.type) or pt.is_large_string(times.type)):
        return pa.nulls(count, pa.int64())
    return pa.array(_instants(times.to_pylist()), pa.int64())


def _instants(texts: Sequence[str | None]) -> list[int | None]:
    return [None if text is None else _instant(text) for text in texts]


def _instant(text: str) -> int | None:
    """The instant of an RFC 3339 time; None for another text."""
    # Python knows no leap second: it is the one before, and a second.
    leap = text[17:19] == "60"
    try:
        time = datetime.fromisoformat((f"{text[:17]}59{text[19:]}" if leap else text).upper())
    except ValueError:
        return None
    if time.tzinfo is None:
        return None
    return (time - _EPOCH) // _MICROSECOND + (1_000_000 if leap else 0)
