"""The contract of a destination: a table that a finished folder of results is delivered to.

A run always writes an ordinary folder first: that can be resumed, and its memory is bounded. Only then is it
delivered, all of it or nothing, so that whoever reads the table never sees half a run. The same folder
delivered twice leaves the same rows as delivered once.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from batch.manifest import PartFile, Predictions
from shared.errors import ConfigurationError

#: How many rows of a part are held at once while it is delivered.
BATCH_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Target:
    """Where results are to go, as the user says it.

    Attributes:
        address: What `--output` holds.
        table: The table there; None where the address itself names it.
        password_file: A file that holds the password; None when the address or the surroundings give it.
    """

    address: str = field(repr=False)
    table: str | None = None
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a delivery did.

    Attributes:
        place: The table, without secrets, for people to read.
        predictions: How many predictions were delivered.
        rejected: How many rejected rows were delivered.
        replaced: How many predictions of another model, or of another version of it, gave way to them.
        again: Whether all of the run was there already, so that nothing was added.
    """

    place: str
    predictions: int
    rejected: int
    replaced: int = 0
    again: bool = False


class Destination(ABC):
    """A table that results are delivered to, in one transaction.

    Attributes:
        address: Where it is, without secrets, for people to read.
    """

    address: str

    @abstractmethod
    def check(self, predictions: pa.Schema, rejected: pa.Schema) -> None:
        """Sees before anything is scored that the results can be delivered; changes nothing.

        Args:
            predictions: The columns of a prediction.
            rejected: The columns of a rejected row.

        Raises:
            TandemError: It cannot be reached, may not be written to, or has a table of other columns.
        """

    def deliver(self, folder: Path, manifest: Predictions) -> Delivered:
        """Delivers a finished folder: all of it, or nothing.

        Args:
            folder: The folder of results.
            manifest: Its manifest.

        Raises:
            TandemError: Nothing was delivered, and why.
        """
        _check_deliverable(folder, manifest)
        return self._deliver(folder, manifest)

    @abstractmethod
    def _deliver(self, folder: Path, manifest: Predictions) -> Delivered:
        """Delivers a folder whose parts are Parquet and hold all columns."""


def _check_deliverable(folder: Path, manifest: Predictions) -> None:
    if manifest.format != "parquet":
        raise ConfigurationError(
            f"{folder}: its parts are {manifest.format}, and a table takes Parquet",
            hint="Nothing was delivered. Score with --format parquet.",
        )
    if manifest.partition_by:
        raise ConfigurationError(
            f"{folder}: its parts do not hold {', '.join(manifest.partition_by)}, which name its folders",
            hint="Nothing was delivered. Score without --partition-by: a table is partitioned by its own"
            " declaration.",
        )


def rows_of(folder: Path, parts: Sequence[PartFile], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of Parquet parts, in order and in bounded memory.

    Args:
        folder: Where the parts are.
        parts: The files, as the manifest lists them.
        schema: The columns to give, in this order; dictionaries are given as their values where it says so.

    Raises:
        pyarrow.ArrowException: A part is damaged.
        OSError: A part cannot be read.
    """
    for part in parts:
        # pre_buffer keeps the compressed bytes of everything read until the file is closed.
        with pq.ParquetFile(folder / part.file, pre_buffer=False) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=schema.names):
                yield batch.select(schema.names).cast(schema)


def schema_of(folder: Path, parts: Sequence[PartFile]) -> pa.Schema | None:
    """The columns of Parquet parts, dictionaries as their values; None where there is no part.

    Raises:
        pyarrow.ArrowException: A part is damaged.
        OSError: A part cannot be read.
    """
    return plain(pq.read_schema(folder / parts[0].file)) if parts else None


def plain(schema: pa.Schema) -> pa.Schema:
    """A schema with the values of dictionaries in place of the dictionaries, and no metadata."""
    return pa.schema(
        [
            pa.field(
                field.name,
                field.type.value_type if pa.types.is_dictionary(field.type) else field.type,
                field.nullable,
            )
            for field in schema
        ]
    )


def run_digest(manifest: Predictions) -> str:
    """What a run is known by: the digest of all in its manifest that does not depend on the clock.

    The same inputs scored again with the same model and settings are the same run.
    """
    return hashlib.sha256(manifest.model_dump_json(exclude={"run"}, exclude_none=True).encode()).hexdigest()
