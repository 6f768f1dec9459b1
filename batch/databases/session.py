"""A connection to a database: one transaction, and every failure as a sentence."""

import importlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import pyarrow as pa

from batch.databases.address import Address
from shared.errors import ConfigurationError, InputError, TandemError
from shared.stores.address import without_passwords

# The driver reads a result in pieces of about this size, whatever its length; measured: four times as much is
# no quicker.
_BATCH_BYTES: Final = 4 << 20
_BATCH_ROWS: Final = 65_536
# How long to wait for another writer of a SQLite database.
_BUSY_MILLISECONDS: Final = 10_000

_SIGN_IN: Final = (
    "Check the user, and its password: in PGPASSWORD, in ~/.pgpass, or in the file that "
    "--database-password-file names."
)
_AWAY: Final = "Check the host and the port in the address, and that the server is up."
_LOST: Final = "The transaction is undone. Run it again once the server is back."
#: What to do, by the beginning of an SQLSTATE; the longest that fits counts.
_BY_STATE: Final = {
    "08": _LOST,
    "28": _SIGN_IN,
    "3D000": "Check the name of the database at the end of the address.",
    "3F000": "Check the schema before the table's name.",
    "40": "Another transaction was in the way: run it again.",
    "42501": "Grant the user that right, or name another user in the address.",
    "42601": "Check the SQL.",
    "42602": "Check the name.",
    "42702": "Two columns have that name: name the columns, each of them once.",
    "42703": "Check the column's name.",
    "42P01": "Check the table's name; outside the search path it needs its schema: SCHEMA.TABLE.",
    "22021": "PostgreSQL stores no text with a NUL character: mend the input, or deliver to a folder.",
    "25006": "Reading is all that a source may do; a server that is a replica takes no predictions.",
    "22001": "A text is too long for its column: widen the column, or name another --output-table.",
    "23502": "A column of the table that Tandem does not know must have a default or may be null.",
    "42P10": "The table needs a primary key or a unique index on the column that its rows are known by.",
    "53": "The server has no room left: make some, and run it again.",
    "57": _LOST,
}
#: The same for failures without an SQLSTATE, by what the driver says.
_BY_TEXT: Final = (
    ("authentication failed|no password supplied|no pg_hba.conf entry|role .* does not exist", _SIGN_IN),
    ("database .* does not exist", _BY_STATE["3D000"]),
    ("connection refused|could not translate|timeout|timed out|no such file|no route|unreachable", _AWAY),
    ("server closed the connection|terminating connection|connection .*(lost|reset|not open)", _LOST),
    ("database is locked", "Another program writes to the database: run it again when it is done."),
    ("not a database", "Check the file: it is no SQLite database, or it is encrypted."),
    ("readonly database|read-only", "Check who may write to the file and to its folder."),
    ("no such table", "Check the table's name."),
    ("no such column|has no column", "Check the column's name."),
    ("does not match any primary key", _BY_STATE["42P10"]),
    ("syntax error|incomplete input", "Check the SQL."),
    ("disk is full|no space left", "Free some space, and run it again."),
)


