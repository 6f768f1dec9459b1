"""A folder of results: no result in it is ever overwritten, and no file in it is ever half written."""

import fcntl
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from batch import durable
from shared.errors import InputError
from shared.storage import LocalFile, StoredFile
from shared.stores.address import StoreAddress, has_scheme

JOURNAL_FILE: Final = ".journal"
_LOCK_FILE: Final = ".lock"
# Others' files do not end like this: what a run has left half written is told by it, and removed.
_UNFINISHED: Final = ".tandem-unfinished"
# Bytes; Parquet comes in many small pieces.
_WRITTEN_AT_ONCE: Final = 256 * 1024


class HashedFile:
    """A file that is written from its beginning to its end, with the digest of what went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self.size = 0
        self.closed = False

    def write(self, content: bytes | memoryview) -> int:
        """Writes all of it, small pieces together."""
        # Arrow passes buffers; their length in elements is not always that in bytes.
        content = memoryview(content).cast("B")
        self._digest.update(content)
        self.size += len(content)
        if len(self._waiting) + len(content) > _WRITTEN_AT_ONCE:
            self.end()
            durable.write(self._file, content)
        else:
            self._waiting += content
        return len(content)

    def end(self) -> None:
        """Writes what is waiting; whoever opened the file calls it."""
        if self._waiting:
            durable.write(self._file, bytes(self._waiting))
            self._waiting.clear()

    def tell(self) -> int:
        """How many bytes are written."""
        return self.size

    def flush(self) -> None:
        """Does nothing: new_file sees that all is on the disk."""

    def close(self) -> None:
        """Does nothing: new_file closes it."""

    @property
    def sha256(self) -> str:
        """The digest so far, as 64 hex digits."""
        return self._digest.hexdigest()


class Folder(ABC):
    """A folder that only one run writes to.

    Attributes:
        address: Where it is, as the user writes it.
    """

    address: str

    @abstractmethod
    def names(self) -> list[str]:
        """The names in it, sorted, but for the lock's; nothing when there is no such folder.

        Raises:
            InputError: It is no folder, or cannot be read.
        """

    @abstractmethod
    def create(self) -> None:
        """Makes the folder, and those above it, where they are not there.

        Raises:
            InputError: It cannot be made.
        """

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Keeps every other run out of it while the block runs.

        Raises:
            InputError: Another run has it.
        """

    @abstractmethod
    def new_file(self, name: str) -> AbstractContextManager[HashedFile]:
        """A file, which gets its name once all of it is stored; one of that name is replaced then.

        Raises:
            InputError: The disk is full, or the file cannot be written.
        """

    @abstractmethod
    def size_of(self, name: str) -> int | None:
        """The length of a file in it; None where there is none."""

    @abstractmethod
    def file(self, name: str) -> StoredFile:
        """A file in it, for reading."""

    @abstractmethod
    def append(self, line: bytes) -> None:
        """Adds a line to the journal; it is stored when this returns.

        Raises:
            InputError: The disk is full, or the journal cannot be written.
        """

    @abstractmethod
    def journal(self) -> bytes:
        """The journal's lines so far; the last may be cut short, and is dropped by `mend`."""

    @abstractmethod
    def mend(self, whole: int) -> None:
        """Makes a folder that a run was broken off in ready for the next one: its unfinished files go.

        Args:
            whole: How many bytes of the journal are whole lines; the rest is cut off.
        """

    @abstractmethod
    def end(self) -> None:
        """Removes the journal: the manifest is written, and says it all."""

    def check_empty(self) -> None:
        """Sees that the folder is new or empty.

        Raises:
            InputError: It holds something, or is no folder.
        """
        names = self.names()
        if not names:
            return
        hint = "Nothing is overwritten: name a new folder, or empty this one."
        if JOURNAL_FILE in names:
            hint = "A run that was broken off has left it: --resume goes on with it, if it has ended."
        raise InputError(f"{self.address}: the output folder is not empty: it holds {names[0]}", hint=hint)

    def failed(self, name: str, error: OSError) -> InputError:
        """The sentence for a file that cannot be written."""
        said = error.strerror or str(error)
        where = f"{self.address}/{name}" if name else self.address
        hint = "Nothing is listed there: see that there is space, and that it may be written to."
        if self.size_of(JOURNAL_FILE):
            hint = "What is finished stays: make room, and go on with --resume."
        return InputError(f"{where}: cannot be written: {said}", hint=hint)


