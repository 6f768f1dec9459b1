"""What a file gives when it is read, and the law that its splits give the same."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError
from shared.files import Chunk, Split, format_of, original_rows, read_file, split_file
from shared.schema import Rejection

Read = tuple[list[tuple[int, Any]], list[Rejection], str]


def collected(chunks: Iterator[Chunk]) -> Read:
    """All rows and rejections, and what was said when it could not go on."""
    rows: list[tuple[int, Any]] = []
    rejections: list[Rejection] = []
    try:
        for chunk in chunks:
            values = (
                chunk.values if chunk.batch is None else [tuple(r.values()) for r in chunk.batch.to_pylist()]
            )
            assert values is not None
            rows += zip(chunk.rows.tolist(), values, strict=True)
            rejections += chunk.rejections
            assert chunk.rows.tolist() == sorted(chunk.rows.tolist())
    except InputError as error:
        return rows, rejections, error.message
    return rows, rejections, ""


def check_splits(path: Path, rows: int = 3, batch_rows: int = 2) -> int:
    """Holds the law for a file.

    Returns:
        How many splits it has.
    """
    whole = collected(read_file(path, batch_rows=batch_rows))
    try:
        splits = split_file(path, rows)
    except InputError as error:
        assert whole[2] == error.message  # noqa: PT017 - both ways must say the same
        return 0
    parts = [collected(read_file(path, split=split, batch_rows=batch_rows)) for split in splits]
    assert [row for part in parts for row in part[0]] == whole[0]
    assert [rejection for part in parts for rejection in part[1]] == whole[1]
    assert [part[2] for part in parts] == [""] * (len(parts) - 1) + [whole[2]]
    assert 0 <= path.stat().st_size - sum(split.size for split in splits) < len(splits)
    for split, part in zip(splits, parts, strict=True):
        numbers = sorted([row for row, _ in part[0]] + [rejection.row for rejection in part[1]])
        assert numbers == list(range(split.first, split.first + len(numbers)))
        assert split.rows in (None, len(numbers))
        assert split.rows is not None or split is splits[-1]
        for skip in {1, 2, len(numbers)}:
            found = collected(read_file(path, split=split, skip=skip, batch_rows=batch_rows))
            kept = split.first + skip
            assert found[0] == [row for row in part[0] if row[0] >= kept]
            assert found[1] == [rejection for rejection in part[1] if rejection.row >= kept]
    return len(splits)


def originals(path: Path, rows: Sequence[int], split: Split | None = None) -> list[dict[str, Any]]:
    """Rows of a file as they stand there: from its chunks, or where it is no text from a second look."""
    numbers = np.array(rows, np.int64)
    if not format_of(path).text:
        found = list(original_rows(path, numbers, split, batch_rows=2))
        return [row for batch in found for row in batch.to_pylist()]
    listed = []
    for chunk in read_file(path, split=split, batch_rows=2):
        own = [*chunk.rows.tolist(), *(rejection.row for rejection in chunk.rejections)]
        assert chunk.originals is not None
        listed += chunk.originals(numbers[np.isin(numbers, own)]).to_pylist()
    return listed
