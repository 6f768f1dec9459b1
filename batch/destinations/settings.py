"""The options of a command that delivers to a table, and where its results are until then."""

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, Field

from batch.destinations import Delivered, Destination, Target, destination_of
from batch.manifest import Predictions
from shared.errors import ConfigurationError, TandemError
from shared.progress import Meter
from shared.stores.address import shown_address

_LOG = logging.getLogger(__name__)


class DeliverySettings(BaseModel):
    """Where results go."""

    output: str = Field(
        description="A folder that is new or empty; or a table's address: postgresql://USER@HOST/DATABASE, "
        "sqlite:///FILE, delta:PATH or iceberg:TABLE."
    )
    output_table: str | None = Field(
        None,
        description="The table of predictions, when the output is a database. It is made when it is not "
        "there, with TABLE_rejected and TABLE_runs.",
    )
    work_folder: Path | None = Field(
        None,
        description="When the output is a table: a new or empty folder in which the results are written "
        "before they are delivered, and stay. Not given: a temporary folder. --resume needs it.",
    )

    def destination(self, password_file: Path | None, form: str) -> Destination | None:
        """The table that the output stands for; None for a folder.

        Args:
            password_file: A file with the password of the databases.
            form: The format of the parts.

        Raises:
            ConfigurationError: The output cannot be read, or an option does not go with it.
        """
        found = destination_of(Target(self.output, self.output_table, password_file))
        if found is None:
            given = {"output-table": self.output_table, "work-folder": self.work_folder}
            for option, value in given.items():
                if value is not None:
                    raise ConfigurationError(
                        f"--{option}: the output {shown_address(self.output)} is a folder",
                        hint="The option is for a table as output: postgresql://USER@HOST/DATABASE, say.",
                    )
        elif form != "parquet":
            raise ConfigurationError(
                f"--format {form}: what goes to a table is written as Parquet first",
                hint="Leave --format out.",
            )
        return found

    def deliver_after(
        self, destination: Destination, score: Callable[[Path], Predictions]
    ) -> tuple[Predictions, Delivered]:
        """Scores into a folder and delivers it; a temporary folder stays until its results are delivered.

        Args:
            destination: Where to deliver.
            score: Scores into a folder.

        Raises:
            TandemError: The scoring or the delivery failed, with what to do.
        """
        if self.work_folder is not None:
            manifest = score(self.work_folder)
            return manifest, deliver(destination, self.work_folder, manifest)
        folder = Path(tempfile.mkdtemp(prefix="tandem-"))
        try:
            manifest = score(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        delivered = deliver(destination, folder, manifest)
        shutil.rmtree(folder, ignore_errors=True)
        return manifest, delivered


def deliver(destination: Destination, folder: Path, manifest: Predictions) -> Delivered:
    """Delivers a finished folder.

    Raises:
        TandemError: It could not be delivered, with what to do.
    """
    whole = f"The results are whole in {folder}: deliver them with `python -m batch deliver {folder}`."
    try:
        with Meter(first=f"delivering to {destination.address}"):
            return destination.deliver(folder, manifest)
    except TandemError as error:
        error.hint = f"{error.hint}\n{whole}" if error.hint else whole
        raise
    except BaseException:
        # Interrupted, or a fault: what is said of that knows nothing of the results.
        _LOG.error(whole)
        raise


def delivered_as_json(delivered: Delivered) -> dict[str, object]:
    """What a delivery did, for a script; these names are a contract."""
    return {
        "place": delivered.place,
        "predictions": delivered.predictions,
        "rejected": delivered.rejected,
        "replaced": delivered.replaced,
        "already_there": delivered.again,
    }


def told(delivered: Delivered) -> str:
    """What a delivery did, for people to read."""
    if delivered.again:
        return f"{delivered.place} (the run is there already: nothing was added)"
    rejected = f" and {delivered.rejected:,} rejected rows" if delivered.rejected else ""
    replaced = f"; {delivered.replaced:,} of another model were replaced" if delivered.replaced else ""
    return f"{delivered.place} ({delivered.predictions:,} predictions{rejected}{replaced})"
