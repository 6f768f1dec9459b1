"""Parquet, through pyarrow: typed columns, a row group's worth at a time."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import InputError
from shared.formats.base import Chunk, Format, Split, Wanted, choose_columns
from shared.formats.utf8 import split_invalid_utf8
from shared.storage import StoredFile


class Parquet(Format):
    """Columns with the file's own types."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def check(self, file: StoredFile, wanted: Wanted) -> None:
        """Reads the footer, which a file that was cut short does not have."""
        _open(file, wanted)[0].close()

    def read(
        self,
        file: StoredFile,
        wanted: Wanted,
        split: Split | None = None,  # noqa: ARG002 - there is one
        skip: int = 0,
    ) -> Iterator[Chunk]:
        """The rows of a file, a batch at a time."""
        parquet, chosen = _open(file, wanted)
        with parquet:
            total, first = parquet.metadata.num_rows, 0
            names = [parquet.schema_arrow.names[place] for place in chosen]
            for batch in parquet.iter_batches(wanted.batch_rows, columns=names):
                # A name with a dot may bring a nested field along; the right columns are picked by name.
                picked = pa.RecordBatch.from_arrays(
                    [batch.column(batch.schema.names.index(name)) for name in names], list(chosen.values())
                )
                rows = np.arange(first, first + batch.num_rows, dtype=np.int64)
                first += batch.num_rows
                kept, kept_rows, rejections = split_invalid_utf8(picked, rows)
                left = Chunk(kept_rows, kept, rejections=rejections, done=first / max(1, total)).since(skip)
                if left is not None:
                    yield left


def _open(file: StoredFile, wanted: Wanted) -> tuple[Any, dict[int, str]]:
    """The opened file, and the columns to read by their place."""
    try:
        # pre_buffer keeps the compressed bytes of everything read until the file is closed.
        source = file.path or file.open()
        metadata = pq.read_metadata(source)
        chosen = choose_columns(file, metadata.schema.to_arrow_schema().names, wanted)
        names = metadata.schema.to_arrow_schema()
        texts = [
            names[place].name
            for place, name in chosen.items()
            if name in wanted.categories and pa.types.is_string(names[place].type)
        ]
        return pq.ParquetFile(source, metadata=metadata, pre_buffer=False, read_dictionary=texts), chosen
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{file}: not a whole Parquet file: {_sentence(error)}",
            hint="It may have been cut short while it was written or copied: make it anew.",
        ) from error


def _sentence(error: Exception) -> str:
    return str(error).split(". ", maxsplit=1)[0].rstrip(".")
