"""Writes the rejected rows of a part with all that they held; a part without any costs nothing."""

from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from batch.folder import Folder
from batch.manifest import PartFile
from batch.outputs import OutputFormat
from batch.rejected_rows import kept_rows
from batch.sinks import Sink
from batch.sources import Scorable, Scored
from shared.errors import InputError
from shared.formats.base import Chunk, Split

#: Rows of a rejected file are written in groups of so many, or of so many bytes: a row may hold much.
_GROUP_ROWS: Final = 131_072
_GROUP_BYTES: Final = 8 << 20
#: So many rows may wait for being looked up in their file at once.
_WAITING_ROWS: Final = 65_536

Rows = npt.NDArray[np.int64]


class Quarantine(ExitStack):
    """Takes the rejected rows of one part; after an error the file that is being written is removed.

    A file has one set of columns: where the next input of a part has others, another file is begun.

    Args:
        folder: Where to write.
        stem: What the files' names begin with.
        form: How they are written.

    Attributes:
        files: Those that are stored.
    """

    def __init__(self, folder: Folder, stem: str, form: OutputFormat) -> None:
        super().__init__()
        self.files: list[PartFile] = []
        self._folder, self._stem, self._form = folder, stem, form
        self._open: _RejectedFile | None = None
        self._columns: pa.Schema | None = None
        self._source: tuple[Scorable, Split] | None = None
        self._rows: list[Rows] = []
        self._reasons: list[pa.RecordBatch] = []

    def take(self, source: Scorable, split: Split, chunk: Chunk, scored: Scored) -> None:
        """Takes what became of a chunk.

        Args:
            source: What it was read from.
            split: The split that it is of.
            chunk: The rows.
            scored: What became of them.
        """
        if not scored.rejected.num_rows:
            return
        rows = source.rejected_rows(chunk, scored.outcome)
        at_hand = source.at_hand(chunk, rows)
        if at_hand is not None:
            self._look_up()
            self.write(kept_rows(scored.rejected, at_hand, raw=source.raw))
            return
        if self._source != (source, split) or sum(map(len, self._rows)) + len(rows) > _WAITING_ROWS:
            self._look_up()
        self._source = source, split
        self._rows.append(rows)
        self._reasons.append(scored.rejected)

    def write(self, rows: pa.RecordBatch) -> None:
        """Writes rejected rows with all that they held."""
        self.keep(self._form.rejections(rows))

    def keep(self, rows: pa.RecordBatch) -> None:
        """Writes rejected rows that are as the files hold them."""
        if self._columns is None or not rows.schema.equals(self._columns):
            self._end()
            name = self._stem + (f"-{len(self.files)}" if self.files else "")
            self._open = _RejectedFile(self._folder, f"{name}.{self._form.suffix}", self._form)
            self.enter_context(self._open)
            self._columns = rows.schema
        self._open.write(rows)  # type: ignore[union-attr] # it is opened above

    def finish(self) -> list[PartFile]:
        """Stores what was taken.

        Returns:
            The files.

        Raises:
            InputError: A rejected row cannot be read any more, or a file cannot be written.
        """
        self._look_up()
        self._end()
        return self.files

    def _end(self) -> None:
        if self._open is not None:
            self.files.append(self._open.finish())
            self._open = None

    def _look_up(self) -> None:
        """Reads the rows that wait once more, now with all their columns."""
        if self._source is None:
            return
        (source, split), rows = self._source, np.concatenate(self._rows)
        reasons: Any = pa.Table.from_batches(self._reasons).combine_chunks().to_batches()[0]
        self._source, self._rows, self._reasons = None, [], []
        found = 0
        for originals in source.originals(split, rows):
            part = reasons.slice(found, originals.num_rows)
            found += originals.num_rows
            self.write(kept_rows(part, originals, raw=source.raw))
        if found != len(rows):
            raise InputError(
                f"{source.name}: the file was changed while it was read",
                hint="Score it again once it is whole.",
            )


class _RejectedFile(ExitStack):
    """A file of rejected rows, in groups whose ends depend on the rows alone."""

    def __init__(self, folder: Folder, name: str, form: OutputFormat) -> None:
        super().__init__()
        self._folder, self._name, self._form = folder, name, form
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = self._rows = 0
        self._sink: Sink | None = None
        self._file: Any = None

    def write(self, rows: pa.RecordBatch) -> None:
        while rows.num_rows:
            sizes = np.cumsum(_sizes(rows)) + self._waiting_bytes
            full = int(np.searchsorted(sizes, _GROUP_BYTES)) + 1
            count = min(full, _GROUP_ROWS - self._waiting_rows)
            head = rows.slice(0, count)
            self._waiting.append(head)
            self._waiting_rows += head.num_rows
            self._waiting_bytes = int(sizes[head.num_rows - 1])
            if count <= rows.num_rows:
                self._flush()
            rows = rows.slice(count)

    def finish(self) -> PartFile:
        if self._waiting:
            self._flush()
        assert self._sink is not None  # noqa: S101 - a file is begun for rows
        self._sink.close()
        self.close()
        return PartFile(file=self._name, rows=self._rows, size=self._file.size, sha256=self._file.sha256)

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._waiting)
        self._rows += table.num_rows
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
        if self._sink is None:
            self._file = self.enter_context(self._folder.new_file(self._name))
            self._sink = self._form.open(self._file, table.schema)
        self._sink.write(table)


def _sizes(rows: pa.RecordBatch) -> Rows:
    """About how many bytes each row takes; the same wherever the batch was cut."""
    total = np.full(rows.num_rows, 8 * rows.num_columns, np.int64)
    for column in rows.columns:
        lengths = None
        if any(is_kind(column.type) for is_kind in (pt.is_string, pt.is_large_string, pt.is_binary)):
            lengths = pc.binary_length(column)
        elif pt.is_list(column.type) or pt.is_large_list(column.type):
            lengths = pc.multiply(pc.list_value_length(column), 16)
        if lengths is not None:
            total += pc.fill_null(lengths, 0).cast(pa.int64()).to_numpy()
    return total
