"""What a folder or a pattern of an object store stands for."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from shared.errors import InputError
from shared.stores.address import StoreAddress
from shared.stores.connection import connected, explained
from shared.stores.file import StoreFile


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that was found.

    Attributes:
        file: The file.
        name: Its path below the folder that was named, or below the pattern's part without wildcards.
        in_folder: Whether a folder was named.
    """

    file: StoreFile
    name: str
    in_folder: bool = False


def list_at(text: str) -> list[Listed]:
    """The files that an address stands for: one object, all below a folder, or what matches a pattern.

    Raises:
        ConfigurationError: The address cannot be used.
        InputError: Nothing is there, or the store refuses.
    """
    import pyarrow.fs  # noqa: PLC0415 - a run over local files has no use for the stores' libraries

    place = StoreAddress.parse(text)
    try:
        system, path = connected(place)
        kind = system.get_file_info(path).type if place.key else pyarrow.fs.FileType.Directory
        if kind == pyarrow.fs.FileType.File:
            return [Listed(StoreFile(place), place.key.rpartition("/")[2])]
        if kind == pyarrow.fs.FileType.NotFound and glob.has_magic(place.key):
            return _matching(place)
        return _below(place, place.key.split("/") if place.key else [])
    except OSError as error:
        said, hint = explained(place, error)
        raise InputError(f"{place}: cannot be read: {said}", hint=hint) from error


def _below(place: StoreAddress, folder: Sequence[str]) -> list[Listed]:
    """The files below a folder but for hidden ones, sorted by name."""
    found = [
        Listed(StoreFile(place.at("/".join((*folder, *parts)))), "/".join(parts), in_folder=True)
        for parts in _objects(place, folder)
        if not any(part.startswith(("_", ".")) for part in parts)
    ]
    return sorted(found, key=lambda listed: listed.name)


def _matching(place: StoreAddress) -> list[Listed]:
    """The files that match a pattern, sorted by name: `*` is any name, `**` any folders."""
    pattern = place.key.split("/")
    fixed = next(number for number, part in enumerate(pattern) if glob.has_magic(part))
    found = [
        Listed(StoreFile(place.at("/".join((*pattern[:fixed], *parts)))), "/".join(parts))
        for parts in _objects(place, pattern[:fixed])
        if not parts[-1].startswith(("_", ".")) and _matches(parts, pattern[fixed:])
    ]
    if not found:
        raise InputError(f"{place}: no file matches", hint="Check the pattern, and quote it for the shell.")
    return sorted(found, key=lambda listed: listed.name)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches, as glob.glob has it: wildcards pass over names that begin with a dot."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        deeper = bool(parts) and not parts[0].startswith(".") and _matches(parts[1:], pattern)
        return deeper or _matches(parts, pattern[1:])
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _objects(place: StoreAddress, folder: Sequence[str]) -> Iterator[list[str]]:
    """The paths of all objects below a folder, relative to it, in no order."""
    import pyarrow.fs  # noqa: PLC0415 - as above

    system, path = connected(place.at("/".join(folder)))
    selector = pyarrow.fs.FileSelector(path, recursive=True)
    for entry in system.get_file_info(selector):
        if entry.type == pyarrow.fs.FileType.File:
            yield entry.path.removeprefix(path).lstrip("/").split("/")
