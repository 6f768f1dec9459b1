"""How rows become one snapshot of an Iceberg table; imported only once a table is written.

pyiceberg offers to append a stream of rows, yet hands all of it to its writers before the first is done.
Here one data file is written after the other, so that memory is bounded, and a table with partitions takes a
stream, too.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

import pyarrow as pa
from pyiceberg.exceptions import ValidationException
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, ancestors_of

from batch.lakes.pyiceberg_private import CheckedAppend, data_files_of, table_of

# What one data file holds, before it is compressed; so much is kept in memory.
_FILE_BYTES: Final = 64 << 20


class DeliveredError(ValidationException):
    """Another delivery of the same run came first; pyiceberg removes what it had written for this one."""


def holds(metadata: TableMetadata, name: str, value: str) -> bool:
    """Whether a snapshot of a table's main branch has a property of this value."""
    return any(
        snapshot.summary is not None and snapshot.summary[name] == value
        for snapshot in ancestors_of(metadata.current_snapshot(), metadata)
    )


def commit(
    transaction: Any, batches: Iterator[pa.RecordBatch], properties: Mapping[str, str], run: str
) -> None:
    """Writes rows as data files, and commits them as one snapshot.

    Args:
        transaction: A transaction of the table.
        batches: The rows, with the table's columns.
        properties: What the snapshot is to note.
        run: Which of them the same delivery is known by.

    Raises:
        DeliveredError: A snapshot of the same delivery came first; nothing was added.
        Exception: What else the catalog and the store raise; nothing was added.
    """

    def check(metadata: TableMetadata) -> None:
        if holds(metadata, run, properties[run]):
            raise DeliveredError("the run was delivered meanwhile")

    io = table_of(transaction).io
    append = CheckedAppend(Operation.APPEND, transaction, io, snapshot_properties=dict(properties))
    append.check = check
    numbers = count()
    for rows in _gathered(batches):
        written = data_files_of(transaction.table_metadata, rows, io, append.commit_uuid, numbers)
        for file in written:
            append.append_data_file(file)
    append.commit()
    transaction.commit_transaction()


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches together as large as a data file is to be."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= _FILE_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)
