"""NDJSON: one JSON object a line. The lines are handed on as they are; the event parser reads them."""

from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final

import numpy as np

from shared.events import MAX_EVENT_BYTES, too_large
from shared.formats.base import Chunk, Format, Split, Wanted
from shared.schema import Rejection
from shared.storage import StoredFile

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Ndjson(Format):
    """One event a line.

    A line ends at a line feed only; a carriage return before it is not part of the event. Blank lines are
    skipped and not counted.
    """

    name: ClassVar[str] = "ndjson"
    events: ClassVar[bool] = True
    suffixes: ClassVar[tuple[str, ...]] = (".ndjson", ".jsonl")

    def check(self, file: StoredFile, wanted: Wanted) -> None:  # noqa: ARG002 - every line speaks for itself
        """Sees that the file can be opened."""
        file.open().close()

    def read(
        self,
        file: StoredFile,
        wanted: Wanted,
        split: Split | None = None,  # noqa: ARG002 - there is one
        skip: int = 0,
    ) -> Iterator[Chunk]:
        """The lines of a file; one that is longer than any event is refused without being kept."""
        for chunk in _chunks(file, wanted.batch_rows):
            left = chunk.since(skip)
            if left is not None:
                yield left


def _chunks(file: StoredFile, most: int) -> Iterator[Chunk]:
    first = 0
    with file.open() as content:
        size = max(1, file.state().size)
        for lines, too_long in _pieces(content):
            for start in range(0, len(lines), most):
                values = lines[start : start + most]
                rows = np.arange(first, first + len(values), dtype=np.int64)
                first += len(values)
                yield Chunk(rows, None, values, done=min(1.0, content.tell() / size))
            if too_long:
                yield _only_rejected(too_large(first, too_long), min(1.0, content.tell() / size))
                first += 1


def _only_rejected(rejection: Rejection, done: float) -> Chunk:
    return Chunk(np.empty(0, np.int64), None, [], rejections=[rejection], done=done)


def _pieces(file: BinaryIO) -> Iterator[tuple[list[bytes], int]]:
    """The lines that are not blank, block by block, and after them the length of one that is too long.

    The length is 0 when there is none. Of such a line no more than a block is ever held.
    """
    block = file.read(_BLOCK_BYTES).removeprefix(_BYTE_ORDER_MARK)
    rest = b""
    skipped = 0  # bytes of a line that is already known to be too long
    while block:
        if skipped:
            end, feed, block = block.partition(b"\n")
            skipped += len(end) - (feed != b"" and end.endswith(b"\r"))
            if feed:
                yield [], skipped
                skipped = 0
        if not skipped:
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            yield from _lines(lines)
            # A carriage return may still turn out to belong to the line's end.
            if len(rest) > MAX_EVENT_BYTES + 1:
                skipped, rest = len(rest), b""
        block = file.read(_BLOCK_BYTES)
    if skipped:
        yield [], skipped
    else:
        yield from _lines([rest])


def _lines(lines: list[bytes]) -> Iterator[tuple[list[bytes], int]]:
    yield [line.removesuffix(b"\r") for line in lines if line and not line.isspace()], 0
