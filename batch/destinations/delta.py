"""Delivering to Delta tables, through deltalake: `--output delta:PATH-OR-URI`.

A run is an application transaction of Delta's own: the format itself refuses to add it twice, even when two
deliveries of it run at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pyarrow as pa

from batch.destinations.lakes import RUN, LakeTable, small_schema
from batch.lakes.base import first_line
from batch.lakes.delta import SCHEME, find_table, load_library, read_address, unreadable
from shared.errors import ConfigurationError, InputError
from shared.stores.address import shown_address

# A row group is held in memory until it is whole.
_GROUP_ROWS = 131_072


class DeltaTable(LakeTable):
    """A Delta table, and one for rejected rows beside it."""

    scheme: ClassVar[str] = SCHEME

    def _writable(self, name: str) -> str:
        uri, version = read_address(name)
        if version is not None:
            raise ConfigurationError(
                f"{self.address}: rows are added to a table's last version only",
                hint=f"Write {shown_address(SCHEME + uri)}.",
            )
        load_library(self.address)
        return uri.rstrip("/")

    def _stored(self, schema: pa.Schema) -> pa.Schema:
        from deltalake import Schema  # noqa: PLC0415 - only what writes a Delta table waits for it

        for each in schema:
            try:
                Schema.from_arrow(pa.schema([each]))
            except Exception as error:
                raise ConfigurationError(
                    f"{self.address}: Delta has no type for the column {each.name}, which is {each.type}",
                    hint="Leave the column out, or give it another type where it is made.",
                ) from error
        return small_schema(pa.schema(Schema.from_arrow(schema).to_arrow()))

    def _find(self, name: str) -> Any | None:
        return find_table(name, shown_address(f"{SCHEME}{name}"))

    def _columns(self, table: Any) -> pa.Schema:
        return small_schema(pa.schema(table.schema().to_arrow()))

    def _holds(self, table: Any, run: str) -> bool:
        return table.transaction_version(_application(run)) is not None

    def _append(
        self,
        name: str,
        table: Any | None,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
        properties: Mapping[str, str],
    ) -> bool:
        import deltalake  # noqa: PLC0415 - only what writes a Delta table waits for it
        from deltalake.exceptions import CommitFailedError, DeltaError  # noqa: PLC0415

        rows = pa.RecordBatchReader.from_batches(schema, batches)
        run = deltalake.Transaction(_application(properties[RUN]), 1)
        try:
            deltalake.write_deltalake(
                name if table is None else table,
                rows,
                mode="append",
                # The columns are those of the table; only rejected rows may bring further ones.
                schema_mode=None if table is None else "merge",
                writer_properties=deltalake.WriterProperties(
                    compression="ZSTD", max_row_group_size=_GROUP_ROWS
                ),
                commit_properties=deltalake.CommitProperties(
                    custom_metadata=dict(properties), app_transactions=[run]
                ),
            )
        except CommitFailedError as error:
            now = self._find(name)
            if now is not None and self._holds(now, properties[RUN]):
                return False
            raise InputError(
                f"{shown_address(SCHEME + name)}: another program was in the way: {first_line(error)}",
                hint="The table is as that program left it: deliver again.",
            ) from error
        except (DeltaError, OSError, ValueError) as error:
            raise unreadable(shown_address(f"{SCHEME}{name}"), error) from error
        return True


def _application(run: str) -> str:
    """What Delta knows a run by: an application that has one transaction."""
    return f"tandem-{run}"
