"""A file in an object store."""

import io
from typing import Any, BinaryIO, Final, cast

from shared.errors import InputError
from shared.storage import FileState, StoredFile
from shared.stores.address import StoreAddress
from shared.stores.connection import connected, explained, is_of_store

#: A request brings this many bytes at first, and twice as many each time that reading goes straight on:
#: looking at a header costs little, and reading it all few requests.
_FIRST_BYTES: Final = 256 * 1024
_MOST_BYTES: Final = 8 * 1024 * 1024


class StoreFile(StoredFile):
    """A file in an object store. What is pickled of it is its address.

    Args:
        place: Where it is.
    """

    def __init__(self, place: StoreAddress) -> None:
        self.place = place
        self.address = str(place)

    def open(self) -> BinaryIO:
        """Opens it for reading from front to back, in requests of a growing length."""
        return cast("BinaryIO", io.BufferedReader(_Requests(self.for_arrow()), _MOST_BYTES))

    def for_arrow(self) -> Any:
        """Opens it for a reader of Arrow's own, which knows what it wants: a request for each read."""
        system, path = connected(self.place)
        return system.open_input_file(path)

    def state(self) -> FileState:
        """Its length, and its entity tag: another one for other content. Without one, when it was changed."""
        system, path = connected(self.place)
        with system.open_input_file(path) as file:
            size, metadata = file.size(), file.metadata() or {}
        tags = [value for name, value in metadata.items() if _text(name).lower() == "etag"]
        version = _text(tags[0]) if tags else str(system.get_file_info(path).mtime_ns)
        return FileState(size, version)

    def refusal(self, error: OSError) -> InputError | None:
        """The sentence for what the store answered; None for an error in the content."""
        if not is_of_store(error):
            return None
        said, hint = explained(self.place, error)
        return InputError(f"{self}: cannot be read: {said}", hint=hint)


class _Requests(io.RawIOBase):
    """Reads an object by requests whose length grows while reading goes straight on."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._ahead = _FIRST_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")[: self._ahead]
        self._ahead = min(_MOST_BYTES, 2 * self._ahead)
        return int(self._file.readinto(target))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        before = self._file.tell()
        after = int(self._file.seek(offset, whence))
        if after != before:
            self._ahead = _FIRST_BYTES
        return after

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
