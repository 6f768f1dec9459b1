"""Files wherever they are: on this machine, or in an object store."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO


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

    @abstractmethod
    def state(self) -> FileState:
        """Its length and version.

        Raises:
            OSError: It is not there.
        """

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