class LocalFolder(Folder):
    """A folder of this machine.

    Args:
        path: Where it is, or will be; `create` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address = str(path)
        #: The lock's descriptor while the folder is locked: a worker that is given it holds the lock, too.
        self.lock: int | None = None
        #: What tells the unfinished files of two attempts at the same part from each other.
        self.attempt = ""
        self._torn = False

    def names(self) -> list[str]:
        """The names in it, sorted, but for the lock's."""
        try:
            return sorted(item.name for item in self.path.iterdir() if item.name != _LOCK_FILE)
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise InputError(
                f"{self.path}: there is a file of that name", hint="Name a new folder."
            ) from None
        except OSError as error:
            raise self.failed("", error) from error

    def create(self) -> None:
        """Makes the folder, and those above it, where they are not there."""
        above = [folder for folder in self.path.absolute().parents if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for made in (self.path, *above):
                durable.sync_folder(made.absolute().parent)
        except OSError as error:
            raise self.failed("", error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other run out until this process and its workers have ended."""
        path = self.path / _LOCK_FILE
        descriptor = self._locked(path)
        self.lock = descriptor
        try:
            yield
        finally:
            self.lock = None
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)

    def _locked(self, path: Path) -> int:
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise self.failed("", error) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_ino == path.stat().st_ino:
                    return descriptor
            except FileNotFoundError:
                pass  # the run that had it has just ended, and removed it
            except OSError as error:
                os.close(descriptor)
                raise InputError(
                    f"{self.address}: another run is writing to this folder",
                    hint="Wait for it to end, or name another folder.",
                ) from error
            os.close(descriptor)

    @contextmanager
    def new_file(self, name: str) -> Iterator[HashedFile]:
        """A file, which gets its name once all of it is on the disk."""
        finished = self.path / name
        unfinished = finished.with_name(f".{finished.name}{self.attempt}{_UNFINISHED}")
        try:
            finished.parent.mkdir(parents=True, exist_ok=True)
            file = unfinished.open("xb", buffering=0)
        except OSError as error:
            # Another run's file, perhaps: it is left where it is.
            raise self.failed(name, error) from error
        try:
            with file:
                hashed = HashedFile(file)
                yield hashed
                hashed.end()
                durable.sync(file)
            durable.rename(unfinished, finished)
            durable.sync_folder(finished.parent)
        except OSError as error:
            raise self.failed(name, error) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def size_of(self, name: str) -> int | None:
        """The length of a file in it; None where there is none."""
        try:
            return (self.path / name).stat().st_size
        except OSError:
            return None

    def file(self, name: str) -> StoredFile:
        """A file in it, for reading."""
        return LocalFile(self.path / name)

    def append(self, line: bytes) -> None:
        """Adds a line to the journal; it is on the disk when this returns."""
        if self._torn:
            raise self.failed(JOURNAL_FILE, OSError("a line of it is cut short, and no other may follow"))
        try:
            with (self.path / JOURNAL_FILE).open("ab", buffering=0) as file:
                whole = file.tell()
                try:
                    durable.write(file, line + b"\n")
                    durable.sync(file)
                except BaseException:
                    self._cut(file, whole)
                    raise
            if not whole:
                durable.sync_folder(self.path)
        except OSError as error:
            raise self.failed(JOURNAL_FILE, error) from error

    def _cut(self, journal: BinaryIO, whole: int) -> None:
        """Takes back a line that may be cut short: a journal is read only when its last line alone is."""
        # Until that has worked another worker's line must not follow.
        self._torn = True
        with suppress(OSError):
            os.ftruncate(journal.fileno(), whole)
            self._torn = False

    def journal(self) -> bytes:
        """The journal's lines so far; none where there is no journal."""
        try:
            return (self.path / JOURNAL_FILE).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise InputError(f"{self.path / JOURNAL_FILE}: cannot be read: {error.strerror}") from error

    def mend(self, whole: int) -> None:
        """Cuts off what is half written, in the journal and beside it."""
        try:
            with suppress(FileNotFoundError):
                os.truncate(self.path / JOURNAL_FILE, whole)
            self.remove_unfinished()
        except OSError as error:
            raise self.failed("", error) from error

    def remove_unfinished(self) -> None:
        """Removes what attempts that were ended have left half written."""
        for unfinished in self.path.rglob(f".*{_UNFINISHED}"):
            if unfinished.is_file():
                durable.remove(unfinished)

    def end(self) -> None:
        """Removes the journal."""
        durable.remove(self.path / JOURNAL_FILE)


def folder_at(text: str) -> Folder:
    """The folder that an option names: a path, or an address of an object store.

    Raises:
        ConfigurationError: The address is of an unknown kind, or names no bucket.
    """
    if not has_scheme(text):
        return LocalFolder(Path(text))
    from batch.object_folder import ObjectFolder  # noqa: PLC0415 - it builds upon this module

    return ObjectFolder(StoreAddress.parse(text))
