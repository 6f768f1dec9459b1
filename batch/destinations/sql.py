"""What results look like as tables of a database: column types, and the statements that fill them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.types as pt

from batch.databases.address import quoted
from batch.sources import REJECTED_SCHEMA
from shared import times

Kind: TypeAlias = Literal["postgresql", "sqlite"]

#: The columns that a prediction and a rejected row are known by.
KEY: Final = "prediction_id"
REJECTED_KEY: Final = "position"
#: A rejected row as it is loaded: all as text, and what else it was as JSON.
REJECTED_TEXTS: Final = pa.schema([(name, pa.string()) for name in (*REJECTED_SCHEMA.names, "original")])
#: A run as it is loaded.
RUN_SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("run", "model", "model_sha256")),
        *((name, pa.int64()) for name in ("predictions", "rejected")),
        *((name, pa.string()) for name in ("manifest_sha256", "manifest")),
    ]
)
# What every prediction has; a later run may have others to pass along, or none.
_ALWAYS: Final = (KEY, "customer_id", "score", "threshold", "model", "model_sha256")


def _is_bytes(kind: pa.DataType) -> bool:
    kinds = (pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view)
    return any(is_kind(kind) for is_kind in kinds)


#: By the test of an Arrow type, what a column of it is called in PostgreSQL and in SQLite.
_TYPES: Final[tuple[tuple[Callable[[pa.DataType], bool], str, str], ...]] = (
    (pt.is_boolean, "boolean", "boolean"),
    (lambda kind: pt.is_int8(kind) or pt.is_int16(kind) or pt.is_uint8(kind), "smallint", "integer"),
    (lambda kind: pt.is_int32(kind) or pt.is_uint16(kind), "integer", "integer"),
    (lambda kind: pt.is_int64(kind) or pt.is_uint32(kind), "bigint", "integer"),
    (lambda kind: pt.is_uint64(kind) or pt.is_decimal(kind), "numeric", "text"),
    (pt.is_float64, "double precision", "real"),
    (pt.is_floating, "real", "real"),
    (lambda kind: pt.is_timestamp(kind) and kind.tz is not None, "timestamp with time zone", "text"),
    (pt.is_timestamp, "timestamp without time zone", "text"),
    (pt.is_date, "date", "text"),
    (pt.is_time, "time without time zone", "text"),
    (_is_bytes, "bytea", "blob"),
    (pt.is_nested, "jsonb", "text"),
    (lambda _: True, "text", "text"),
)


_LOADED: Final[tuple[tuple[Callable[[pa.DataType], bool], pa.DataType], ...]] = (
    (pt.is_boolean, pa.bool_()),
    (lambda kind: pt.is_integer(kind) and not pt.is_uint64(kind), pa.int64()),
    (pt.is_floating, pa.float64()),
    (pt.is_date, pa.date32()),
    (pt.is_time, pa.time64("us")),
    (_is_bytes, pa.binary()),
)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table.

    Attributes:
        name: Its name.
        type: Its type there.
        required: Whether each row has a value.
        default: The default, as SQL; None: there is none.
    """

    name: str
    type: str
    required: bool = False
    default: str | None = None


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table that Tandem fills.

    Attributes:
        name: Its name, quoted as SQL takes it.
        key: The column by which a row is known.
        columns: Its columns.
    """

    name: str
    key: str
    columns: tuple[TableColumn, ...]

    def create(self) -> str:
        """The statement that makes it where it is not there."""
        told = [
            f"{quoted(column.name)} {column.type}"
            + (" not null" if column.required else "")
            + (f" default {column.default}" if column.default else "")
            for column in self.columns
        ]
        return f"create table if not exists {self.name} ({', '.join(told)}, primary key ({quoted(self.key)}))"

    def upsert(self, staged: str, updated: Sequence[str], *, changed: str | None = None) -> str:
        """The statement that takes rows over, in place of those with the same key.

        Args:
            staged: What stands after FROM: rows with this table's columns, but those with a default.
            updated: The columns that a row takes over from the one that replaces it.
            changed: How a database says that two values differ: rows that do not are left alone. None
                replaces all.
        """
        own = [column for column in self.columns if column.default is None]
        names = ", ".join(quoted(column.name) for column in own)
        values = ", ".join(f"cast({quoted(column.name)} as {column.type})" for column in own)
        sets = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in updated)
        only = ""
        if changed is not None:
            old, new = (
                ", ".join(f"{side}.{quoted(column.name)}" for column in own) for side in ("t", "excluded")
            )
            only = f" where ({old}) {changed} ({new})"
        return (
            f"insert into {self.name} as t ({names}) select {values} from {staged} where true"  # noqa: S608
            f" on conflict ({quoted(self.key)}) do update set {sets}{only}"
        )


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a destination.

    Attributes:
        predictions: Holds the predictions.
        rejected: Holds the rejected rows.
        runs: Holds one row a run.
    """

    predictions: TableShape
    rejected: TableShape
    runs: TableShape

    def __iter__(self) -> Iterator[TableShape]:
        yield from (self.predictions, self.rejected, self.runs)


def tables_of(kind: Kind, name: Sequence[str], predictions: pa.Schema) -> Tables:
    """The tables of a destination as they should be.

    Args:
        kind: The kind of database.
        name: The name of the table of predictions, in PostgreSQL after its schema where it has one.
        predictions: The columns of a prediction.
    """
    *schema, table = name
    json, time = ("json", "timestamp with time zone") if kind == "postgresql" else ("text", "text")

    def shape(suffix: str, key: str, columns: Iterable[TableColumn]) -> TableShape:
        return TableShape(".".join(map(quoted, (*schema, f"{table}{suffix}"))), key, tuple(columns))

    return Tables(
        shape(
            "",
            KEY,
            (TableColumn(item.name, type_in(kind, item.type), item.name in _ALWAYS) for item in predictions),
        ),
        shape(
            "_rejected",
            REJECTED_KEY,
            [
                *(TableColumn(item.name, "text", not item.nullable) for item in REJECTED_SCHEMA),
                TableColumn("original", json),
            ],
        ),
        shape(
            "_runs",
            "run",
            [
                *(
                    TableColumn(
                        item.name, json if item.name == "manifest" else type_in(kind, item.type), True
                    )
                    for item in RUN_SCHEMA
                ),
                TableColumn("delivered_at", time, True, "current_timestamp"),
            ],
        ),
    )


def type_in(kind: Kind, arrow: pa.DataType) -> str:
    """What a column of an Arrow type is in a database."""
    _, postgres, sqlite = next(entry for entry in _TYPES if entry[0](arrow))
    return postgres if kind == "postgresql" else sqlite


def loadable(batch: pa.RecordBatch, kind: Kind) -> pa.RecordBatch:
    """Columns as the drivers take them; what they cannot take goes as text, which the database reads."""
    columns = [_loadable(column, kind) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _loadable(column: pa.Array, kind: Kind) -> pa.Array:
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pt.is_nested(column.type):
        texts = [None if value is None else json_text(value) for value in column.to_pylist()]
        return pa.array(texts, pa.string())
    if kind == "sqlite" and times.is_time(column.type):
        return times.as_text(column)
    return column.cast(_loaded_as(column.type), safe=False)


def _loaded_as(kind: pa.DataType) -> pa.DataType:
    """The type by which a column goes through the driver."""
    if pt.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    for holds, loaded in _LOADED:
        if holds(kind):
            return loaded
    return pa.string()


def json_text(value: object) -> str:
    """A value as JSON."""
    return msgspec.json.encode(value).decode()
