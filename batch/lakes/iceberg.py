"""Iceberg tables, through pyiceberg: `iceberg:CATALOG/NAMESPACE.TABLE`, or `...@SNAPSHOT`.

The catalog is configured as pyiceberg has it: in .pyiceberg.yaml, or by PYICEBERG_ variables. Private parts
of pyiceberg are used here and in batch/destinations/iceberg.py only, and its minor version is pinned: what
it offers to the public holds a whole table in memory, or a whole file.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.lakes.base import READ_OPTIONS, DataFile, Lake, LakeFile, Rows, first_line
from shared.errors import ConfigurationError, InputError
from shared.stores.address import shown_address

SCHEME: Final = "iceberg:"
_ADDRESS: Final = re.compile(r"(?:(?P<catalog>[^/@]+)/)?(?P<table>[^/@]+\.[^/@.]+)(?:@(?P<snapshot>.+))?")


def read_address(address: str) -> tuple[str | None, str, str | None]:
    """The catalog, the table and the snapshot that an address names; None for what it leaves out.

    Raises:
        ConfigurationError: It names no table.
    """
    found = _ADDRESS.fullmatch(address.removeprefix(SCHEME))
    if found is None:
        raise ConfigurationError(
            f"{shown_address(address)}: no table is named",
            hint="Write iceberg:CATALOG/NAMESPACE.TABLE, or iceberg:NAMESPACE.TABLE for the default catalog.",
        )
    return found["catalog"], found["table"], found["snapshot"]


@contextmanager
def load_catalog(name: str | None, address: str) -> Iterator[Any]:
    """A catalog, as the surroundings configure it, until it is closed.

    Args:
        name: Its name; None is pyiceberg's default.
        address: What the user wrote, for errors.

    Raises:
        ConfigurationError: It is not configured, or the extra is not installed.
        InputError: It cannot be reached.
    """
    try:
        from pyiceberg import catalog  # noqa: PLC0415 - only what reads an Iceberg table waits for it
    except ImportError as error:
        raise ConfigurationError(
            f"{address}: Iceberg tables are read and written through the package pyiceberg, which is missing",
            hint="Install it: pip install 'tandem-scorer[iceberg]'",
        ) from error
    try:
        found = catalog.load_catalog(name)
    except ValueError as error:
        raise ConfigurationError(
            f"{address}: the catalog {name or 'default'!r} is not configured: {error}",
            hint="Configure it in .pyiceberg.yaml, or by variables: PYICEBERG_CATALOG__NAME__URI and others.",
        ) from error
    except Exception as error:
        raise unreachable(address, error) from error
    with closing(found):
        yield found


def find_table(catalog: Any, table: str, address: str) -> Any | None:
    """A table of a catalog; None when there is none.

    Raises:
        InputError: The catalog cannot be reached.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError  # noqa: PLC0415 - as above

    try:
        return catalog.load_table(table)
    except (NoSuchNamespaceError, NoSuchTableError):
        return None
    except Exception as error:
        raise unreachable(address, error) from error


def unreachable(address: str, error: Exception) -> InputError:
    """What to say when a catalog fails; each kind of catalog fails with errors of its own."""
    return InputError(
        f"{address}: the catalog cannot be used: {first_line(error)}",
        hint="See that the address and the access in .pyiceberg.yaml or PYICEBERG_ variables are right.",
    )


class IcebergLake(Lake):
    """An Iceberg table at one snapshot.

    Args:
        address: `iceberg:CATALOG/NAMESPACE.TABLE`, with `@` and a snapshot's id, branch or tag or without.

    Raises:
        ConfigurationError: No table is named, the catalog is not configured, or the extra is not installed.
        InputError: There is no such table or snapshot, or the library cannot read it correctly.
    """

    kind: ClassVar[str] = "iceberg"

    def __init__(self, address: str) -> None:
        catalog_name, name, wanted = read_address(address)
        with load_catalog(catalog_name, address) as catalog:
            # What a table's files are read with needs the catalog no more.
            table = find_table(catalog, name, address)
        if table is None:
            raise InputError(
                f"{address}: there is no such table in the catalog", hint="Check the namespace and the name."
            )
        self.name, self.id = name, str(table.metadata.table_uuid)
        self._table = table
        snapshot = _snapshot(table, wanted, address)
        # A table that nothing was ever written to has no snapshot.
        self.version = "none" if snapshot is None else str(snapshot.snapshot_id)
        self.address = address.partition("@")[0] + ("" if snapshot is None else f"@{self.version}")
        scan = table.scan(snapshot_id=None if snapshot is None else snapshot.snapshot_id)
        self._schema = scan.projection()
        self.columns = [field.name for field in self._schema.fields]
        self._tasks = {self._below(task.file.file_path): task for task in _tasks(scan, address)}
        self.files = [
            DataFile(path, task.file.file_size_in_bytes, cleared=bool(task.delete_files))
            for path, task in sorted(self._tasks.items())
        ]

    def _below(self, path: str) -> str:
        """A file's path below the table; a file that stands elsewhere keeps its whole path."""
        return path.removeprefix(self._table.location().rstrip("/") + "/")

    @contextmanager
    def open(self, file: str, columns: Sequence[str], repeated: Collection[str]) -> Iterator[LakeFile]:
        """Opens a data file; its columns are found by their ids, so that one may have been renamed since."""
        from pyiceberg.io.pyarrow import pyarrow_to_schema  # noqa: PLC0415 - only with an Iceberg table
        from pyiceberg.schema import prune_columns  # noqa: PLC0415

        task, metadata = self._tasks[file], self._table.metadata
        if task.file.file_format != "PARQUET":
            raise InputError(
                f"{self.address}: the data file {file} is {task.file.file_format}, not Parquet",
                hint="Write the table's rows as Parquet: the table property write.format.default says so.",
            )
        wanted = self._schema.select(*columns)
        deleted = _deleted(self._table.io, task)
        with self._table.io.new_input(task.file.file_path).open() as source:
            footer = pq.read_metadata(source)
            physical = footer.schema.to_arrow_schema()
            # Versions 1 and 2 of the format know no nanoseconds.
            downcast = metadata.format_version <= 2
            found = pyarrow_to_schema(
                physical,
                metadata.name_mapping(),
                downcast_ns_timestamp_to_us=downcast,
                format_version=metadata.format_version,
            )
            present = prune_columns(found, _read_ids(wanted), select_full_types=False)
            names = [field.name for field in present.fields]
            known = {field.field_id for field in wanted.fields if field.name in repeated}
            texts = [
                field.name
                for field in present.fields
                if field.field_id in known and pa.types.is_string(physical.field(field.name).type)
            ]
            project = _Projection(
                f"{self.address}: {file}",
                columns,
                wanted,
                present,
                downcast,
                _of_partition(task.file, wanted, metadata, found),
            )
            with pq.ParquetFile(source, metadata=footer, read_dictionary=texts, **READ_OPTIONS) as parquet:
                # Any column tells how many rows there are.
                yield LakeFile(parquet, names or physical.names[:1], project, deleted)


