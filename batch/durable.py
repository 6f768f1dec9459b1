"""The steps by which results reach the disk, each in one place: a test kills a run at every one."""

import os
from pathlib import Path
from typing import BinaryIO


def write(file: BinaryIO, content: bytes | memoryview) -> None:
    """Writes all of it.

    Raises:
        OSError: The disk is full, say.
    """
    left = memoryview(content)
    while left:
        # A file without a buffer may take less than it is given.
        left = left[file.write(left) :]


def sync(file: BinaryIO) -> None:
    """Brings what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def rename(unfinished: Path, finished: Path) -> None:
    """Gives a file its name; one of that name is replaced."""
    unfinished.rename(finished)


def sync_folder(folder: Path) -> None:
    """Brings a folder itself to the disk: until then a new name in it can be forgotten."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Removes a file, if it is there."""
    path.unlink(missing_ok=True)
