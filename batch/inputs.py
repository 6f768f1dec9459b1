"""What the inputs on a command line stand for: files, snapshots, tables of a database or of a lake."""

from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath

from batch.database_source import DatabaseRows
from batch.databases.address import is_database
from batch.databases.relation import Wish
from batch.lakes import is_lake, open_lake
from batch.lakes.rows import sources_of_lakes
from batch.manifest import has_manifest
from batch.snapshots import sources_of_snapshot
from batch.sources import FileRows, Reading, Scorable
from shared.errors import ConfigurationError, InputError
from shared.files import find_sources
from shared.predict import Predictor
from shared.stores.address import has_scheme, shown_address


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
        found += sources_of_snapshot(Path(text), predictor, reading.batch_rows)
    found += [FileRows(source, reading) for source in find_sources(files)]
    lakes = [open_lake(text) for text in inputs if is_lake(text)]
    found += sources_of_lakes(lakes, reading)
    check_places(found)
    return found


def check_apart(inputs: Sequence[str], output: str) -> None:
    """Sees that the results do not go into a folder whose files are read: a later run would read them, too.

    Args:
        inputs: As sources_of takes them, which has found them.
        output: The folder of results.

    Raises:
        ConfigurationError: It is inside one of the inputs.
    """
    for text in inputs:
        below = _below_folder(text, output)
        # As of every folder, files below names that begin like this are not read.
        if below is not None and not any(name.startswith(("_", ".")) for name in below.parts):
            raise ConfigurationError(
                f"{shown_address(output)}: the output is inside the input {shown_address(text)}",
                hint="Name a folder beside it: what is read again would be the results, too.",
            )


def _below_folder(text: str, output: str) -> PurePath | None:
    """The path of the output below an input that is a folder of files; None where it is not below one."""
    if has_scheme(text) != has_scheme(output) or is_database(text) or is_lake(text):
        return None
    folder: PurePath
    place: PurePath
    if has_scheme(text):
        folder, place = PurePosixPath(shown_address(text)), PurePosixPath(shown_address(output))
    elif Path(text).is_dir() and not has_manifest(Path(text)):
        folder, place = Path(text).resolve(), Path(output).resolve()
    else:
        return None
    return place.relative_to(folder) if place.is_relative_to(folder) else None


def check_places(sources: Sequence[Scorable]) -> None:
    """Sees that no position can stand for two rows of a run.

    Args:
        sources: All that a run reads. A table of a database must be checked before: until then its name is
            what the user calls it.

    Raises:
        InputError: Two of them would give rows of one position.
    """
    taken: dict[str, Scorable] = {}
    for source in sources:
        other = taken.setdefault(source.place, source)
        if other is not source and (source.snapshot is None or source.snapshot != other.snapshot):
            raise _again(source.place)
    # A row id may be a text with a slash; nothing else that follows a place is.
    for table in (source for source in sources if not source.resumable):
        if place := next((place for place in taken if place.startswith(f"{table.place}/")), None):
            raise _again(place)


def _again(place: str) -> InputError:
    return InputError(
        f"{place}: another input holds rows of this name too",
        hint="Score them one by one, or give the rows of a database another --name: the same position must"
        " not stand for two rows of a run.",
    )