class Session:
    """An open connection, whose statements are one transaction until `commit`.

    Leave it through `with`: what is not committed is undone.

    Args:
        address: The database.
        write: Whether a SQLite database may be changed, or made where there is none.

    Raises:
        TandemError: The database cannot be reached, or its driver is not installed.
    """

    def __init__(self, address: Address, *, write: bool = False) -> None:
        self._address = address
        uri, self._password = address.with_password()
        driver = _driver(address)
        with self._told():
            self._connection: Any = driver.connect(_file_uri(address, write=write) if address.file else uri)
        if address.file:
            self.run(f"pragma busy_timeout = {_BUSY_MILLISECONDS}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):  # the connection may be lost: what it had begun is undone then, too
            self._connection.rollback()
        with suppress(Exception):
            self._connection.close()

    def run(self, sql: str) -> None:
        """Runs a statement that gives no rows."""
        with self._cursor() as cursor:
            cursor.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a small result."""
        with self._cursor() as cursor:
            cursor.execute(sql)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def columns(self, sql: str) -> pa.Schema:
        """The columns of a result, without its rows; sees that the user may read them."""
        with self._cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_record_batch().schema

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """A result, piece by piece, in bounded memory."""
        with self._cursor() as cursor:
            cursor.adbc_statement.set_options(
                **{"adbc.sqlite.query.batch_rows": str(_BATCH_ROWS)}
                if self._address.file
                else {"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
            )
            cursor.execute(sql)
            yield from cursor.fetch_record_batch()

    def load(self, table: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Makes a temporary table of rows, in bounded memory.

        Args:
            table: Its name.
            schema: Its columns.
            batches: The rows.
        """
        failed: list[BaseException] = []

        def watched() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except BaseException as error:
                # The driver would tell its text alone.
                failed.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(schema, watched())
        try:
            with self._cursor() as cursor:
                cursor.adbc_ingest(table, reader, mode="create", temporary=True)
        except TandemError:
            if failed:
                raise failed[0] from None
            raise

    def commit(self) -> None:
        """Makes all that was done last."""
        with self._told():
            self._connection.commit()

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with self._told():
            cursor = self._connection.cursor()
            try:
                yield cursor
            finally:
                with suppress(Exception):
                    cursor.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what the driver raises into sentences."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise self._trouble(error) from None
        except Exception as error:
            # Errors of the driver have a class of their own for each driver manager that is loaded.
            if not hasattr(error, "sqlstate"):
                raise
            raise self._trouble(error) from None

    def _trouble(self, error: Exception) -> InputError:
        """What went wrong, without secrets."""
        said = str(error)
        # The driver may quote the address that it was given, with the password of the password file.
        for secret in filter(None, (self._password, self._password and quote(self._password, safe=""))):
            said = said.replace(secret, "***")
        state = getattr(error, "sqlstate", None) or _found(r"SQLSTATE: (\w{5})", said)
        said = _short(without_passwords(said))
        return InputError(f"{self._address.shown}: {said}", hint=_hint(state, said))


def _driver(address: Address) -> Any:
    name = f"adbc_driver_{address.kind}"
    try:
        return importlib.import_module(f"{name}.dbapi")
    except ImportError as error:
        raise ConfigurationError(
            f"{address.shown}: the driver is not installed ({error.name or name})",
            hint=f"Install it: pip install 'tandem-scorer[{address.kind}]'.",
        ) from error


def _file_uri(address: Address, *, write: bool) -> str:
    """A SQLite database as its driver is given it: nothing is made where a database is only read."""
    file = address.file
    if file is None:
        raise ValueError(f"{address.shown} is no file")
    if not file.exists() and not write:
        raise InputError(f"{file}: there is no such database", hint="Check the name of the file.")
    if not file.absolute().parent.is_dir():
        raise InputError(f"{file}: there is no such folder", hint="Make the folder, or name another.")
    return f"file:{quote(str(file.absolute()))}?mode={'rwc' if write else 'ro'}"


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return None if match is None else match[1]


def _short(said: str) -> str:
    """What the server or the driver says, without the statement and the driver's own preamble."""
    said = re.split(r"\n\s*(?:LINE \d+:|Query was:|query:)|(?:\. |\n\. ?)SQLSTATE:", said)[0]
    told = _found(r"(?s)(?:ERROR|FATAL|PANIC):\s+(.*)", said)
    if told is None:
        told = re.sub(r"^[A-Z_]+: ", "", said)
        told = re.sub(r"^\[(?:libpq|SQLite)\] ", "", told)
        told = re.sub(r"^Failed to (?:connect|prepare query|step query): ", "", told)
    lines = [line.strip() for line in told.strip().splitlines()]
    return " ".join(line for line in lines if line).rstrip(".")


def _hint(state: str | None, said: str) -> str | None:
    for length in (5, 2) if state else ():
        if hint := _BY_STATE.get(str(state)[:length]):
            return hint
    return next((hint for pattern, hint in _BY_TEXT if re.search(pattern, said.lower())), None)
