"""What is read of a database: a table or a query, as SQL whose rows come in one order everywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

from batch.databases.address import Address, literal, quoted
from batch.databases.session import Session
from shared.errors import ConfigurationError, InputError

#: The name of the column of row ids in what is read.
ROW: Final = "__row__"

# What PostgreSQL's driver gives as Arrow types that stand for the values themselves.
_PLAIN: Final = frozenset(
    [
        *("int2", "int4", "int8", "float4", "float8", "numeric", "bool", "text", "varchar", "bytea"),
        *("timestamp", "timestamptz", "date", "time"),
    ]
)
_INTEGERS: Final = frozenset(("int2", "int4", "int8"))
# The driver would give hundredths, and a signed number.
_RECAST: Final = {"money": "numeric", "oid": "bigint"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants of a database.

    Attributes:
        address: The database.
        table: The table to read; None with a query.
        query: The query to read; None with a table.
        row_id: The column that a row is known by; None: the table's primary key.
        name: What the rows are known by; None: the table's name.
    """

    address: Address
    table: str | None = None
    query: str | None = None
    row_id: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        shown = self.address.shown
        if (self.table is None) == (self.query is None):
            raise ConfigurationError(f"{shown}: give either --table or --query", hint="One of them.")
        if self.query is not None and (self.row_id is None or self.name is None):
            missing = "--row-id" if self.row_id is None else "--name"
            raise ConfigurationError(
                f"{shown}: a query needs {missing}",
                hint="A prediction is known as NAME/ROW: --name says what the rows are called, and --row-id"
                " which column tells one from another.",
            )


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or query that was found.

    Attributes:
        source: What stands after FROM.
        shown: What people are told it is.
        name: What its rows are known by.
        row_id: The column that a row is known by.
        columns: Its columns, with the types that the driver gives.
        rows: About how many rows it has; None where nobody knows.
    """

    source: str
    shown: str
    name: str
    row_id: str
    columns: pa.Schema
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class _Table:
    source: str
    name: str
    key: tuple[str, ...]
    rows: int | None


def find(session: Session, wish: Wish) -> Relation:
    """Looks up what is wished for.

    Raises:
        InputError: There is no such table, the query is none, or the user may not read it.
        ConfigurationError: The row id must be named, or is no column.
    """
    shown, row_id, found = wish.address.shown, wish.row_id, None
    if wish.table is not None:
        found = _BY_KIND[wish.address.kind].table(session, wish)
        source, shown = f"{found.source} as r", f"{shown}: the table {wish.table}"
        if row_id is None and len(found.key) != 1:
            keys = f"a primary key of {len(found.key)} columns" if found.key else "no primary key"
            raise ConfigurationError(
                f"{shown} has {keys}", hint="Name the column that tells its rows apart with --row-id."
            )
        row_id = row_id or found.key[0]
    else:
        # On lines of its own: the query may end in a comment.
        source, shown = f"(\n{str(wish.query).strip().rstrip(';')}\n) as r", f"{shown}: the query"
    columns = session.columns(f"select * from {source} limit 0")  # noqa: S608 - the user's own query
    if columns.names.count(row_id) != 1:
        how = "more than one column" if row_id in columns.names else "no column"
        raise ConfigurationError(
            f"{shown} has {how} {row_id}",
            hint=f"--row-id is one of its columns: {', '.join(columns.names[:20])}.",
        )
    name = wish.name or (found.name if found else "")
    return Relation(source, shown, name, str(row_id), columns, found.rows if found else None)


class Dialect(Protocol):
    """What differs from one kind of database to another when rows are read."""

    def begin(self, session: Session) -> None:
        """Begins a transaction that sees one state of the database, and changes nothing."""

    def table(self, session: Session, wish: Wish) -> _Table:
        """Looks up a table."""

    def select(
        self, session: Session, relation: Relation, chosen: Mapping[str, str], booleans: Sequence[str]
    ) -> tuple[str, bool]:
        """The SQL that reads a relation in the order of its row ids.

        Args:
            session: The connection.
            relation: What is read.
            chosen: By column, the name to give it.
            booleans: The columns of which 0 and 1 are taken for false and true where the database has no
                booleans of its own.

        Returns:
            The SQL, and whether the first row of its result only says what the types are.
        """


def dialect_of(address: Address) -> Dialect:
    """How a database is read."""
    return _BY_KIND[address.kind]


class _Postgres:
    def begin(self, session: Session) -> None:
        session.run("set transaction isolation level repeatable read, read only")

    def table(self, session: Session, wish: Wish) -> _Table:
        # PostgreSQL itself reads the name: in the search path, with a schema, quoted or not.
        found = session.rows(
            "select c.oid::bigint, c.oid::regclass::text, c.relname::text, c.reltuples::bigint"  # noqa: S608
            f" from pg_catalog.pg_class c where c.oid = to_regclass({literal(str(wish.table))})"
        )
        if not found:
            raise _missing(wish)
        (oid, source, name, rows) = found[0]
        key = session.rows(
            "select a.attname::text from pg_catalog.pg_index i join pg_catalog.pg_attribute a"  # noqa: S608
            f" on a.attrelid = i.indrelid and a.attnum = any(i.indkey)"
            f" where i.indrelid = {int(oid)} and i.indisprimary"
        )
        return _Table(source, name, tuple(column for (column,) in key), rows if rows > 0 else None)

    def select(
        self,
        session: Session,  # noqa: ARG002 - the result's own types say all
        relation: Relation,
        chosen: Mapping[str, str],
        booleans: Sequence[str],  # noqa: ARG002 - it has booleans
    ) -> tuple[str, bool]:
        row_id = f"r.{quoted(relation.row_id)}"
        if _type_of(relation.columns.field(relation.row_id)) not in _INTEGERS:
            # One order everywhere, whatever the database's own: that of the bytes.
            row_id = f'{row_id}::text collate "C"'
        columns = [f"{row_id} as {quoted(ROW)}"]
        for name, given in chosen.items():
            field = relation.columns.field(name)
            kind = _type_of(field)
            cast = _RECAST.get(kind, "text")
            plain = kind in _PLAIN or _is_plain_list(field.type)
            columns.append(f"r.{quoted(name)}{'' if plain else f'::{cast}'} as {quoted(given)}")
        sql = f"select {', '.join(columns)} from {relation.source} order by {row_id}"  # noqa: S608
        return sql, False


class _Sqlite:
    def begin(self, session: Session) -> None:
        """Every transaction sees the state at its first read; the file is opened for reading only."""

    def table(self, session: Session, wish: Wish) -> _Table:
        # A view of the schema that knows the names as SQLite does: in any case.
        asked = literal(str(wish.table))
        found = session.rows(
            f"select name from sqlite_master where type in ('table', 'view') and lower(name) = lower({asked})"  # noqa: S608
        )
        if not found:
            raise _missing(wish)
        name = str(found[0][0])
        key = session.rows(f"select name from pragma_table_info({asked}) where pk > 0 order by pk")  # noqa: S608
        return _Table(quoted(name), name, tuple(column for (column,) in key), None)

    def select(
        self, session: Session, relation: Relation, chosen: Mapping[str, str], booleans: Sequence[str]
    ) -> tuple[str, bool]:
        # A column may hold values of any type; the driver guesses it from the first rows alone.
        names = [relation.row_id, *chosen]
        kinds = [f"group_concat(distinct typeof(r.{quoted(name)}))" for name in names]
        flags = [f"max(r.{quoted(name)} not in (0, 1))" for name in booleans]
        found = session.rows(f"select {', '.join(kinds + flags)} from {relation.source}")[0]  # noqa: S608
        for name, wrong in zip(booleans, found[len(names) :], strict=True):
            if wrong and "integer" in str(found[names.index(name)]):
                raise InputError(
                    f"{relation.shown}: the column {name} holds other numbers than 0 and 1",
                    hint="The model wants true or false: give a --query that says which are which.",
                )
        types = {name: _sqlite_type(relation, name, kinds) for name, kinds in zip(names, found, strict=False)}
        row_id = f"r.{quoted(relation.row_id)}"
        if types[relation.row_id] != "integer":
            row_id = f"cast({row_id} as text) collate binary"
        first = [f"{'0' if types[relation.row_id] == 'integer' else literal('')} as {quoted(ROW)}"]
        columns = [row_id]
        for name, given in chosen.items():
            first.append(f"{_SENTINELS[types[name]]} as {quoted(given)}")
            column = f"r.{quoted(name)}"
            columns.append(f"cast({column} as real)" if types[name] == "real" else column)
        rows = f"select {', '.join(columns)} from {relation.source} order by {row_id}"  # noqa: S608
        return f"select {', '.join(first)} union all select * from ({rows})", True  # noqa: S608


_SENTINELS: Final = {"integer": "0", "real": "0.5", "text": "''", "blob": "x'00'", "null": "null"}
_BY_KIND: Final[Mapping[str, Dialect]] = {"postgresql": _Postgres(), "sqlite": _Sqlite()}


def _sqlite_type(relation: Relation, name: str, kinds: str | None) -> str:
    """The one type of a column's values; integers among real numbers are real."""
    found = {*(kinds or "null").split(",")} - {"null"}
    if found == {"integer", "real"}:
        return "real"
    if len(found) > 1 and name != relation.row_id:
        raise InputError(
            f"{relation.shown}: the column {name} holds values of several types: {', '.join(sorted(found))}",
            hint="Mend the table, or give a --query that casts them to one.",
        )
    return found.pop() if len(found) == 1 else "text" if found else "null"


def _missing(wish: Wish) -> InputError:
    hint = "Check its name; outside the search path it needs its schema: SCHEMA.TABLE."
    if wish.address.kind == "sqlite":
        hint = "Check its name."
    return InputError(f"{wish.address.shown}: there is no table {wish.table}", hint=hint)


def _is_plain_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind)) and not isinstance(kind.value_type, pa.BaseExtensionType)


def _type_of(field: pa.Field) -> str:
    """PostgreSQL's own name of a column's type."""
    return ((field.metadata or {}).get(b"POSTGRESQL:type") or b"").decode()
