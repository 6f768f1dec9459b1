"""A folder of results: nothing in it is ever overwritten, and no file in it is ever half written."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from shared.errors import InputError

_UNFINISHED: Final = ".tmp"


class HashedFile:
    """A file that is written from its beginning to its end, with the digest of what went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, content: bytes | memoryview) -> int:
        """Writes all of it."""
        # Arrow passes buffers; their length in elements is not always that in bytes.
        content = memoryview(content).cast("B")
        self._digest.update(content)
        self._file.write(content)
        self.size += len(content)
        return len(content)

    def tell(self) -> int:
        """How many bytes are written."""
        return self.size

    def flush(self) -> None:
        """Does nothing: new_file sees that all is on the disk."""

    @property
    def sha256(self) -> str:
        """The digest so far, as 64 hex digits."""
        return self._digest.hexdigest()


class Folder:
    """A folder that only this run writes to.

    Args:
        path: Where it is, or will be; `create` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Sees that the folder is new or empty.

        Raises:
            InputError: It holds something, or is no folder.
        """
        try:
            names = sorted(item.name for item in self.path.iterdir())
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise InputError(
                f"{self.path}: there is a file of that name", hint="Name a new folder."
            ) from None
        except OSError as error:
            raise self._failed(self.path, error) from error
        if names:
            hint = "Nothing is overwritten: name a new folder, or empty this one."
            if "manifest.json" not in names and any(name.startswith((".part-", "part-")) for name in names):
                hint = f"A run that was broken off may have left it. {hint}"
            raise InputError(f"{self.path}: the output folder is not empty: it holds {names[0]}", hint=hint)

    def create(self) -> None:
        """Makes the folder, and those above it.

        Raises:
            InputError: It cannot be made, or holds something.
        """
        self.check()
        above = [folder for folder in self.path.absolute().parents if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for made in (self.path, *above):
                _sync(made.absolute().parent)
        except OSError as error:
            raise self._failed(self.path, error) from error

    @contextmanager
    def new_file(self, name: str) -> Iterator[HashedFile]:
        """A new file, which gets its name once all of it is on the disk.

        Raises:
            InputError: The disk is full, or the file cannot be written.
        """
        unfinished = self.path / f".{name}{_UNFINISHED}"
        try:
            file = unfinished.open("xb")
        except OSError as error:
            # Another run's file, perhaps: it is left where it is.
            raise self._failed(self.path / name, error) from error
        try:
            with file:
                yield HashedFile(file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.path / name)
            _sync(self.path)
        except OSError as error:
            raise self._failed(self.path / name, error) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def _failed(self, path: Path, error: OSError) -> InputError:
        said = error.strerror or str(error)
        hint = f"Nothing is listed in {self.path}: free some space, or name another folder, and start again."
        return InputError(f"{path}: cannot be written: {said}", hint=hint)


def _sync(folder: Path) -> None:
    """Brings a folder itself to the disk: until then a new name in it can be forgotten."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