class _Projection:
    """Makes the table's columns of those of a data file."""

    def __init__(
        self, file: str, columns: Sequence[str], wanted: Any, present: Any, downcast: bool, partition: Any
    ) -> None:
        self._file, self._columns = file, list(columns)
        self._wanted, self._present = wanted, present
        self._downcast, self._partition = downcast, partition

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch with the table's columns, of their types."""
        from pyiceberg.exceptions import ResolveError  # noqa: PLC0415 - only with an Iceberg table

        from batch.lakes.pyiceberg_private import to_requested_schema  # noqa: PLC0415

        try:
            projected = to_requested_schema(
                self._wanted,
                self._present,
                batch,
                downcast_ns_timestamp_to_us=self._downcast,
                projected_missing_fields=self._partition,
                allow_timestamp_tz_mismatch=True,
            )
        except (ValueError, ResolveError) as error:
            raise InputError(
                f"{self._file}: its columns do not suit the table's: {error}",
                hint="Write the file anew with the table's types.",
            ) from error
        return projected.select(self._columns)


def _snapshot(table: Any, wanted: str | None, address: str) -> Any | None:
    """The snapshot that an address names by its id, or by a branch or tag; without one the current one.

    Raises:
        InputError: There is no such snapshot.
    """
    if wanted is None:
        return table.current_snapshot()
    snapshot = table.snapshot_by_id(int(wanted)) if wanted.isdecimal() else table.snapshot_by_name(wanted)
    if snapshot is None:
        named = ", ".join([*table.refs(), *(str(each.snapshot_id) for each in table.snapshots()[-5:])])
        raise InputError(
            f"{address}: the table has no such snapshot",
            hint=f"Its branches, tags and last snapshots: {named}.",
        )
    return snapshot


def _tasks(scan: Any, address: str) -> list[Any]:
    """The data files of a scan, each with the files of its deleted rows.

    Raises:
        InputError: The library cannot read some of them, such as deletes by value.
    """
    try:
        return list(scan.plan_files())
    except (ValueError, NotImplementedError) as error:
        raise InputError(
            f"{address}: the table cannot be read correctly: {error}",
            hint="Rewrite its data files where they are written, so that no deletes are left beside them.",
        ) from error
    except Exception as error:
        raise unreachable(address, error) from error


def _read_ids(schema: Any) -> set[int]:
    """The ids of what is read of a file: lists and maps are read by their elements."""
    from pyiceberg.types import ListType, MapType  # noqa: PLC0415 - only with an Iceberg table

    return {
        number for number in schema.field_ids if not isinstance(schema.find_type(number), (ListType, MapType))
    }


def _deleted(io: Any, task: Any) -> Rows:
    """The numbers in its file of a task's deleted rows, ascending."""
    if not task.delete_files:
        return np.empty(0, np.int64)
    from batch.lakes.pyiceberg_private import read_deletes  # noqa: PLC0415 - only with deletes

    found = read_deletes(io, [task]).get(task.file.file_path, [])
    return np.unique(np.concatenate([np.empty(0, np.int64), *(each.to_numpy() for each in found)]))


def _of_partition(file: Any, wanted: Any, metadata: Any, found: Any) -> dict[int, Any]:
    """By their ids the columns that a file lacks and its partition gives, as in files that were added."""
    from batch.lakes.pyiceberg_private import values_of_partition  # noqa: PLC0415 - only with Iceberg

    values: dict[int, Any] = values_of_partition(
        file, wanted, metadata.schema(), metadata.specs().get(file.spec_id), found.field_ids
    )
    return values
