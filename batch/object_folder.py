"""A folder of results in an object store."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from batch.folder import JOURNAL_FILE, Folder, HashedFile
from batch.object_lock import LOCK_PREFIX, ObjectLock
from shared.errors import InputError
from shared.storage import StoredFile
from shared.stores.address import StoreAddress
from shared.stores.file import StoreFile
from shared.stores.folder import StoreFolder


class ObjectFolder(Folder):
    """A folder of an object store. A file is sent once all of it is written, and is there once all is sent.

    Until then it lies in a temporary file of this machine, so that memory does not grow with it. The journal
    is an object for each line: nothing can be added to one.

    Args:
        place: Where it is.
    """

    def __init__(self, place: StoreAddress) -> None:
        self.address = str(place)
        self._folder = StoreFolder(place)
        self._lock: ObjectLock | None = None
        self._lines: int | None = None

    def names(self) -> list[str]:
        """The names in it, sorted, but for the lock's."""
        return [name for name in self._folder.entries() if not name.startswith(LOCK_PREFIX)]

    def create(self) -> None:
        """Sees that the bucket is there; a folder comes to be by what is written to it."""
        self._folder.check_bucket()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other run out, until this one has ended or has given no sign of life for a while."""
        self._lock = ObjectLock(self._folder)
        try:
            with self._lock.held():
                yield
        finally:
            self._lock = None

    @contextmanager
    def new_file(self, name: str) -> Iterator[HashedFile]:
        """A file, which is there once all of it is sent; one of that name is replaced then."""
        try:
            with tempfile.TemporaryFile(buffering=0) as file:
                hashed = HashedFile(file)
                yield hashed
                hashed.end()
                self._check_lock()
                self._folder.put_file(name, file)
        except OSError as error:
            raise self.failed(name, error) from error

    def size_of(self, name: str) -> int | None:
        """The length of a file in it; None where there is none."""
        if name == JOURNAL_FILE:
            return sum(entry.size for entry in self._folder.entries(JOURNAL_FILE).values()) or None
        return self._folder.size_of(name)

    def file(self, name: str) -> StoredFile:
        """A file in it, for reading."""
        return StoreFile(self._folder.place.below(name))

    def append(self, line: bytes) -> None:
        """Adds a line to the journal."""
        self._check_lock()
        if self._lines is None:
            last = max(self._folder.entries(JOURNAL_FILE), default="0")
            self._lines = int(last)
        self._folder.put(f"{JOURNAL_FILE}/{self._lines + 1:08d}", line + b"\n")
        self._lines += 1

    def journal(self) -> bytes:
        """The journal's lines so far."""
        return b"".join(self._folder.read_all([f"{JOURNAL_FILE}/{name}" for name in self._journal_names()]))

    def mend(self, whole: int) -> None:
        """Removes the lines after the whole ones; of an unfinished file there is nothing to see here."""
        for name, entry in self._folder.entries(JOURNAL_FILE).items():
            whole -= entry.size
            if whole < 0:
                self._folder.remove(f"{JOURNAL_FILE}/{name}")
        self._lines = None

    def end(self) -> None:
        """Removes the journal."""
        self._folder.remove_below(JOURNAL_FILE)

    def failed(self, name: str, error: OSError) -> InputError:
        """The sentence for a file that cannot be written here: what the store refuses has its own."""
        return InputError(
            f"{self.address}/{name}: cannot be written to the folder for temporary files,"
            f" {tempfile.gettempdir()}: {error.strerror or error}",
            hint="Free some space there, or let TMPDIR name another folder, and go on with --resume.",
        )

    def _check_lock(self) -> None:
        if self._lock is not None:
            self._lock.check()

    def _journal_names(self) -> list[str]:
        return list(self._folder.entries(JOURNAL_FILE))
