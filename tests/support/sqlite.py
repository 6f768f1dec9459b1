"""SQLite databases for the tests, by Python's own library: what Tandem's driver writes is read by another."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any


def run(path: Path, *statements: str) -> Path:
    """Runs statements in one transaction, in a database that is made where there is none."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


def insert(path: Path, table: str, rows: Sequence[Sequence[Any]]) -> Path:
    """Adds rows to a table."""
    with closing(sqlite3.connect(path)) as connection, connection:
        places = ", ".join("?" * len(rows[0]))
        connection.executemany(f"insert into {table} values ({places})", rows)  # noqa: S608 - the test's own
    return path


def rows_in(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a result."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def address(path: Path) -> str:
    """The address of a database."""
    return f"sqlite:///{path}"
