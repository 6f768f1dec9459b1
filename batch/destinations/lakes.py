"""What delivering to a table of a lake consists of, whatever its format: see delta.py and iceberg.py.

The rejected rows go to a table of their own, which has the predictions' name with `_rejected`. Each table
gets its rows in one commit, the predictions last: whoever reads between the two commits finds the rejected
rows of a run without its predictions, and never the other way round. Each commit notes the run's digest,
so that a run which is delivered again, after it was broken off between them or when it was done already,
adds to each table only what that does not have.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from batch.destinations.base import Delivered, Destination, Target, plain, rows_of, run_digest
from batch.manifest import PartFile, Predictions
from shared.errors import ConfigurationError, InputError
from shared.stores.address import shown_address

#: What a commit is known by: the property that holds the run's digest.
RUN: Final = "tandem.run"
REJECTED: Final = "_rejected"

# Neither format has types without a sign, or numbers of two bytes.
_WIDER: Final = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
}


class LakeTable(Destination):
    """A pair of tables of a lake, for predictions and for rejected rows.

    Args:
        target: Where results are to go; its address names the table.

    Raises:
        ConfigurationError: The address cannot be used to write to, or an extra is not installed.
    """

    scheme: ClassVar[str]

    def __init__(self, target: Target) -> None:
        self.address = shown_address(target.address)
        if target.table is not None:
            raise ConfigurationError(
                f"{self.address}: the address names the table already",
                hint="Leave --output-table out: it is for databases.",
            )
        self._name = self._writable(target.address.removeprefix(self.scheme))

    @abstractmethod
    def _writable(self, name: str) -> str:
        """The table that an address names.

        Raises:
            ConfigurationError: It names none, or one version of it; or an extra is not installed.
        """

    @abstractmethod
    def _stored(self, schema: pa.Schema) -> pa.Schema:
        """The columns as a table of the format would have them.

        Raises:
            ConfigurationError: The format has no type for one of them; the message begins with why.
        """

    @abstractmethod
    def _find(self, name: str) -> Any | None:
        """A table as it now stands; None when there is none."""

    @abstractmethod
    def _columns(self, table: Any) -> pa.Schema:
        """A table's columns."""

    @abstractmethod
    def _holds(self, table: Any, run: str) -> bool:
        """Whether a run was delivered to a table."""

    @abstractmethod
    def _append(
        self,
        name: str,
        table: Any | None,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
        properties: Mapping[str, str],
    ) -> bool:
        """Adds rows in one commit.

        Args:
            name: The table's name.
            table: The table; None where it is to be made.
            schema: The columns of the rows: the table's, and after them those that it is to get.
            batches: The rows.
            properties: What the commit is to note.

        Returns:
            False when another delivery of the same run came first, so that nothing was added.

        Raises:
            InputError: It cannot be written; the table is as it was.
        """

    def check(self, predictions: pa.Schema, rejected: pa.Schema) -> None:
        """Looks at both tables' columns; a table that is not there yet takes any."""
        for name, schema in ((self._name, predictions), (self._name + REJECTED, rejected)):
            ours, table = self._as_stored(schema), self._find(name)
            if table is not None:
                self._combined(name, ours, self._columns(table))

    def _deliver(self, folder: Path, manifest: Predictions) -> Delivered:
        """Adds the rejected rows, then the predictions; nothing where the run's are there already."""
        self._check_not_before_retry(folder, manifest)
        properties = {
            RUN: run_digest(manifest),
            "tandem.model": manifest.model.id,
            "tandem.model-sha256": manifest.model.sha256,
        }
        rejected = self._add(self._name + REJECTED, folder, manifest.rejected, properties)
        scored = self._add(self._name, folder, manifest.parts, properties)
        again = not (scored or rejected) and bool(manifest.parts or manifest.rejected)
        return Delivered(self.address, scored, rejected, again=again)

    def _check_not_before_retry(self, folder: Path, manifest: Predictions) -> None:
        """Refuses a run that was delivered, then retried: rows are only added, and most are there already."""
        tables = [
            table
            for table in (self._find(self._name), self._find(self._name + REJECTED))
            if table is not None
        ]
        for retry in manifest.retries:
            before = Predictions.model_validate_json((folder / retry.before).read_bytes())
            if any(self._holds(table, run_digest(before)) for table in tables):
                raise InputError(
                    f"{self.address}: the run in {folder} was delivered before some of its rows were retried",
                    hint="Its other rows would be there twice: deliver it to a new table, or first take out"
                    f" what was added under {RUN} = {run_digest(before)}.",
                )

    def _add(self, name: str, folder: Path, parts: Sequence[PartFile], properties: Mapping[str, str]) -> int:
        """Adds the rows of parts to a table that does not have them; returns how many it added."""
        table = self._find(name)
        if not parts or (table is not None and self._holds(table, properties[RUN])):
            return 0
        schemas = [_schema(folder / part.file) for part in parts]
        schema = self._as_stored(pa.unify_schemas(schemas, promote_options="permissive"))
        if table is not None:
            schema = self._combined(name, schema, self._columns(table))
        failed: list[BaseException] = []
        batches = _watched(_rows(folder, parts, schemas, schema), failed)
        try:
            added = self._append(name, table, schema, batches, properties)
        except InputError:
            if failed:
                # What stopped the delivery, and not what the library makes of it.
                raise failed[0] from None
            raise
        return sum(part.rows for part in parts) if added else 0

    def _as_stored(self, schema: pa.Schema) -> pa.Schema:
        return self._stored(
            pa.schema([each.with_type(_WIDER.get(each.type, each.type)) for each in plain(schema)])
        )

    def _combined(self, name: str, ours: pa.Schema, theirs: pa.Schema) -> pa.Schema:
        """The columns of what is written to a table: its own, and then further ones of rejected rows.

        Rejected rows bring the columns of their input along, so that those differ from run to run.

        Raises:
            InputError: The rows do not fit in.
        """
        shown, grows = shown_address(f"{self.scheme}{name}"), name.endswith(REJECTED)
        new = [each for each in ours if each.name not in theirs.names]
        for each in ours:
            if each in new:
                problem = None if grows else f"has no column {each.name}"
            else:
                problem = _unlike(each, theirs.field(each.name))
            if problem:
                raise InputError(
                    f"{shown}: the table {problem}",
                    hint="Give it that column, or name another table: one that is not there is made.",
                )
        for each in theirs:
            if not each.nullable and each.name not in ours.names:
                raise InputError(
                    f"{shown}: the table's column {each.name} must have a value, and the rows have none",
                    hint="Let the column be null, or name another table: one that is not there is made.",
                )
        return pa.schema([*theirs, *(each.with_nullable(True) for each in new)])


