"""What the inputs on a command line stand for: files, snapshots, tables of a database or of a lake."""

from collections.abc import Sequence
from pathlib import Path

from batch.database_source import DatabaseRows
from batch.databases.address import is_database
from batch.databases.relation import Wish
from batch.lakes import is_lake, open_lake
from batch.lakes.rows import sources_of_lakes
from batch.manifest import has_manifest
from batch.snapshots import sources_of_snapshot
from batch.sources import FileRows, Reading, Scorable
from shared.errors import InputError
from shared.files import find_sources
from shared.predict import Predictor


def sources_of(
    inputs: Sequence[str], predictor: Predictor, reading: Reading, wish: Wish | None = None
) -> list[Scorable]:
    """The sources of rows that inputs stand for: snapshots are folders with a manifest.

    Args:
        inputs: Files, folders, glob patterns, the address of a database, tables of a lake.
        predictor: What scores them.
        reading: How files of columns are read, and how many rows are scored at once.
        wish: What is wanted of the database among the inputs; None when there is none.

    Raises:
        TandemError: An input cannot be used, or two of them hold the same rows.
    """
    stored = [text for text in inputs if not is_database(text) and not is_lake(text)]
    snapshots = [text for text in stored if has_manifest(Path(text))]
    files = [text for text in stored if text not in snapshots]
    found: list[Scorable] = [] if wish is None else [DatabaseRows(wish, reading)]
    for text in snapshots:
        parts = sources_of_snapshot(Path(text), predictor, reading.batch_rows)
        places = {source.place for source in found}
        if again := next((part.place for part in parts if part.place in places), None):
            raise InputError(
                f"{text}: another of the snapshots holds {again} too",
                hint="Score them one by one: the same event must not be scored twice in one run.",
            )
        found += parts
    found += [FileRows(source, reading) for source in find_sources(files)]
    lakes = [open_lake(text) for text in inputs if is_lake(text)]
    return [*found, *sources_of_lakes(lakes, reading, {source.name for source in found})]
