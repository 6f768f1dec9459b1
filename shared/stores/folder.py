"""What can be done with the objects below one address."""

import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from shared.errors import InputError
from shared.stores.address import StoreAddress
from shared.stores.connection import connected, explained, is_of_store

_READERS: Final = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """An object, or a folder that holds some.

    Attributes:
        size: Its length in bytes; 0 for a folder.
        changed: When it was last written, in seconds by the store's clock; 0 for a folder.
    """

    size: int
    changed: float


class StoreFolder:
    """The objects below one address. There is nothing to make: a folder is there while something is in it.

    Every method raises an InputError that says what the store answered.

    Args:
        place: Where it is.
    """

    def __init__(self, place: StoreAddress) -> None:
        self.place = place

    def entries(self, below: str = "") -> dict[str, Entry]:
        """What is in it by name, sorted; nothing where nothing is.

        Args:
            below: A folder in it to look into instead.
        """
        import pyarrow.fs  # noqa: PLC0415 - a run over local files has no use for the stores' libraries

        place = self.place.below(below) if below else self.place
        with self._asked(place, "read") as (system, path):
            found = system.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True))
        return {
            entry.base_name: Entry(entry.size or 0, (entry.mtime_ns or 0) / 1e9)
            for entry in sorted(found, key=lambda entry: str(entry.base_name))
        }

    def check_bucket(self) -> None:
        """Sees that the bucket is there."""
        import pyarrow.fs  # noqa: PLC0415 - as above

        bucket = self.place.at("")
        with self._asked(bucket, "written") as (system, path):
            if path and system.get_file_info(path).type == pyarrow.fs.FileType.NotFound:
                raise FileNotFoundError

    def size_of(self, name: str) -> int | None:
        """The length of an object; None where there is none."""
        import pyarrow.fs  # noqa: PLC0415 - as above

        with self._asked(self.place.below(name), "read") as (system, path):
            found = system.get_file_info(path)
        return int(found.size) if found.type == pyarrow.fs.FileType.File else None

    def read(self, name: str) -> bytes:
        """The content of an object."""
        with (
            self._asked(self.place.below(name), "read") as (system, path),
            system.open_input_file(path) as file,
        ):
            return bytes(file.readall())

    def read_all(self, names: list[str]) -> list[bytes]:
        """The contents of objects, asked for several at a time."""
        with ThreadPoolExecutor(_READERS, "read") as pool:
            return list(pool.map(self.read, names))

    def put(self, name: str, content: Any) -> None:
        """Writes an object, or replaces it: others see it with all its content, or not at all.

        Args:
            name: Its name in the folder.
            content: Bytes, or what has them as a buffer.
        """
        with self._asked(self.place.below(name), "written") as (system, path):
            # A stream of pyarrow's that is dropped or left by an error completes its object with what it was
            # given so far. So it is given all at once: between the two calls nothing is missing.
            stream = system.open_output_stream(path, compression=None)
            stream.write(content)
            stream.close()

    def put_file(self, name: str, file: BinaryIO) -> None:
        """Writes an object with a local file's content, which need not fit into memory."""
        file.flush()
        if not file.seek(0, 2):
            self.put(name, b"")
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            self.put(name, content)

    def remove(self, name: str) -> None:
        """Removes an object, if it is there."""
        with self._asked(self.place.below(name), "removed") as (system, path):
            try:
                system.delete_file(path)
            except FileNotFoundError:
                return

    def remove_below(self, name: str) -> None:
        """Removes all objects below a folder in it, if there are any."""
        with self._asked(self.place.below(name), "removed") as (system, path):
            try:
                system.delete_dir(path)
            except FileNotFoundError:
                return

    @contextmanager
    def _asked(self, place: StoreAddress, what: str) -> Iterator[tuple[Any, str]]:
        try:
            yield connected(place)
        except OSError as error:
            if not is_of_store(error):
                raise
            said, hint = explained(place, error)
            raise InputError(f"{place}: cannot be {what}: {said}", hint=hint) from error
