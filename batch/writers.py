"""Results as files of a folder.

Rows are written in groups and parts of fixed size, so that a file's bytes do not depend on the batches in
which its rows were scored.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import pyarrow as pa

from batch.folder import Folder, HashedFile
from batch.manifest import PartFile
from batch.selection.partitions import shares_of
from batch.sinks import Sink

ROWS_PER_GROUP: Final = 131_072
#: Of a snapshot, whose records may be a megabyte each.
RECORDS_PER_GROUP: Final = 16_384
ROWS_PER_PART: Final = 4 * ROWS_PER_GROUP


class FileWriter:
    """Writes rows to one file, in groups of a fixed size; there is no file where there are no rows.

    Use it through `with`, so that no unfinished file stays after an error.

    Args:
        folder: Where to write.
        name: The file's name.
        begin: Begins it.
        group_rows: How many rows a group has.

    Attributes:
        rows: How many rows were written to it so far, those that wait for their group included.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        begin: Callable[[HashedFile], Sink],
        group_rows: int = ROWS_PER_GROUP,
    ) -> None:
        self._folder, self._name, self._begin, self._group_rows = folder, name, begin, group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._open = ExitStack()
        self._sink: Sink | None = None
        self._file: HashedFile | None = None
        self.rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Adds rows; they are kept until a group of them is complete."""
        if not rows.num_rows:
            return
        self._waiting.append(rows)
        self._waiting_rows += rows.num_rows
        self.rows += rows.num_rows
        while self._waiting_rows >= self._group_rows:
            self._flush(self._group_rows)

    def finish(self) -> list[PartFile]:
        """Stores the file.

        Returns:
            Its entry; nothing when it has no rows.
        """
        if self._waiting_rows:
            self._flush(self._waiting_rows)
        if self._sink is None or self._file is None:
            return []
        self._sink.close()
        entry = PartFile(file=self._name, rows=self.rows, size=self._file.size, sha256=self._file.sha256)
        self._sink = None
        self._open.close()
        return [entry]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After an error, removes the file if it is not finished."""
        self._open.__exit__(kind, error, trace)

    def _flush(self, count: int) -> None:
        table = pa.Table.from_batches(self._waiting)
        rest = table.slice(count)
        self._waiting, self._waiting_rows = rest.to_batches(), rest.num_rows
        if self._sink is None:
            self._file = self._open.enter_context(self._folder.new_file(self._name))
            self._sink = self._begin(self._file)
        self._sink.write(table.slice(0, count))


class PartitionWriter:
    """Writes the rows of a part to a file in each folder that their values name, once all of them are there.

    Args:
        folder: Where to write.
        name: The files' name.
        begin: Begins one of them.
        partition_by: The columns whose values name the folders; the files do not hold them.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        begin: Callable[[HashedFile], Sink],
        partition_by: Sequence[str],
    ) -> None:
        self._folder, self._name, self._begin, self._partition_by = folder, name, begin, partition_by
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch) -> None:
        """Adds rows."""
        if rows.num_rows:
            self._waiting.append(rows)

    def finish(self) -> list[PartFile]:
        """Stores the files.

        Returns:
            Their entries, by folder.

        Raises:
            InputError: The rows have too many values, or one that is too long for a name.
        """
        if not self._waiting:
            return []
        files = []
        for share in shares_of(pa.Table.from_batches(self._waiting), self._partition_by):
            with FileWriter(self._folder, f"{share.folder}/{self._name}", self._begin) as writer:
                for rows in share.rows.to_batches():
                    writer.write(rows)
                files += writer.finish()
        self._waiting = []
        return files


class PartWriter:
    """Writes the records of a snapshot to numbered files of at most so many rows; leave it through `with`.

    Args:
        folder: Where to write.
        stem: What the names begin with: `part` gives part-00000.parquet.
        suffix: What they end with.
        begin: Begins a file.
        part_rows: The most rows of a file.
    """

    def __init__(
        self,
        folder: Folder,
        stem: str,
        suffix: str,
        begin: Callable[[HashedFile], Sink],
        part_rows: int = ROWS_PER_PART,
    ) -> None:
        self._folder, self._stem, self._suffix, self._begin = folder, stem, suffix, begin
        self._part_rows = part_rows
        self._open = ExitStack()
        self._file: FileWriter | None = None
        self.parts: list[PartFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the last file; after an error the file that is being written is removed."""
        if kind is None:
            self.end_part()
        self._open.__exit__(kind, error, trace)

    def write(self, rows: pa.RecordBatch) -> None:
        """Adds rows."""
        while rows.num_rows:
            if self._file is None:
                name = f"{self._stem}-{len(self.parts):05d}.{self._suffix}"
                group_rows = min(RECORDS_PER_GROUP, self._part_rows)
                self._file = FileWriter(self._folder, name, self._begin, group_rows)
                self._open.enter_context(self._file)
            room = self._part_rows - self._file.rows
            self._file.write(rows.slice(0, room))
            rows = rows.slice(room)
            if self._file.rows == self._part_rows:
                self.end_part()

    def end_part(self, partition: int | None = None) -> None:
        """Stores the file that is being written, so that what comes next begins a new one.

        Args:
            partition: What to note of the files since the last time.
        """
        if self._file is not None:
            self.parts += self._file.finish()
            self._file = None
        if partition is not None:
            self.parts = [
                part if part.partition is not None else part.model_copy(update={"partition": partition})
                for part in self.parts
            ]
