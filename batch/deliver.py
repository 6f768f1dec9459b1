"""`python -m batch deliver`: a finished folder of results to a table."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg

from batch.destinations import Target, destination_of
from batch.destinations.settings import delivered_as_json, told
from batch.manifest import read_scored
from shared import logs
from shared.errors import ConfigurationError, ExitCode
from shared.logs import LogSettings
from shared.progress import Meter, show_json, show_summary
from shared.settings import CommandSettings, JsonSettings, load
from shared.stores.address import has_scheme, shown_address


class DeliverSettings(JsonSettings, LogSettings, CommandSettings):
    """Delivers a folder that `python -m batch score` has finished to a table: all of it, or nothing.

    The same folder delivered twice leaves the same rows as delivered once.

    Example:
      python -m batch deliver scored --output postgresql://me@db/shop --output-table predictions
    """

    folder: CliPositionalArg[str] = Field(
        description="The folder of results, on this machine; its parts are Parquet."
    )
    output: str = Field(
        description="A table's address: postgresql://USER@HOST/DATABASE, sqlite:///FILE, delta:PATH or "
        "iceberg:TABLE."
    )
    output_table: str | None = Field(
        None,
        description="The table of predictions in a database. It is made when it is not there, with "
        "TABLE_rejected and TABLE_runs.",
    )
    database_password_file: Path | None = Field(
        None,
        description="A file with the database's password. Not given: PGPASSWORD or ~/.pgpass, as for "
        "PostgreSQL's own programs.",
    )


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: The folder is not whole, or could not be delivered.
    """
    settings = load(DeliverSettings, arguments, "python -m batch deliver")
    logs.set_up(settings.log_format, settings.log_level)
    target = Target(settings.output, settings.output_table, settings.database_password_file)
    destination = destination_of(target)
    if destination is None:
        raise ConfigurationError(
            f"{shown_address(settings.output)}: no table's address",
            hint="Copy the folder to bring it to another place.",
        )
    if has_scheme(settings.folder):
        raise ConfigurationError(
            f"{shown_address(settings.folder)}: only a folder of this machine can be delivered",
            hint="Copy the whole folder here, and deliver the copy.",
        )
    folder = Path(settings.folder)
    with Meter(first=f"delivering to {destination.address}"):
        delivered = destination.deliver(folder, read_scored(folder))
    if settings.as_json:
        show_json(delivered_as_json(delivered))
    else:
        show_summary({"delivered": told(delivered)})
    return ExitCode.DONE
