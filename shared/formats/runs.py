"""Files that consist of pieces with known numbers of rows: row groups, record batches."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from shared.formats.base import Rows, Split


def runs(counts: Sequence[int], size: int, most: int) -> list[Split]:
    """Splits of whole pieces, each of at most so many rows; a larger piece is one of its own.

    Args:
        counts: How many rows each piece has.
        size: The length of the file in bytes, which is shared out by rows.
        most: The most rows of a split.
    """
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    splits, begin, total = [], 0, int(ends[-1])
    while begin < len(counts):
        first = int(ends[begin])
        end = max(begin + 1, int(np.searchsorted(ends, first + most, side="right")) - 1)
        rows = int(ends[end]) - first
        splits.append(Split(first, rows, size * rows // total if total else size, begin, end))
        begin = end
    return splits or [Split(0, 0, size, 0, 0)]


def pick(batch: pa.RecordBatch, first: int, rows: Rows) -> pa.RecordBatch | None:
    """Those rows of a batch that are asked for; None when there are none.

    Args:
        batch: Rows of a file.
        first: The number of the first.
        rows: The numbers of those to give, ascending.
    """
    here = rows[slice(*np.searchsorted(rows, (first, first + batch.num_rows)).tolist())]
    return batch.take(pa.array(here - first)) if len(here) else None


def sliced(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """A batch, so many rows at a time."""
    for start in range(0, batch.num_rows, most):
        yield batch.slice(start, most)
