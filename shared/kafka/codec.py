"""Record batches (format 2) to columns and back, without an object a record.

The bytes here are those after the batch header: `Records => [Record]` of the Kafka protocol, uncompressed.

    Record => Length:varint Attributes:int8 TimestampDelta:varlong OffsetDelta:varint
              Key:bytes Value:bytes Headers:[String bytes]

A length of -1 stands for null. Numbers are zigzag varints. tests/laws holds both directions against the
client library's own codec.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from kafka.errors import CorruptRecordError
from numpy.typing import NDArray

from shared.kafka.columns import Header

# Most records that one encoded batch may hold; larger batches gain nothing and bound the tables below.
MAX_ROWS = 16_384
# Bytes of a record batch before its records.
BATCH_HEADER = 61
# Upper bound of what a record needs beside its key, value and headers: five varints, attributes, delta.
RECORD_OVERHEAD = 36
# A header's name should be UTF-8, but one that is not must stop nobody: its bytes come out as they went in.
NAME_ERRORS = "surrogateescape"
# Below this many records numpy's fixed cost is more than it saves.
_FEW_ROWS = 50
# Lengths below this come from a table.
_TABLE = 65_536
_NULL = b"\x01"
_ZERO = b"\x00"
_NO_HEADER = bytes(BATCH_HEADER)
_LONGEST_VARINT = 70

_Ints = NDArray[np.int64]


class Decoded(NamedTuple):
    """The columns of one record batch; see `RecordColumns` for their meaning."""

    offsets: list[int]
    timestamps: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: dict[int, list[Header]]


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


# --- writing ------------------------------------------------------------------------------------------


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


# --- reading ------------------------------------------------------------------------------------------


def decode_records(
    body: bytes, count: int, base_offset: int, first_timestamp: int, append_time: int | None = None
) -> Decoded:
    """Decodes one record batch.

    Args:
        body: The batch's bytes after its header, uncompressed.
        count: How many records the header names.
        base_offset: The offset that the offset deltas count from.
        first_timestamp: The timestamp that the deltas count from, milliseconds since the epoch.
        append_time: The broker's timestamp for all records, when the topic uses LogAppendTime.

    Raises:
        CorruptRecordError: The bytes are not `count` whole records.
    """
    decoded = None
    if count >= _FEW_ROWS:
        decoded = _decode_by_column(body, count, base_offset, first_timestamp)
    if decoded is None:
        try:
            decoded = _decode_by_row(body, count, base_offset, first_timestamp)
        except (IndexError, ValueError) as error:
            raise CorruptRecordError(f"Found invalid record structure: {error!r}") from error
    return decoded if append_time is None else decoded._replace(timestamps=[append_time] * count)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where the next field begins."""
    number = shift = 0
    while True:
        byte = body[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift > _LONGEST_VARINT:
            raise ValueError("a number longer than 64 bits")


def _read_bytes(body: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _read_varint(body, at)
    if length < 0:
        return None, at
    return body[at : at + length], at + length


def _read_headers(body: bytes, at: int) -> tuple[list[Header], int]:
    count, at = _read_varint(body, at)
    if count < 0:
        raise ValueError(f"{count} headers")
    headers: list[Header] = []
    for _ in range(count):
        # Tracing puts headers on every event: lengths of one byte, nearly all of them, are read in place.
        length = body[at]
        if length & 129:
            length, at = _read_varint(body, at)
            if length < 0:
                raise ValueError("a header without a name")
        else:
            length, at = length >> 1, at + 1
        name = body[at : at + length].decode(errors=NAME_ERRORS)
        at += length
        length = body[at]
        if length & 129:
            value, at = _read_bytes(body, at)
        else:
            at += 1
            value = body[at : at + (length >> 1)]
            at += length >> 1
        headers.append((name, value))
    return headers, at


def _decode_by_row(body: bytes, count: int, base_offset: int, first_timestamp: int) -> Decoded:
    decoded = Decoded([], [], [], [], {})
    at = 0
    for row in range(count):
        length, at = _read_varint(body, at)
        end = at + length
        delta, at = _read_varint(body, at + 1)  # after the attributes, which are unused
        decoded.timestamps.append(first_timestamp + delta)
        delta, at = _read_varint(body, at)
        decoded.offsets.append(base_offset + delta)
        key, at = _read_bytes(body, at)
        decoded.keys.append(key)
        value, at = _read_bytes(body, at)
        decoded.values.append(value)
        if body[at] == 0:
            at += 1
        else:
            decoded.headers[row], at = _read_headers(body, at)
        if at != end:
            raise ValueError(f"record {row} should end at byte {end}, but ends at {at}")
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes after the last record")
    return decoded


def _bounds(body: bytes) -> list[int]:
    """Where each record's length begins, and where the last record ends."""
    bounds: list[int] = []
    found = bounds.append
    at, end = 0, len(body)
    while at < end:
        found(at)
        low = body[at]
        if low < 128:
            at += 1 + (low >> 1)
        elif (high := body[at + 1]) < 128:
            at += 2 + ((low & 127) >> 1) + (high << 6)
        else:
            length, at = _read_varint(body, at)
            if length < 0:
                raise ValueError("a record of negative length")
            at += length
    found(at)
    return bounds


def _varint_column(bytes_: NDArray[np.uint8], at: _Ints) -> tuple[_Ints, _Ints]:
    """The number at each position, and where each next field begins; ValueError beyond three bytes."""
    # A record batch of a busy topic has under a hundred records: what counts is how many arrays are made.
    first = bytes_.take(at)
    if first.max() < 128:
        return _one_byte_numbers().take(first), at + 1
    second = bytes_.take(at + 1)
    number = first.astype(np.int64)
    if first.min() >= 128 and second.max() < 128:
        number += second.astype(np.int64) << 7
        number -= 128
        return (number >> 1) ^ -(number & 1), at + 2
    more = first >= 128
    number = np.where(more, (number & 127) | (second.astype(np.int64) << 7), number)
    at = at + 1 + more
    more &= second >= 128
    if more.any():
        third = bytes_.take(at).astype(np.int64)
        if (third[more] >= 128).any():
            raise ValueError("long numbers")
        number = np.where(more, (number & 0x3FFF) | (third << 14), number)
        at = at + more
    return (number >> 1) ^ -(number & 1), at


@functools.cache
def _one_byte_numbers() -> _Ints:
    numbers = np.arange(128)
    return (numbers >> 1) ^ -(numbers & 1)


@functools.cache
def _offset_deltas() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """First byte, second byte and length of each row's number, for as many as two bytes have."""
    encoded = _varints()[: 1 << 13]
    lengths = np.array(list(map(len, encoded)), dtype=np.uint8)
    padded = np.frombuffer(b"".join(text.ljust(2, _ZERO) for text in encoded), dtype=np.uint8)
    return padded[::2].copy(), padded[1::2].copy(), lengths


def _behind_rising_offsets(bytes_: NDArray[np.uint8], at: _Ints) -> _Ints | None:
    """Where the fields behind the offset deltas begin when these are 0, 1, 2 ...; None when they are not.

    They are where nothing was compacted away.
    """
    first, second, lengths = _offset_deltas()
    count = len(at)
    if count > len(first) or (bytes_.take(at) != first[:count]).any():
        return None
    # Those of one byte come first.
    if count > 64 and (bytes_.take(at[64:] + 1) != second[64:count]).any():
        return None
    return at + lengths[:count]


def _slices(body: bytes, lengths: _Ints, starts: _Ints) -> tuple[list[bytes | None], _Ints]:
    """The bytes of a column, and where each next field begins."""
    shortest = int(lengths.min())
    if shortest >= 0:
        ends = starts + lengths
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        return [body[start:end] for start, end in pairs], ends
    if int(lengths.max()) < 0:
        return [None] * len(lengths), starts
    ends = starts + np.maximum(lengths, 0)
    triples = zip(starts.tolist(), ends.tolist(), (lengths < 0).tolist(), strict=True)
    return [None if null else body[start:end] for start, end, null in triples], ends


def _decode_by_column(body: bytes, count: int, base_offset: int, first_timestamp: int) -> Decoded | None:
    """As `_decode_by_row`, field by field over all records; None when the batch is not of the usual shape."""
    try:
        bounds = np.array(_bounds(body), dtype=np.int64)
        if len(bounds) != count + 1 or bounds[-1] != len(body):
            return None
        data = np.frombuffer(body, dtype=np.uint8)
        lengths, at = _varint_column(data, bounds[:-1])
        if (at + lengths != bounds[1:]).any():
            return None
        deltas, at = _varint_column(data, at + 1)  # after the attributes, which are unused
        behind = _behind_rising_offsets(data, at)
        if behind is None:
            numbers, at = _varint_column(data, at)
            offsets = (numbers + base_offset).tolist()
        else:
            offsets, at = list(range(base_offset, base_offset + count)), behind
        lengths, at = _varint_column(data, at)
        keys, at = _slices(body, lengths, at)
        lengths, at = _varint_column(data, at)
        values, at = _slices(body, lengths, at)
        headers: dict[int, list[Header]] = {}
        with_headers = np.flatnonzero(data[at]).tolist()
        at = at + 1
        for row in with_headers:
            headers[row], at[row] = _read_headers(body, int(at[row]) - 1)
    except (IndexError, ValueError):
        return None
    if (at != bounds[1:]).any():
        return None
    timestamps = (deltas + first_timestamp).tolist() if deltas.any() else [first_timestamp] * count
    return Decoded(offsets, timestamps, keys, values, headers)
