"""Record batches (format 2) to columns, without an object a record; shared/kafka/encode.py is the other way.

The bytes here are those after the batch header, uncompressed; shared/kafka/encode.py names their fields.
Usual batches are read field by field over all records, with numpy; others record by record.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from kafka.errors import CorruptRecordError
from numpy.typing import NDArray

from shared.kafka.columns import Header
from shared.kafka.encode import NAME_ERRORS, varint

# Below this many records numpy's fixed cost is more than it saves.
_FEW_ROWS = 50
_LONGEST_VARINT = 70

_Ints = NDArray[np.int64]


class RawBatch(NamedTuple):
    """One record batch, to be decoded.

    Attributes:
        body: Its bytes after the header, uncompressed.
        rows: How many records the header names.
        base_offset: The offset that the offset deltas count from.
        first_timestamp: The timestamp that the deltas count from, milliseconds since the epoch.
        append_time: The broker's timestamp for all records, when the topic uses LogAppendTime.
    """

    body: bytes
    rows: int
    base_offset: int
    first_timestamp: int
    append_time: int | None = None


class Decoded(NamedTuple):
    """The columns of record batches; see `RecordColumns` for their meaning."""

    offsets: list[int]
    timestamps: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: dict[int, list[Header]]

    def extend(self, later: "Decoded") -> None:
        """Appends the columns of later records."""
        shift = len(self.offsets)
        self.headers.update({row + shift: headers for row, headers in later.headers.items()})
        self.offsets.extend(later.offsets)
        self.timestamps.extend(later.timestamps)
        self.keys.extend(later.keys)
        self.values.extend(later.values)


def decode_records(batches: Sequence[RawBatch]) -> Decoded:
    """Decodes consecutive record batches of one partition: small ones together, which is far quicker.

    Raises:
        CorruptRecordError: The bytes of one are not as many whole records as its header names.
    """
    if sum(batch.rows for batch in batches) >= _FEW_ROWS:
        decoded = _decode_by_column(batches)
        if decoded is not None:
            return decoded
    if len(batches) == 1:
        return _decode_by_row(batches[0])
    # One that is not of the usual shape does not slow the others down.
    decoded = Decoded([], [], [], [], {})
    for batch in batches:
        decoded.extend(decode_records([batch]))
    return decoded


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


def _decode_by_row(batch: RawBatch) -> Decoded:
    try:
        decoded = _rows(batch)
    except (IndexError, ValueError) as error:
        raise CorruptRecordError(f"Found invalid record structure: {error!r}") from error
    return (
        decoded
        if batch.append_time is None
        else decoded._replace(timestamps=[batch.append_time] * batch.rows)
    )


def _rows(batch: RawBatch) -> Decoded:
    body, count, base_offset, first_timestamp, _ = batch
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
    encoded = [varint(number) for number in range(1 << 13)]
    lengths = np.array(list(map(len, encoded)), dtype=np.uint8)
    padded = np.frombuffer(b"".join(text.ljust(2, b"\0") for text in encoded), dtype=np.uint8)
    return padded[::2].copy(), padded[1::2].copy(), lengths


def _behind_rising_offsets(bytes_: NDArray[np.uint8], at: _Ints, places: _Ints) -> _Ints | None:
    """Where the fields behind the offset deltas begin when these are as `places`; None when they are not.

    They are where nothing was compacted away.

    Args:
        bytes_: The records.
        at: Where the offset deltas begin.
        places: The place of each record in its batch: 0, 1, 2 ...
    """
    first, second, lengths = _offset_deltas()
    last = int(places.max())
    if last >= len(first) or (bytes_.take(at) != first.take(places)).any():
        return None
    if last < 64:
        return at + 1
    long = np.flatnonzero(places >= 64)
    if (bytes_.take(at.take(long) + 1) != second.take(places.take(long))).any():
        return None
    return at + lengths.take(places)


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


def _joined(batches: Sequence[RawBatch]) -> tuple[bytes, _Ints, list[int]] | None:
    """All batches' records in one piece, where each begins and the last ends, and where each batch ends.

    The last are numbers of records. None when a batch does not have the records that it should.
    """
    body = batches[0].body if len(batches) == 1 else b"".join([batch.body for batch in batches])
    bounds = np.array(_bounds(body), dtype=np.int64)
    stops = list(itertools.accumulate(batch.rows for batch in batches))
    sizes = itertools.accumulate(len(batch.body) for batch in batches)
    if len(bounds) != stops[-1] + 1 or bounds.take(stops).tolist() != list(sizes):
        return None
    return body, bounds, stops


def _decode_by_column(batches: Sequence[RawBatch]) -> Decoded | None:
    """As `_decode_by_row`, field by field over all records; None when a batch is not of the usual shape."""
    try:
        joined = _joined(batches)
        if joined is None:
            return None
        body, bounds, stops = joined
        rows = [batch.rows for batch in batches]
        places = np.arange(stops[-1])
        if len(batches) > 1:
            places -= np.repeat(np.array(stops) - rows, rows)
        data = np.frombuffer(body, dtype=np.uint8)
        lengths, at = _varint_column(data, bounds[:-1])
        if (at + lengths != bounds[1:]).any():
            return None
        deltas, at = _varint_column(data, at + 1)  # after the attributes, which are unused
        behind = _behind_rising_offsets(data, at, places)
        if behind is None:
            places, at = _varint_column(data, at)
        else:
            at = behind
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
    offsets = _counted_from([batch.base_offset for batch in batches], places, rows)
    timestamps = _counted_from([batch.first_timestamp for batch in batches], deltas, rows)
    for batch, stop in zip(batches, stops, strict=True):
        if batch.append_time is not None:
            timestamps[stop - batch.rows : stop] = [batch.append_time] * batch.rows
    return Decoded(offsets, timestamps, keys, values, headers)


def _counted_from(bases: list[int], deltas: _Ints, rows: list[int]) -> list[int]:
    """Each batch's deltas counted from its base."""
    numbers: list[int] = (deltas + (np.repeat(bases, rows) if len(bases) > 1 else bases[0])).tolist()
    return numbers
