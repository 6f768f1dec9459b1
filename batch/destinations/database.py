"""Predictions as the rows of a database's table: all of a run in one transaction, and twice is like once."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.databases.address import Address, literal
from batch.databases.session import Session
from batch.destinations.base import Delivered, Destination, Target, plain, rows_of, run_digest, schema_of
from batch.destinations.sql import (
    KEY,
    REJECTED_KEY,
    REJECTED_TEXTS,
    RUN_SCHEMA,
    Kind,
    Tables,
    TableShape,
    loadable,
    tables_of,
)
from batch.manifest import MANIFEST_FILE, Predictions
from batch.rejected_rows import as_lines
from batch.sources import REJECTED_SCHEMA
from shared.errors import ConfigurationError, InputError
from shared.predictions import CONTRIBUTIONS

# What runs are staged in: tables that only this connection sees.
_STAGED: Final = "tandem_predictions"
_STAGED_REJECTED: Final = "tandem_rejected"
_STAGED_RUN: Final = "tandem_run"
# Further types that a column may have in PostgreSQL and lose nothing.
_ALSO: Final = {"text": ("character varying",), "json": ("jsonb",)}
# How a database says that two rows differ, null being a value.
_DIFFERS: Final = {"postgresql": "is distinct from", "sqlite": "is not"}


class DatabaseTable(Destination):
    """A table of predictions, with TABLE_rejected and TABLE_runs beside it.

    A prediction replaces the one of the same prediction_id, whichever model made it; a position that is
    scored now and was rejected before changes from one table to the other. A run is known by the digest of
    all in its manifest that does not depend on the clock.

    Args:
        target: The database's address, and the name of the table.

    Raises:
        ConfigurationError: The address cannot be read, or no table is named.
    """

    def __init__(self, target: Target) -> None:
        self._database = Address.read(target.address, target.password_file)
        self._kind: Kind = self._database.kind
        if not target.table:
            raise ConfigurationError(
                f"{self._database.shown}: no table is named", hint="Name it with --output-table."
            )
        self._table = target.table
        self.address = f"{self._database.shown} {target.table}"

    def check(self, predictions: pa.Schema, rejected: pa.Schema) -> None:  # noqa: ARG002 - its shape is fixed
        """Delivers nothing, and undoes it: what would stop a delivery stops this."""
        file = self._database.file
        if file is not None and not file.exists():
            # It will be made; until then there is nothing to look at but its folder.
            if not os.access(file.parent, os.W_OK | os.X_OK):
                raise InputError(
                    f"{self._database.shown}: there is no folder {file.parent} in which it could be made",
                    hint="Make the folder, or see that it may be written to.",
                )
            return
        with Session(self._database, write=True) as session:
            tables = self._prepare(session, plain(predictions))
            self._stage(session, tables, (), (), ())
            self._take_over(session, tables)

    def _deliver(self, folder: Path, manifest: Predictions) -> Delivered:
        """Loads the parts beside the tables, and takes them over in one transaction."""
        counts = manifest.counts
        try:
            columns = schema_of(folder, manifest.parts) or _schema_told(manifest)
            predictions = (loadable(batch, self._kind) for batch in rows_of(folder, manifest.parts, columns))
            with Session(self._database, write=True) as session:
                tables = self._prepare(session, columns)
                self._stage(
                    session, tables, predictions, _rejected(folder, manifest), [_run(folder, manifest)]
                )
                self._check_count(session, folder, counts.scored)
                replaced = self._take_over(session, tables)
                session.commit()
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{folder}: a part cannot be read: {error}",
                hint="Nothing was delivered. Make the folder anew.",
            ) from error
        return Delivered(self.address, counts.scored, counts.read - counts.scored, replaced)

    def _prepare(self, session: Session, predictions: pa.Schema) -> Tables:
        """Makes the tables that are not there, and sees that those that are have the columns."""
        tables = self._tables(session, predictions)
        if self._kind == "postgresql":
            # One delivery at a time to a table; those who read it do not wait.
            session.rows(
                f"select pg_advisory_xact_lock(hashtextextended({literal(tables.runs.name)}, 0))::text"
            )
        for table in tables:
            found = self._columns(session, table)
            if found:
                self._check_columns(table, found)
            else:
                session.run(table.create())
        return tables

    def _tables(self, session: Session, predictions: pa.Schema) -> Tables:
        """The tables as they should be."""
        name = [self._table]
        if self._kind == "postgresql":
            # PostgreSQL reads the name: with a schema, quoted or not.
            ((name,),) = session.rows(f"select parse_ident({literal(self._table)})")
        return tables_of(self._kind, name, predictions)

    def _columns(self, session: Session, table: TableShape) -> dict[str, tuple[str, bool]]:
        """The columns of a table that can be written; none where there is no such table.

        Returns:
            By name, the type, and whether a row must be given a value.
        """
        if self._kind == "postgresql":
            sql = (
                "select attname::text, format_type(atttypid, null), attnotnull and not atthasdef"  # noqa: S608
                " from pg_catalog.pg_attribute"
                " where attnum > 0 and not attisdropped and attgenerated = '' and attidentity = ''"
                f" and attrelid = to_regclass({literal(table.name)}) order by attnum"
            )
        else:
            needed = '"notnull" and dflt_value is null'
            sql = f"select name, type, {needed} from pragma_table_info({table.name})"  # noqa: S608 - it is quoted
        return {name: (kind, bool(needed)) for name, kind, needed in session.rows(sql)}

    def _check_columns(self, table: TableShape, found: Mapping[str, tuple[str, bool]]) -> None:
        shown = f"{self._database.shown}: the table {table.name}"
        hint = "It was made for another model or by another program: name another --output-table."
        for column in table.columns:
            kind, _ = found.get(column.name, (None, False))
            if kind is None:
                raise InputError(
                    f"{shown} has no column {column.name}", hint=f"{hint} It has: {', '.join(found)}."
                )
            # SQLite's types are a custom: a column takes any value.
            if self._kind == "postgresql" and kind not in (column.type, *_ALSO.get(column.type, ())):
                raise InputError(f"{shown} has {column.name} as {kind}, not {column.type}", hint=hint)
        known = {column.name for column in table.columns}
        if unknown := next((name for name, (_, must) in found.items() if must and name not in known), None):
            raise InputError(
                f"{shown} has a column {unknown}, which must have a value and which predictions do not have",
                hint="Give it a default, or let it be null; or name another --output-table.",
            )

    def _stage(
        self,
        session: Session,
        tables: Tables,
        predictions: Iterable[pa.RecordBatch],
        rejected: Iterable[pa.RecordBatch],
        run: Iterable[pa.RecordBatch],
    ) -> None:
        """Loads what is delivered into tables that only this connection sees."""
        columns = {column.name: column.type for column in tables.predictions.columns}
        for name, rows, empty in (
            (_STAGED, predictions, pa.schema([(column, pa.string()) for column in columns])),
            (_STAGED_REJECTED, rejected, REJECTED_TEXTS),
            (_STAGED_RUN, run, RUN_SCHEMA),
        ):
            batches = iter(rows)
            first = next(batches, None)
            schema, all_rows = (empty, batches) if first is None else (first.schema, chain([first], batches))
            session.load(name, schema, all_rows)

    def _check_count(self, session: Session, folder: Path, scored: int) -> None:
        ((loaded, known),) = session.rows(f"select count(*), count(distinct {KEY}) from {_STAGED}")  # noqa: S608 - our own names
        if loaded != scored:
            raise InputError(
                f"{folder}: the parts hold {loaded:,} predictions, and {MANIFEST_FILE} tells of {scored:,}",
                hint="Nothing was delivered. Make the folder anew.",
            )
        if known != loaded:
            raise InputError(
                f"{folder}: {loaded - known:,} predictions have the prediction_id of another one",
                hint="Nothing was delivered. Score the inputs one by one: each row must have its own"
                " position.",
            )

    def _take_over(self, session: Session, tables: Tables) -> int:
        """Takes over what is staged.

        Returns:
            How many predictions of another model gave way.
        """
        predictions, rejected, runs = tables
        ((replaced,),) = session.rows(
            f"select count(*) from {predictions.name} as t join {_STAGED} as s"  # noqa: S608 - our own names
            f" on t.{KEY} = s.{KEY} where t.model_sha256 <> s.model_sha256"
        )
        # A position is in one of both tables: it was scored, or it was rejected.
        for table, column, staged, key in (
            (predictions, KEY, _STAGED_REJECTED, REJECTED_KEY),
            (rejected, REJECTED_KEY, _STAGED, KEY),
        ):
            session.run(f"delete from {table.name} where {column} in (select {key} from {staged})")  # noqa: S608
        session.run(
            predictions.upsert(_STAGED, self._updated(session, predictions), changed=_DIFFERS[self._kind])
        )
        session.run(rejected.upsert(_STAGED_REJECTED, self._updated(session, rejected)))
        session.run(runs.upsert(_STAGED_RUN, self._updated(session, runs)))
        return int(replaced)

    def _updated(self, session: Session, table: TableShape) -> list[str]:
        """All that a replaced row takes over: a column that the run does not have takes its default."""
        return [name for name in self._columns(session, table) if name != table.key]


def _schema_told(manifest: Predictions) -> pa.Schema:
    """The columns that a manifest tells of, for a run that scored no row."""

    def kind(told: str) -> pa.DataType:
        if told.startswith("list"):
            return CONTRIBUTIONS
        try:
            return pa.type_for_alias(told)
        except ValueError:
            return pa.string()

    return pa.schema([(column.name, kind(column.type)) for column in manifest.columns])


def _rejected(folder: Path, manifest: Predictions) -> Iterator[pa.RecordBatch]:
    """The rejected rows, with all but the reasons and ids as JSON: what a row was differs from run to run."""
    for part in manifest.rejected:
        # What a row was differs from one file to another.
        schema = plain(pq.read_schema(folder / part.file))
        others = [name for name in schema.names if name not in REJECTED_SCHEMA.names]
        for batch in rows_of(folder, [part], schema):
            # PostgreSQL stores no text with a NUL character, and a rejected row may hold anything.
            texts = [pc.replace_substring(batch.column(name), "\0", "\\0") for name in REJECTED_SCHEMA.names]
            original = [line.decode() for line in as_lines(batch.select(others))] if others else []
            nothing = pa.nulls(batch.num_rows, pa.string())
            yield pa.record_batch(
                [*texts, pa.array(original, pa.string()) if original else nothing], schema=REJECTED_TEXTS
            )


def _run(folder: Path, manifest: Predictions) -> pa.RecordBatch:
    """The row of a run."""
    content = (folder / MANIFEST_FILE).read_bytes()
    counts, model = manifest.counts, manifest.model
    values = [run_digest(manifest), model.id, model.sha256[:12], counts.scored, counts.read - counts.scored]
    values += [hashlib.sha256(content).hexdigest(), content.decode()]
    return pa.RecordBatch.from_pylist([dict(zip(RUN_SCHEMA.names, values, strict=True))], schema=RUN_SCHEMA)
