"""Files wherever they are: on this machine, or in an object store."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from shared.errors import InputError
from shared.stores.address import StoreAddress, has_scheme


@dataclass(frozen=True, slots=True)
class FileState:
    """What shows that a file is still the one that it was.

    Attributes:
        size: Its length in bytes.
        version: Another one after every change: the time of the last, or what the store calls its version.
    """

    size: int
    version: str


class StoredFile(ABC):
    """A file that can be read from any place in it. It can be pickled, and opened in another process.

    Attributes:
        address: Where it is, as the user writes it: a path, or `s3://bucket/key`.
    """

    address: str

    @property
    def suffixes(self) -> list[str]:
        """The endings of its name, in lower case: `.csv`, `.gz`."""
        return [suffix.lower() for suffix in PurePosixPath(self.address).suffixes]

    @property
    def path(self) -> Path | None:
        """Where it is on this machine; None elsewhere."""
        return None

    @abstractmethod
    def open(self) -> BinaryIO:
        """Opens it for reading.

        Raises:
            OSError: It is not there, or may not be read.
        """

    def for_arrow(self) -> Any:
        """What a reader of Arrow's own reads it from.

        Raises:
            OSError: It is not there, or may not be read.
        """
        return self.open()

    @abstractmethod
    def state(self) -> FileState:
        """Its length and version.

        Raises:
            OSError: It is not there.
        """

    def refusal(self, error: OSError) -> InputError | None:
        """The sentence for an error of the place where it lies; None for one of its content.

        Args:
            error: What opening or reading it raised.
        """
        if error.errno is None:
            return None
        hint = (
            "Give a file."
            if isinstance(error, IsADirectoryError)
            else "See that it is there and may be read."
        )
        return InputError(f"{self}: cannot be read: {os.strerror(error.errno)}", hint=hint)

    def __str__(self) -> str:
        return self.address


class LocalFile(StoredFile):
    """A file of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.address = str(path)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    def open(self) -> BinaryIO:
        """Opens it for reading."""
        return self._path.open("rb")

    def state(self) -> FileState:
        """Its length, and when it was last changed in nanoseconds."""
        found = self._path.stat()
        return FileState(found.st_size, str(found.st_mtime_ns))


def stored_file(place: StoredFile | Path | str) -> StoredFile:
    """The file that a path or an address names; nothing is looked up yet.

    Raises:
        ConfigurationError: The address is of an unknown kind, or names no bucket.
    """
    if isinstance(place, StoredFile):
        return place
    if isinstance(place, Path) or not has_scheme(place):
        return LocalFile(Path(place))
    from shared.stores.file import StoreFile  # noqa: PLC0415 - it builds upon this module

    return StoreFile(StoreAddress.parse(place))
