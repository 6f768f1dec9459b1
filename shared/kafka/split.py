"""Cutting records into batches that a topic takes."""

import itertools
from bisect import bisect_right
from collections.abc import Sequence

from shared.kafka.columns import Header, NewRecords
from shared.kafka.encode import BATCH_HEADER, MAX_ROWS, NAME_ERRORS, RECORD_OVERHEAD

_HEADER_OVERHEAD = 10


def spans(records: NewRecords, limit: int) -> list[tuple[int, int]]:
    """Where to cut, so that each batch keeps to `limit` bytes and to `MAX_ROWS` records.

    Args:
        records: Records of one partition.
        limit: Bytes of a batch, its header included.

    Returns:
        (start, stop) rows of each batch, in order; a record that is larger than the limit stands alone.
    """
    rows = len(records)
    if 0 < rows <= MAX_ROWS and records.headers is None and most_bytes(records) <= limit:
        return [(0, rows)]
    room = limit - BATCH_HEADER
    ends = list(itertools.accumulate(_sizes(records)))
    cuts = []
    start = before = 0
    while start < rows:
        fit = bisect_right(ends, before + room, start, min(rows, start + MAX_ROWS))
        stop = max(fit, start + 1)
        cuts.append((start, stop))
        start, before = stop, ends[stop - 1]
    return cuts


def most_bytes(records: NewRecords) -> int:
    """An upper bound of one uncompressed batch of these records, its header included."""
    return BATCH_HEADER + (_size(records) if records.headers is None else sum(_sizes(records)))


def _size(records: NewRecords) -> int:
    """An upper bound of all records' bytes, when none has headers; no work a record outside of C."""
    values, keys = filter(None, records.values), filter(None, records.keys)
    return sum(map(len, values)) + sum(map(len, keys)) + len(records) * RECORD_OVERHEAD


def _sizes(records: NewRecords) -> list[int]:
    """An upper bound of each record's bytes."""
    keys = [RECORD_OVERHEAD if key is None else len(key) + RECORD_OVERHEAD for key in records.keys]
    sizes = [
        size if value is None else size + len(value) for size, value in zip(keys, records.values, strict=True)
    ]
    if records.headers is None:
        return sizes
    return [size + _headers_size(headers) for size, headers in zip(sizes, records.headers, strict=True)]


def _headers_size(headers: Sequence[Header]) -> int:
    return sum(
        len(name.encode(errors=NAME_ERRORS)) + len(value or b"") + _HEADER_OVERHEAD for name, value in headers
    )
