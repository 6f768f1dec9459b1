"""A real PostgreSQL for the tests: one container for all of them, with a database for each that asks."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from shared.deadline import Deadline
from tests.support.broker import free_port
from tests.support.trouble import give_up

IMAGE = "postgres:17"
USER = "postgres"
# It must be escaped in an address, and no command says such a word by itself.
PASSWORD = "s3cr%t/@hunter2"  # noqa: S105 - of a container that lives for one test run
_START_SECONDS = 60
_REMEDY = "start Docker"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server, or one of its databases.

    Attributes:
        port: Where it listens on this machine.
        database: The database.
        user: Who signs in.
    """

    port: int
    database: str = "postgres"
    user: str = USER

    @property
    def address(self) -> str:
        """The address without a password."""
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{self.database}"

    @property
    def variables(self) -> dict[str, str]:
        """The variables with which the address lets a command in."""
        return {"PGPASSWORD": PASSWORD}

    def run(self, *statements: str) -> None:
        """Runs statements in one transaction."""
        with self._connection() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a result."""
        with self._connection() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def load(self, table: str, rows: Any) -> None:
        """Makes a table of an Arrow table."""
        with self._connection() as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="create")
            connection.commit()

    def tables(self) -> Sequence[str]:
        """The names of the tables that are there."""
        return [name for (name,) in self.rows("select relname::text from pg_stat_user_tables order by 1")]

    def sessions(self, application: str, *, waiting: bool = False) -> int:
        """How many sessions a program has; of those, when asked, only the ones that wait for a lock."""
        only = " and wait_event_type = 'Lock'" if waiting else ""
        return len(self.rows(f"select pid {self._of(application)}{only}"))

    def end_sessions(self, application: str) -> None:
        """Ends all sessions of a program, as a server does that is shut down."""
        self.rows(f"select pg_terminate_backend(pid) {self._of(application)}")

    def _of(self, application: str) -> str:
        names = f"application_name = '{application}' and datname = '{self.database}'"
        return f"from pg_stat_activity where {names}"

    def as_user(self, name: str) -> "Postgres":
        """The same database for another user, who is made where there is none and has the same password."""
        if not self.rows(f"select 1 from pg_roles where rolname = '{name}'"):  # noqa: S608 - the test's own
            self.run(f"create role {name} login password '{PASSWORD}'")
        return Postgres(self.port, self.database, name)

    @contextmanager
    def holding(self, statement: str) -> Iterator["Held"]:
        """Keeps what a statement takes until it is released, or the block ends."""
        with self._connection() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            yield Held(connection)
            connection.rollback()

    def _connection(self) -> Any:
        import adbc_driver_postgresql.dbapi as driver  # noqa: PLC0415 - only where a server is asked for

        keywords = f"host=127.0.0.1 port={self.port} dbname={self.database} user={self.user}"
        return driver.connect(f"{keywords} password='{PASSWORD}'")


@dataclass(frozen=True, slots=True)
class Held:
    """An open transaction."""

    _connection: Any

    def release(self) -> None:
        """Ends it, and with it all that it holds."""
        self._connection.rollback()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server in a container, which is removed at the end.

    Skips the test where there is no Docker, and fails it under CI=true.
    """
    # Read by testcontainers when it is imported; its reaper is another image to pull.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    try:
        from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415 - only here
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415
    except ImportError as error:
        give_up(f"testcontainers is not installed ({error}); install the extra `test`, or {_REMEDY}")
    port = free_port()
    try:
        container = DockerContainer(IMAGE, env={"POSTGRES_PASSWORD": PASSWORD}).with_bind_ports(5432, port)
        # What a test writes need not outlive it.
        container.with_command("postgres -c fsync=off").start()
    except DockerException as error:
        give_up(f"no Docker ({error}); {_REMEDY}")
    try:
        server = Postgres(port)
        _wait_for(server, container)
        yield server
    finally:
        # Nobody misses what is in it: there is no need for it to end in good order.
        container.get_wrapped_container().kill()
        container.stop()


def new_database(server: Postgres) -> Postgres:
    """An empty database of a server."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    import adbc_driver_postgresql.dbapi as driver  # noqa: PLC0415 - only where a server is asked for

    # A database cannot be made in a transaction.
    keywords = f"host=127.0.0.1 port={server.port} dbname={server.database} user={USER} password='{PASSWORD}'"
    with driver.connect(keywords, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"create database {name}")
    return Postgres(server.port, name)


def _wait_for(server: Postgres, container: Any) -> None:
    """Waits until it answers: before its databases are made, it answers on no port."""
    deadline, said = Deadline.after(_START_SECONDS), ""
    while not deadline.passed:
        try:
            server.rows("select 1")
        except Exception as error:  # noqa: BLE001 - the driver's own errors; the last is told
            said = str(error)
        else:
            return
        deadline.pause(0.1)
    output = b"\n".join(container.get_logs()).decode(errors="replace")
    pytest.fail(f"PostgreSQL did not start: {said}\n{output[-4000:]}")
