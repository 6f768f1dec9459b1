"""All that is used of pyiceberg's private parts; its minor version is pinned for their sake.

Imported only once an Iceberg table is read or written: it loads pyiceberg.
"""

from collections.abc import Callable
from typing import Any

from pyiceberg.io.pyarrow import _dataframe_to_data_files as data_files_of
from pyiceberg.io.pyarrow import _get_column_projection_values as values_of_partition
from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids as schema_without_ids
from pyiceberg.io.pyarrow import _read_all_delete_files as read_deletes
from pyiceberg.io.pyarrow import _to_requested_schema as to_requested_schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update.snapshot import _FastAppendFiles

__all__ = [
    "CheckedAppend",
    "data_files_of",
    "read_deletes",
    "schema_without_ids",
    "table_of",
    "to_requested_schema",
    "values_of_partition",
]


def table_of(transaction: Any) -> Any:
    """The table of a transaction, as it was last read."""
    return transaction._table  # noqa: SLF001 - what this module is for


class CheckedAppend(_FastAppendFiles):
    """An append that looks at the table again before each further try.

    Attributes:
        check: Called with the table as it now stands, when another commit came first; what it raises ends
            the append.
    """

    check: Callable[[TableMetadata], None]

    def _validate_concurrency(self) -> None:
        self.check(table_of(self._transaction).metadata)
