"""Columns to record batches (format 2), without an object a record; shared/kafka/decode.py is the other way.

The bytes behind the batch header are `Records => [Record]` of the Kafka protocol:

    Record => Length:varint Attributes:int8 TimestampDelta:varlong OffsetDelta:varint
              Key:bytes Value:bytes Headers:[String bytes]

A length of -1 stands for null. Numbers are zigzag varints. tests/laws holds both directions against the
client library's own codec.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from shared.kafka.columns import Header

# Most records that one encoded batch may hold; larger batches gain nothing and bound the tables below.
MAX_ROWS = 16_384
# Bytes of a record batch before its records.
BATCH_HEADER = 61
# Upper bound of what a record needs beside its key, value and headers: five varints, attributes, delta.
RECORD_OVERHEAD = 36
# A header's name should be UTF-8, but one that is not must stop nobody: its bytes come out as they went in.
NAME_ERRORS = "surrogateescape"
# Lengths below this come from a table.
_TABLE = 65_536
_NULL = b"\x01"
_ZERO = b"\x00"
_NO_HEADER = bytes(BATCH_HEADER)


class Encoded(NamedTuple):
    """One record batch, and what its header must say of it.

    Attributes:
        buffer: `BATCH_HEADER` zero bytes, which the header goes to, and the records.
        rows: How many records.
        first_timestamp: The timestamp that the deltas count from, milliseconds since the epoch.
        max_timestamp: The latest one.
    """

    buffer: bytearray
    rows: int
    first_timestamp: int
    max_timestamp: int


def varint(number: int) -> bytes:
    """A zigzag varint, as the Kafka protocol writes numbers within records."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


@functools.cache
def _varints() -> list[bytes]:
    return [varint(number) for number in range(_TABLE)]


@functools.cache
def _first_fields() -> list[bytes]:
    """Attributes, a timestamp delta of zero and the offset delta, for every row a batch can have."""
    return [b"\x00\x00" + offset for offset in _varints()[:MAX_ROWS]]


def _first_fields_at(deltas: list[int]) -> list[bytes]:
    """As `_first_fields`, for records of these timestamp deltas."""
    table = _varints()
    in_table = min(deltas) >= 0 and max(deltas) < _TABLE
    encoded = map(table.__getitem__, deltas) if in_table else map(varint, deltas)
    return list(map(b"".join, zip(itertools.repeat(_ZERO), encoded, table, strict=False)))


def _prefixed(column: Sequence[bytes | None]) -> tuple[list[bytes], Sequence[Any]]:
    """The length prefix of each value, and the values with nothing in place of null."""
    table = _varints()
    try:
        return list(map(table.__getitem__, map(len, column))), column  # type: ignore[arg-type]  # the except is for null
    except (TypeError, IndexError):
        prefixes = [_NULL if value is None else varint(len(value)) for value in column]
        return prefixes, [b"" if value is None else value for value in column]


def _encoded_headers(headers: Sequence[Header]) -> bytes:
    parts = [varint(len(headers))]
    for name, value in headers:
        encoded = name.encode(errors=NAME_ERRORS)
        parts += (varint(len(encoded)), encoded)
        parts += (_NULL,) if value is None else (varint(len(value)), value)
    return b"".join(parts)


def encode_records(
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    headers: Sequence[Sequence[Header]] | None,
    timestamp: int | Sequence[int],
) -> Encoded:
    """Encodes one record batch, offsets counted from zero.

    Args:
        keys: One key a record, or None.
        values: One value a record, or None.
        headers: One sequence of headers a record; None when no record has any.
        timestamp: Milliseconds since the epoch, for all records or one each.

    Raises:
        ValueError: The columns are empty, longer than `MAX_ROWS`, or of unequal length.
    """
    count = len(values)
    if not 0 < count <= MAX_ROWS or len(keys) != count or (headers is not None and len(headers) != count):
        raise ValueError(f"{len(keys)} keys, {count} values: not one record batch")
    first_fields: Iterable[bytes] = _first_fields()
    if isinstance(timestamp, int):
        first = last = timestamp
    else:
        if len(timestamp) != count:
            raise ValueError(f"{len(timestamp)} timestamps for {count} values")
        first, last = timestamp[0], max(timestamp)
        if last != first or min(timestamp) != first:
            first_fields = _first_fields_at([at - first for at in timestamp])
    key_lengths, key_bytes = _prefixed(keys)
    value_lengths, value_bytes = _prefixed(values)
    tails = [_ZERO] * count if headers is None else [_encoded_headers(of_row) for of_row in headers]
    # All work a record is in C: join, len and slice assignment.
    fields = zip(first_fields, key_lengths, key_bytes, value_lengths, value_bytes, tails, strict=False)
    bodies = list(map(b"".join, fields))
    pieces = [_NO_HEADER] * (2 * count + 1)
    pieces[1::2] = _prefixed(bodies)[0]
    pieces[2::2] = bodies
    return Encoded(bytearray().join(pieces), count, first, last)