def _unlike(ours: pa.Field, theirs: pa.Field) -> str | None:
    """Why a column does not fit into a table's column of its name; None when it does."""
    if not ours.type.equals(theirs.type):
        return f"has the column {theirs.name} as {theirs.type}, and it is {ours.type}"
    if ours.nullable and not theirs.nullable:
        return f"wants a value in the column {theirs.name}, and it may be null"
    return None


def _rows(
    folder: Path, parts: Sequence[PartFile], schemas: Sequence[pa.Schema], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The rows of parts with a table's columns; a column that a part does not have is null.

    Raises:
        InputError: A part cannot be read.
    """
    for part, own in zip(parts, schemas, strict=True):
        try:
            for batch in rows_of(folder, [part], own):
                columns = [
                    batch.column(each.name).cast(each.type)
                    if each.name in own.names
                    else pa.nulls(batch.num_rows, each.type)
                    for each in schema
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(folder / part.file, error) from error


def _schema(file: Path) -> pa.Schema:
    try:
        return plain(pq.read_schema(file))
    except (OSError, pa.ArrowException) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> InputError:
    hint = "The folder of results was changed or damaged: score again."
    return InputError(f"{file}: cannot be read: {error}", hint=hint)


def _watched(batches: Iterator[pa.RecordBatch], failed: list[BaseException]) -> Iterator[pa.RecordBatch]:
    """The same batches; what they raise is kept, since a library may tell its text alone."""
    try:
        yield from batches
    except BaseException as error:
        failed.append(error)
        raise


def small_types(kind: pa.DataType) -> pa.DataType:
    """A type with plain texts and lists in place of large ones, which hold the same."""
    if pt.is_large_string(kind):
        return pa.string()
    if pt.is_large_binary(kind):
        return pa.binary()
    if pt.is_list(kind) or pt.is_large_list(kind):
        return pa.list_(_small(kind.value_field))
    if pt.is_struct(kind):
        return pa.struct([_small(field) for field in kind])
    return kind


def _small(field: pa.Field) -> pa.Field:
    return pa.field(field.name, small_types(field.type), field.nullable)


def small_schema(schema: pa.Schema) -> pa.Schema:
    """Columns without metadata, and with plain texts and lists in place of large ones."""
    return pa.schema([_small(field) for field in schema])
