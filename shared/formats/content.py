"""The bytes of a file or of a range of them, from front to back; those of a compressed file decompressed."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from shared.errors import InputError
from shared.formats.base import Split
from shared.storage import StoredFile

#: Arrow's reader of each kind sees a file that was cut short; zstandard's own takes it for whole.
_KINDS: Final = {".gz": "gzip", ".zst": "zstd"}
#: About how much of a file a split of a file of lines is: small enough that a few workers share a file.
SPLIT_BYTES: Final = 32 * 1024 * 1024


def compressed(*suffixes: str) -> tuple[str, ...]:
    """Suffixes of files of text, and the same of compressed files."""
    return (*suffixes, *(suffix + kind for suffix in suffixes for kind in _KINDS))


def is_compressed(file: StoredFile) -> bool:
    """Whether a file can only be read from its beginning."""
    return "".join(file.suffixes[-1:]) in _KINDS


class Content:
    """A file or a split of it, opened for reading; to be used in a `with` statement.

    Members of a compressed file that stand one after another are read as one.

    Args:
        file: The file.
        split: The range of bytes; None is the whole file.

    Raises:
        InputError: The file is compressed and holds nothing at all.
        OSError: It cannot be opened.
    """

    def __init__(self, file: StoredFile, split: Split | None = None) -> None:
        with ExitStack() as opened:
            self._raw = opened.enter_context(file.open())
            size = file.state().size
            self._begin, end = (split.begin, split.end) if split else (0, None)
            self._end = size if end is None else end
            self._limit = end
            kind = _KINDS.get("".join(file.suffixes[-1:]))
            self._source: Any = self._raw
            if kind:
                if not size:
                    raise InputError(
                        f"{file}: the compressed file is empty: it was cut short", hint="Make it anew."
                    )
                self._source = opened.enter_context(pa.CompressedInputStream(self._raw, kind))
            elif self._begin:
                self._raw.seek(self._begin)
            self._opened = opened.pop_all()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none only at the end.

        Raises:
            OSError: The file cannot be read, or is a compressed one that is damaged or was cut short.
        """
        if self._limit is not None:
            size = min(size, self._limit - self._raw.tell())
        content: bytes = self._source.read(size)
        return content

    @property
    def done(self) -> float:
        """The share that has been read, from 0 to 1."""
        return min(1.0, (self._raw.tell() - self._begin) / max(1, self._end - self._begin))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._opened.close()


def targets(file: StoredFile) -> list[int]:
    """The bytes at which a file of lines is to be split, or soon after: about SPLIT_BYTES apart.

    They depend on the file's length alone. There are none in a compressed file, nor in a small one.
    """
    if is_compressed(file):
        return []
    size = file.state().size
    count = max(1, round(size / SPLIT_BYTES))
    return [size * number // count for number in range(1, count)]


def byte_ranges(begins: Sequence[tuple[int, int]], size: int, rows_end: int | None) -> list[Split]:
    """The splits of a file of lines.

    Args:
        begins: By split, the byte at which it begins and the number of its first row.
        size: The length of the file.
        rows_end: The number of the row after the last; None where that is not known.
    """
    *before, last = [begin for begin in begins if begin[0] < size] or begins[:1]
    splits = [
        Split(first, row - first, end - begin, begin, end)
        for (begin, first), (end, row) in pairwise([*before, last])
    ]
    begin, first = last
    return [*splits, Split(first, None if rows_end is None else rows_end - first, size - begin, begin)]
