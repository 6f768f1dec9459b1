"""Open files that take rows, one class a format."""

from abc import ABC, abstractmethod
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from batch.folder import HashedFile

Compression = Literal["none", "gzip", "zstd"]
#: What is added to the names of files of text that are compressed.
COMPRESSED_SUFFIXES: Final[dict[Compression, str]] = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class Sink(ABC):
    """An open file that takes rows."""

    @abstractmethod
    def write(self, rows: pa.Table) -> None:
        """Adds rows."""

    @abstractmethod
    def close(self) -> None:
        """Ends the file; its underlying file stays open."""


class ParquetSink(Sink):
    """A Parquet file.

    Args:
        file: Where to write.
        schema: Its columns; those that are dictionaries there are written with one.
    """

    def __init__(self, file: HashedFile, schema: pa.Schema) -> None:
        repeated = [
            field.name
            for field in schema
            if pa.types.is_dictionary(field.type) or field.name in ("reason", "threshold")
        ]
        self._writer = pq.ParquetWriter(
            file, schema, compression="zstd", use_dictionary=repeated or False, store_schema=True
        )

    def write(self, rows: pa.Table) -> None:
        """Adds rows as a group of their own."""
        self._writer.write_table(rows, row_group_size=rows.num_rows)

    def close(self) -> None:
        """Writes the footer."""
        self._writer.close()


class ArrowSink(Sink):
    """An Arrow IPC file, its buffers compressed with zstd.

    Args:
        file: Where to write.
        schema: Its columns.
    """

    def __init__(self, file: HashedFile, schema: pa.Schema) -> None:
        # A file has one dictionary for each column, whatever the batches.
        options = pa.ipc.IpcWriteOptions(compression="zstd", unify_dictionaries=True)
        self._file = pa.PythonFile(file, mode="w")
        self._writer = pa.ipc.new_file(self._file, schema, options=options)

    def write(self, rows: pa.Table) -> None:
        """Adds rows as a batch of their own."""
        self._writer.write_table(rows.combine_chunks())

    def close(self) -> None:
        """Writes the footer."""
        self._writer.close()


class CsvSink(Sink):
    """A CSV file with a header.

    Args:
        file: Where to write.
        schema: Its columns.
        compression: Of the whole file.
    """

    def __init__(self, file: HashedFile, schema: pa.Schema, compression: Compression = "none") -> None:
        plain = pa.schema(
            [
                field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
                for field in schema
            ]
        )
        self._schema = plain
        self._file = _stream(file, compression)
        self._writer = arrow_csv.CSVWriter(self._file, plain)

    def write(self, rows: pa.Table) -> None:
        """Adds rows."""
        self._writer.write_table(rows.cast(self._schema))

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()
        self._file.close()


class LineSink(Sink):
    """A file of lines.

    Args:
        file: Where to write.
        compression: Of the whole file.
    """

    def __init__(self, file: HashedFile, compression: Compression = "none") -> None:
        self._file = _stream(file, compression)

    def write(self, rows: pa.Table) -> None:
        """Adds the lines that the first column holds."""
        self._file.write(b"\n".join([*rows.column(0).to_pylist(), b""]))

    def close(self) -> None:
        """Writes what is left."""
        self._file.close()


def _stream(file: HashedFile, compression: Compression) -> Any:
    """A stream of Arrow's into a file: what gzip and zstd write there depends on the content alone."""
    stream = pa.PythonFile(file, mode="w")
    return stream if compression == "none" else pa.CompressedOutputStream(stream, compression)
