"""Delivering to Iceberg tables, through pyiceberg: `--output iceberg:CATALOG/NAMESPACE.TABLE`.

A run is known by a property of the snapshot that it made, which is looked up in the history of the table's
main branch, again each time that another program's commit came first.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from batch.destinations.base import Delivered
from batch.destinations.lakes import RUN, LakeTable, small_schema
from batch.lakes.iceberg import SCHEME, find_table, load_catalog, read_address, unreachable
from batch.manifest import Predictions
from shared.errors import ConfigurationError, InputError


class IcebergTable(LakeTable):
    """An Iceberg table, and one for rejected rows in the same namespace."""

    scheme: ClassVar[str] = SCHEME

    def _writable(self, name: str) -> str:
        catalog, table, snapshot = read_address(name)
        if snapshot is not None:
            raise ConfigurationError(
                f"{self.address}: rows are added to a table's last snapshot only",
                hint=f"Write {SCHEME}{name.partition('@')[0]}.",
            )
        self._catalog_name = catalog
        self._prefix = "" if catalog is None else f"{catalog}/"
        return table

    def check(self, predictions: pa.Schema, rejected: pa.Schema) -> None:
        """Looks at both tables' columns, and for their namespace."""
        with self._opened():
            super().check(predictions, rejected)
            namespace = self._name.rpartition(".")[0]
            try:
                there = self._catalog.namespace_exists(namespace)
            except Exception as error:
                raise unreachable(self.address, error) from error
        if not there:
            raise InputError(
                f"{self.address}: the catalog has no namespace {namespace}", hint="Make it, or name another."
            )

    def _deliver(self, folder: Path, manifest: Predictions) -> Delivered:
        """Adds the rejected rows, then the predictions; nothing where the run's are there already."""
        with self._opened():
            return super()._deliver(folder, manifest)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        with load_catalog(self._catalog_name, self.address) as catalog:
            self._catalog = catalog
            yield

    def _stored(self, schema: pa.Schema) -> pa.Schema:
        from pyiceberg.io.pyarrow import schema_to_pyarrow  # noqa: PLC0415 - only what writes an Iceberg table
        from pyiceberg.schema import assign_fresh_schema_ids  # noqa: PLC0415

        from batch.lakes.pyiceberg_private import schema_without_ids  # noqa: PLC0415

        try:
            found = assign_fresh_schema_ids(schema_without_ids(schema, downcast_ns_timestamp_to_us=True))
        except Exception as error:
            raise ConfigurationError(
                f"{self.address}: an Iceberg table cannot hold the columns: {error}",
                hint="Leave the column out, or give it another type where it is made.",
            ) from error
        return small_schema(schema_to_pyarrow(found))

    def _find(self, name: str) -> Any | None:
        return find_table(self._catalog, name, f"{SCHEME}{self._prefix}{name}")

    def _columns(self, table: Any) -> pa.Schema:
        return small_schema(table.schema().as_arrow())

    def _holds(self, table: Any, run: str) -> bool:
        from batch.destinations.iceberg_commit import holds  # noqa: PLC0415 - loads pyiceberg

        return holds(table.metadata, RUN, run)

    def _append(
        self,
        name: str,
        table: Any | None,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
        properties: Mapping[str, str],
    ) -> bool:
        from pyiceberg.exceptions import CommitFailedException  # noqa: PLC0415

        from batch.destinations.iceberg_commit import DeliveredError, commit  # noqa: PLC0415

        address = f"{SCHEME}{self._prefix}{name}"
        try:
            if table is None:
                transaction = self._catalog.create_table_transaction(name, schema)
            else:
                transaction = table.transaction()
                with transaction.update_schema() as update:
                    update.union_by_name(schema)
            commit(transaction, batches, properties, RUN)
        except DeliveredError:
            return False
        except CommitFailedException as error:
            raise InputError(
                f"{address}: another program was in the way: {error}",
                hint="The table is as that program left it: deliver again.",
            ) from error
        except Exception as error:
            raise unreachable(address, error) from error
        return True
