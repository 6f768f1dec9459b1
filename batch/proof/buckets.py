"""Rows laid by in files by a hash of their id, so that two sides of any size are joined a piece at a time.

All rows of an id are in the bucket of one number, on both sides. A bucket is a file of Arrow IPC streams, one
after the other: each is written whole, so that no file stays open between them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch import durable
from shared.errors import InputError

#: The column that rows are laid by by; a null is laid in the first bucket.
ID: Final = "id"
#: About how many rows of the smaller side a bucket holds.
_ROWS_OF_BUCKET: Final = 50_000
_MOST_BUCKETS: Final = 1_024
#: Rows that wait to be written together, so that the pieces of a bucket are not too small; fewer if large.
_WAITING_ROWS: Final = 65_536
_WAITING_BYTES: Final = 64 * 1024 * 1024


def buckets_for(rows: int) -> int:
    """How many buckets so many rows need."""
    return min(_MOST_BUCKETS, max(1, -(-rows // _ROWS_OF_BUCKET)))


class BucketWriter:
    """Lays rows by.

    Args:
        folder: Is made if it is not there; what it holds of buckets is removed.
        schema: Of the rows; it has the column ID.
        count: The number of buckets.
    """

    def __init__(self, folder: Path, schema: pa.Schema, count: int) -> None:
        self._files = files_of(folder, count)
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in folder.glob("*.arrows"):
                durable.remove(file)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def add(self, rows: pa.RecordBatch) -> None:
        """Lays further rows by.

        Raises:
            InputError: The disk is full, say.
        """
        self._waiting.append(rows)
        self._rows += rows.num_rows
        self._bytes += rows.nbytes
        if self._rows >= _WAITING_ROWS or self._bytes >= _WAITING_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what waits; to be called after the last row.

        Raises:
            InputError: The disk is full, say.
        """
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._rows, self._bytes = [], 0, 0
        numbers = _bucket_of(table.column(ID).to_pylist(), len(self._files))
        order = np.argsort(numbers, kind="stable")
        table = table.take(pa.array(order)).unify_dictionaries()
        bounds = np.searchsorted(numbers[order], np.arange(len(self._files) + 1)).tolist()
        for file, first, end in zip(self._files, bounds, bounds[1:], strict=False):
            if first < end:
                self._append(file, table.slice(first, end - first))

    def _append(self, file: Path, rows: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, self._schema, options=options) as writer:
            writer.write_table(rows)
        try:
            with file.open("ab", buffering=0) as appended:
                durable.write(appended, memoryview(sink.getvalue()))
        except OSError as error:
            raise _unwritable(file, error) from error


def files_of(folder: Path, count: int) -> list[Path]:
    """The file of each bucket; one without rows is not there."""
    return [folder / f"{number:04}.arrows" for number in range(count)]


def read_bucket(file: Path, columns: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a bucket, piece by piece in the order in which they were laid by.

    Args:
        file: The bucket's file.
        columns: The places of the columns to read; None: all.

    Raises:
        InputError: The file is damaged.
    """
    if not file.exists():
        return
    options = pa.ipc.IpcReadOptions(included_fields=None if columns is None else list(columns))
    try:
        with pa.OSFile(str(file)) as source:
            while source.tell() < source.size():
                yield from pa.ipc.open_stream(source, options=options)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{file}: a file of the work folder is damaged: {error}",
            hint="Prove again without --resume, in a new work folder.",
        ) from error


def _bucket_of(ids: Sequence[str | None], count: int) -> npt.NDArray[np.int64]:
    return np.array([0 if one is None else crc32(one.encode()) % count for one in ids], np.int64)


def _unwritable(file: Path, error: OSError) -> InputError:
    return InputError(
        f"{file}: cannot be written: {error.strerror or error}",
        hint="Make room, or name another folder with --work-folder.",
    )
