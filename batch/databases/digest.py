"""A digest of rows as they were read: the same rows give the same one, in whatever batches they come."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt


class RowsDigest:
    """Adds up the rows of one result.

    Attributes:
        rows: How many there were.
        size: How many bytes their values take.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0
        self._columns: dict[str, tuple[str, Any, Any]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds rows; the columns are always the same."""
        self.rows += batch.num_rows
        for field, column in zip(batch.schema, batch.columns, strict=True):
            kind, marks, values = self._columns.setdefault(
                field.name, (str(field.type), hashlib.sha256(), hashlib.sha256())
            )
            if kind != str(field.type):
                raise ValueError(f"{field.name} was {kind} and is {field.type}")
            own, content = _bytes_of(column)
            marks.update(own)
            values.update(content)
            self.size += len(content)

    def hexdigest(self) -> str:
        """The digest of all so far, as 64 hex digits."""
        total = hashlib.sha256(str(self.rows).encode())
        for name, (kind, marks, values) in self._columns.items():
            total.update(f"\n{name!r} {kind} {marks.hexdigest()} {values.hexdigest()}".encode())
        return total.hexdigest()


def _bytes_of(column: pa.Array) -> tuple[bytes, bytes]:
    """What tells where each value begins and which are null, and the values themselves."""
    present = pc.is_valid(column).cast(pa.uint8()).to_numpy(zero_copy_only=False)
    if pt.is_boolean(column.type):
        return present.tobytes(), pc.fill_null(column, False).cast(pa.uint8()).to_numpy().tobytes()
    if pt.is_primitive(column.type):
        values = column.view(
            {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[column.type.bit_width]
        )
        return present.tobytes(), pc.fill_null(values, 0).to_numpy().tobytes()
    if not (pt.is_string(column.type) or pt.is_binary(column.type)):
        column = pa.array(
            [None if value is None else repr(value) for value in column.to_pylist()], pa.string()
        )
    lengths = pc.fill_null(pc.binary_length(column), -1).to_numpy().astype("<i8", copy=False)
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    content = column.buffers()[2]
    if content is None or not len(column):
        return lengths.tobytes(), b""
    if column.null_count:
        return lengths.tobytes(), b"".join(
            value for value in column.cast(pa.binary()).to_pylist() if value is not None
        )
    return lengths.tobytes(), content[int(offsets[0]) : int(offsets[-1])].to_pybytes()
