"""Cutting records into batches that a topic takes."""

import itertools
from bisect import bisect_right
from collections.abc import Sequence

from shared.kafka.codec import MAX_ROWS, RECORD_OVERHEAD, encode_records
from shared.kafka.columns import Header, NewRecords

# What a batch's own header takes of the limit.
BATCH_HEADER = 61
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
    ends = list(itertools.accumulate(_sizes(records)))
    if rows and rows <= MAX_ROWS and ends[-1] <= limit - BATCH_HEADER:
        return [(0, rows)]
    cuts = []
    start = before = 0
    while start < rows:
        fit = bisect_right(ends, before + limit - BATCH_HEADER, start, min(rows, start + MAX_ROWS))
        stop = max(fit, start + 1)
        cuts.append((start, stop))
        start, before = stop, ends[stop - 1]
    return cuts


def batch_size(records: NewRecords) -> int:
    """Exact bytes of one uncompressed batch of these records."""
    encoded = encode_records(records.keys, records.values, records.headers, records.timestamp)
    return BATCH_HEADER + len(encoded.body)


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
    return sum(len(name.encode()) + len(value or b"") + _HEADER_OVERHEAD for name, value in headers)
