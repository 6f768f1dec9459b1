"""Snapshots as evidence: records of one partition, read in order, and refused where they are not whole."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from batch.manifest import PartitionRange, Snapshot, read_manifest
from batch.snapshots import RECORD_SCHEMA
from shared.errors import InputError
from shared.files import read_file
from shared.storage import LocalFile

_BATCH_ROWS: Final = 8_192
_HINT: Final = "It was changed or cut short: copy the whole folder again, or export the topic again."


class Recorded:
    """The records of one partition of a snapshot.

    Args:
        folder: The snapshot's.
        manifest: Its manifest.
        partition: Which partition.

    Attributes:
        topic: The topic.
        partition: The partition.
        rows: How many records there are.
    """

    def __init__(self, folder: Path, manifest: Snapshot, partition: int) -> None:
        self._folder = folder
        self._range = next(one for one in manifest.partitions if one.partition == partition)
        self._parts = [part for part in manifest.parts if part.partition == partition]
        self.topic, self.partition, self.rows = manifest.topic, partition, self._range.rows

    def read(self, columns: Sequence[str], rows_at_once: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The records by offset, in batches of a bounded size.

        Args:
            columns: Names of RECORD_SCHEMA, without `topic`; `headers` are null in a snapshot that has none.
            rows_at_once: The most records of a batch.

        Raises:
            InputError: A file is not the one that the manifest lists, or holds other records.
        """
        names = list(dict.fromkeys(["partition", "offset", *columns]))
        required = [name for name in names if name != "headers"]
        upto = self._range.start
        for part in self._parts:
            file, rows = LocalFile(self._folder / part.file), 0
            if _digest(self._folder / part.file) != part.sha256:
                raise InputError(f"{file}: its bytes are not those that the manifest lists", hint=_HINT)
            for chunk in read_file(file, columns=names, required=required, batch_rows=rows_at_once):
                batch: Any = chunk.batch
                if batch is None or not batch.num_rows:
                    continue
                upto = self._checked(file, batch, upto)
                rows += batch.num_rows
                yield _chosen(batch, columns)
            if rows != part.rows:
                raise InputError(f"{file}: it holds {rows} records, not {part.rows}", hint=_HINT)

    @property
    def offsets(self) -> int:
        """How many offsets the records are of; some have none."""
        return self._range.end - self._range.start

    def first_since(self, timestamp: int) -> int | None:
        """The offset of the first record that is of a time or later; None when there is none.

        Args:
            timestamp: Milliseconds since the epoch.

        Raises:
            InputError: As `read`.
        """
        for batch in self.read(["offset", "timestamp"]):
            later = batch.column("timestamp").cast(pa.int64()).to_numpy() >= timestamp
            if later.any():
                return int(batch.column("offset")[int(later.argmax())].as_py())
        return None

    def _checked(self, file: LocalFile, batch: pa.RecordBatch, upto: int) -> int:
        """Sees that records are of the partition, and go on where the last ones ended.

        Returns:
            The offset after the last one.
        """
        offsets = batch.column("offset").to_numpy()
        partitions = batch.column("partition").to_numpy()
        rising = offsets[0] >= upto and bool(np.all(offsets[1:] > offsets[:-1]))
        if not rising or offsets[-1] >= self._range.end or bool(np.any(partitions != self.partition)):
            raise InputError(
                f"{file}: its offsets, from {offsets[0]} on, are not those of partition {self.partition}"
                f" from {upto} up to {self._range.end}",
                hint=_HINT,
            )
        return int(offsets[-1]) + 1


def _chosen(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    fields = [RECORD_SCHEMA.field(name) for name in columns]
    arrays = [
        batch.column(field.name) if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
        for field in fields
    ]
    return pa.RecordBatch.from_arrays(
        [array.cast(field.type) for array, field in zip(arrays, fields, strict=True)],
        schema=pa.schema(fields),
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", hint=_HINT) from error


def snapshot_in(folder: Path, option: str) -> Snapshot:
    """The manifest of a snapshot whose books close.

    Args:
        folder: The snapshot's.
        option: What names it, for the message.

    Raises:
        InputError: The folder holds something else, or is not whole.
    """
    manifest = read_manifest(folder)
    if not isinstance(manifest, Snapshot):
        raise InputError(
            f"{option} {folder}: it holds predictions of `batch score`, not a snapshot of a topic",
            hint="Make one with `python -m batch export TOPIC`.",
        )
    listed = dict.fromkeys((one.partition for one in manifest.partitions), 0)
    for part in manifest.parts:
        if part.partition not in listed:
            raise InputError(f"{folder / part.file}: the manifest lists no partition of it", hint=_HINT)
        listed[part.partition] += part.rows
    for one in manifest.partitions:
        if listed[one.partition] != one.rows:
            raise _uneven(folder, one, listed[one.partition])
    if sum(listed.values()) != manifest.rows or len(listed) != len(manifest.partitions):
        raise InputError(f"{folder}: the rows of its manifest do not add up", hint=_HINT)
    return manifest


def _uneven(folder: Path, told: PartitionRange, rows: int) -> InputError:
    return InputError(
        f"{folder}: its files hold {rows} records of partition {told.partition}, its manifest tells of"
        f" {told.rows}",
        hint=_HINT,
    )
