"""The options of a command that reads the rows of a database."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, Field

from batch.databases.address import Address, is_database
from batch.databases.relation import Wish
from shared.errors import ConfigurationError


class DatabaseSettings(BaseModel):
    """Which rows of a database are meant, when an input is the address of one."""

    table: str | None = Field(
        None,
        description="The table to score, when the input is a database: postgresql://USER@HOST/DATABASE or "
        "sqlite:///FILE.",
    )
    query: str | None = Field(None, description="A query to score instead; needs --row-id and --name.")
    row_id: str | None = Field(
        None,
        description="The column that tells the rows of the table or query apart: a prediction is known as "
        "NAME/ROW-ID. Not given: the table's primary key.",
    )
    name: str | None = Field(
        None, description="What the rows of the table or query are known by. Not given: the table's name."
    )
    database_password_file: Path | None = Field(
        None,
        description="A file with the password of the databases. Not given: PGPASSWORD or ~/.pgpass, as for "
        "PostgreSQL's own programs.",
    )

    def wish(self, inputs: Sequence[str]) -> Wish | None:
        """What is wanted of the database among the inputs; None when there is none.

        Raises:
            ConfigurationError: The options do not fit the inputs, or contradict each other.
        """
        databases = [Address.read(text, self.database_password_file) for text in inputs if is_database(text)]
        if len(databases) > 1:
            raise ConfigurationError(
                f"{databases[1].shown}: another input is a database too",
                hint="Score one database in a run: --table and --query are of one.",
            )
        if databases:
            return Wish(databases[0], self.table, self.query, self.row_id, self.name)
        for option, value in (
            ("table", self.table),
            ("query", self.query),
            ("row-id", self.row_id),
            ("name", self.name),
        ):
            if value is not None:
                raise ConfigurationError(
                    f"--{option}: no input is a database",
                    hint="Give its address as the input: postgresql://USER@HOST/DATABASE or sqlite:///FILE.",
                )
        return None
