"""Delta tables, through deltalake: `delta:PATH-OR-URI`, or `delta:PATH-OR-URI@VERSION`."""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from batch.lakes.base import READ_OPTIONS, DataFile, Lake, LakeFile, first_line
from shared.errors import ConfigurationError, InputError
from shared.stores.address import shown_address

SCHEME: Final = "delta:"
_VERSION: Final = re.compile(r"(.+)@(\d+)")


def read_address(address: str) -> tuple[str, int | None]:
    """Where the table is that an address names, and which version of it; None for the last.

    Raises:
        ConfigurationError: It names no table.
    """
    named = address.removeprefix(SCHEME)
    found = _VERSION.fullmatch(named)
    uri, version = (found[1], int(found[2])) if found else (named, None)
    if not uri:
        raise ConfigurationError(
            f"{shown_address(address)}: no table is named", hint="Write delta:PATH, or delta:URI."
        )
    return uri, version


def load_library(address: str) -> Any:
    """The deltalake package.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        import deltalake  # noqa: PLC0415 - only what reads a Delta table waits for it
    except ImportError as error:
        raise ConfigurationError(
            f"{address}: Delta tables are read and written through the package deltalake, which is missing",
            hint="Install it: pip install 'tandem-scorer[delta]'",
        ) from error
    return deltalake


def find_table(uri: str, address: str) -> Any | None:
    """The table at its last version; None when there is none.

    Args:
        uri: Where it is.
        address: As the user writes it, for errors.

    Raises:
        ConfigurationError: The extra is not installed.
        InputError: It cannot be read.
    """
    library = load_library(address)
    from deltalake.exceptions import TableNotFoundError  # noqa: PLC0415 - as the library itself

    try:
        return library.DeltaTable(uri)
    except TableNotFoundError:
        return None
    except (library.exceptions.DeltaError, OSError, ValueError) as error:
        raise unreadable(address, error) from error


def unreadable(address: str, error: Exception) -> InputError:
    """What to say of a table that the library cannot read."""
    return InputError(
        f"{address}: the table cannot be read: {first_line(error)}",
        hint="See that the address and the access to it are right; the store is set up as deltalake has it,"
        " by variables such as AWS_ACCESS_KEY_ID.",
    )


class DeltaLake(Lake):
    """A Delta table at one version.

    Args:
        address: `delta:PATH-OR-URI`, or `delta:PATH-OR-URI@VERSION`.

    Raises:
        ConfigurationError: No path is given, or the extra is not installed.
        InputError: There is no such table or version, or it uses what the library cannot read.
    """

    kind: ClassVar[str] = "delta"

    def __init__(self, address: str) -> None:
        uri, version = read_address(address)
        shown = shown_address(address)
        table = find_table(uri, shown)
        if table is None:
            raise InputError(
                f"{shown}: there is no Delta table", hint="A Delta table's folder holds _delta_log."
            )
        dataset = _at_version(table, shown, version)
        self.version = str(table.version())
        self.address = f"{SCHEME}{uri}@{self.version}"
        self.name = uri.rstrip("/").rpartition("/")[2]
        self.id = str(table.metadata().id)
        self._schema = dataset.schema
        self._partitions = set(table.metadata().partition_columns)
        self.columns = self._schema.names
        self._fragments = {fragment.path: fragment for fragment in dataset.get_fragments()}
        sizes = pa.table(table.get_add_actions()).select(["path", "size_bytes"]).to_pylist()
        # The log holds a path as a URI has it.
        self.files = sorted(
            (DataFile(unquote(entry["path"]), entry["size_bytes"]) for entry in sizes),
            key=lambda file: file.name,
        )

    @contextmanager
    def open(self, file: str, columns: Sequence[str], repeated: Collection[str]) -> Iterator[LakeFile]:
        """Opens a data file; a column that it lacks is null, and those of a partition have its values."""
        fragment = self._fragments[file]
        fields = [self._schema.field(name) for name in columns]
        known = {
            name: value
            for name, value in ds.get_partition_keys(fragment.partition_expression).items()
            if name in self._partitions
        }
        with fragment.open() as source:
            metadata = pq.read_metadata(source)
            found = metadata.schema.to_arrow_schema()
            present = [name for name in columns if name in found.names and name not in self._partitions]
            texts = [
                name for name in present if name in repeated and pa.types.is_string(found.field(name).type)
            ]
            options = {**READ_OPTIONS, "read_dictionary": texts, "coerce_int96_timestamp_unit": "us"}
            with pq.ParquetFile(source, metadata=metadata, **options) as parquet:
                # Any column tells how many rows there are.
                yield LakeFile(
                    parquet, present or found.names[:1], lambda batch: _project(batch, fields, known)
                )


def _at_version(table: Any, address: str, version: int | None) -> Any:
    """The table's dataset, after the table was set to a version.

    Raises:
        InputError: There is no such version, or the library cannot read it correctly.
    """
    library = load_library(address)
    last = table.version()
    if version is not None and version > last:
        raise InputError(f"{address}: there is no such version", hint=f"The table's last version is {last}.")
    try:
        if version is not None:
            table.load_as_version(version)
        return table.to_pyarrow_dataset()
    except library.exceptions.DeltaProtocolError as error:
        raise InputError(
            f"{address}: the table cannot be read correctly: {first_line(error)}",
            hint="Drop the feature from the table, or copy its rows to a table without it.",
        ) from error
    except (library.exceptions.DeltaError, OSError, ValueError) as error:
        raise unreadable(address, error) from error


def _project(batch: pa.RecordBatch, fields: Sequence[pa.Field], known: dict[str, Any]) -> pa.RecordBatch:
    """The table's columns, of the types that the table has them in.

    Args:
        batch: What was read of the file.
        fields: The table's columns that are wanted.
        known: The values that the whole file has for the columns of the table's partitions.
    """
    found = batch.schema.names
    columns = []
    for wanted in fields:
        if wanted.name in known:
            column = pa.repeat(pa.scalar(known[wanted.name], wanted.type), batch.num_rows)
        elif wanted.name not in found:
            column = pa.nulls(batch.num_rows, wanted.type)
        else:
            # A name with a dot may bring a nested field along; the right column is picked by name.
            column = batch.column(found.index(wanted.name))
            if not pa.types.is_dictionary(column.type) and column.type != wanted.type:
                column = column.cast(wanted.type)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, [wanted.name for wanted in fields])
