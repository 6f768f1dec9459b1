"""NDJSON: one JSON object a line. The lines are handed on as they are; the event parser reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.events import MAX_EVENT_BYTES, too_large
from shared.formats.base import RAW, Chunk, Format, Rows, Split, Wanted
from shared.formats.content import Content, byte_ranges, compressed, targets
from shared.storage import StoredFile

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_FEED: Final = b"\n"[0]
_BLANK: Final = np.isin(np.arange(256), list(b" \t\n\r\x0b\x0c"))


class Ndjson(Format):
    """One event a line.

    A line ends at a line feed only; a carriage return before it is not part of the event. Blank lines are
    skipped and not counted.
    """

    name: ClassVar[str] = "ndjson"
    suffixes: ClassVar[tuple[str, ...]] = compressed(".ndjson", ".jsonl")
    events: ClassVar[bool] = True
    text: ClassVar[bool] = True

    def check(self, file: StoredFile, wanted: Wanted) -> None:  # noqa: ARG002 - every line speaks for itself
        """Sees that the file can be opened."""
        with Content(file) as content:
            content.read(1)

    def splits(self, file: StoredFile, wanted: Wanted, rows: int) -> list[Split]:  # noqa: ARG002 - by bytes
        """Ranges of whole lines, found by a look at every byte of a large file; of a small one, the whole."""
        wished, size = targets(file), file.state().size
        if not wished:
            return [Split(0, None, size)]
        begins, place, row = [(0, 0)], 0, 0
        lines = _LineEnds()
        with Content(file) as content:
            while block := content.read(_BLOCK_BYTES):
                ends, filled = lines.find(block, mark=not place)
                while wished and len(later := ends[np.searchsorted(ends, wished[0] - place) :]):
                    begin = place + int(later[0])
                    begins.append((begin, row + int(filled[: len(ends) - len(later) + 1].sum())))
                    wished = [other for other in wished if other > begin]
                place, row = place + len(block), row + int(filled.sum())
        return byte_ranges(begins, size, row + lines.open)

    def read(
        self, file: StoredFile, wanted: Wanted, split: Split | None = None, skip: int = 0
    ) -> Iterator[Chunk]:
        """The lines of a file; one that is longer than any event is refused without being kept."""
        row = split.first if split else 0
        begin = row + skip
        with Content(file, split) as content:
            for lines, long in _pieces(content, _holds_mark(split)):
                originals = partial(_originals, lines, long, row)
                for start in range(max(0, begin - row), len(lines), wanted.batch_rows):
                    values = lines[start : start + wanted.batch_rows]
                    rows = np.arange(row + start, row + start + len(values), dtype=np.int64)
                    yield Chunk(rows, None, values, done=content.done, originals=originals)
                row += len(lines)
                if long:
                    if row >= begin:
                        yield Chunk(
                            np.empty(0, np.int64),
                            None,
                            [],
                            rejections=[too_large(row, long.size)],
                            done=content.done,
                            originals=originals,
                        )
                    row += 1


def _originals(lines: list[bytes], long: "_Long | None", first: int, rows: Rows) -> pa.RecordBatch:
    """Lines as the column RAW; of one that is too long as many bytes as an event may have.

    Args:
        lines: Some lines.
        long: One after them that is too long, or None.
        first: The row number in the file of the first.
        rows: The row numbers in the file.
    """
    found = [*lines, long.beginning] if long else lines
    values = [found[place] for place in (rows - first).tolist()]
    return pa.RecordBatch.from_arrays([pa.array(values, pa.binary())], [RAW])


def _holds_mark(split: Split | None) -> bool:
    """Whether a byte order mark may stand at the beginning."""
    return split is None or not split.begin


class _LineEnds:
    """Finds lines in blocks that end anywhere.

    Attributes:
        open: Whether the last block ended in a line that is not blank.
    """

    def __init__(self) -> None:
        self.open = False

    def find(self, block: bytes, *, mark: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The place after each line that ends in a block, and whether the line is not blank.

        Args:
            block: What follows on the last one.
            mark: Whether a byte order mark may stand at the beginning.
        """
        codes = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(codes == _FEED) + 1
        begin = len(_BYTE_ORDER_MARK) if mark and block.startswith(_BYTE_ORDER_MARK) else 0
        if not len(ends):
            self.open |= bool(block[begin:].strip())
            return ends, np.empty(0, np.bool_)
        starts = np.concatenate([[begin], ends[:-1]])
        filled = ~_BLANK[codes[starts]]
        if not filled.all():
            # A line that begins with a blank may be all blank.
            filled = np.logical_or.reduceat(~_BLANK[codes[: ends[-1]]], starts)
        filled[0] |= self.open
        self.open = bool(block[ends[-1] :].strip())
        return ends, filled


@dataclass(slots=True)
class _Long:
    """A line that is longer than any event may be.

    Attributes:
        size: Its length in bytes.
        beginning: As many of them as an event may have.
    """

    size: int
    beginning: bytes


def _pieces(content: Content, mark: bool) -> Iterator[tuple[list[bytes], _Long | None]]:
    """The lines that are not blank, in order: some, and after them perhaps one that is too long.

    No more than a block is ever held of a line.
    """
    rest, long, blank, returned = b"", None, False, False
    while block := content.read(_BLOCK_BYTES):
        if mark:
            block, mark = block.removeprefix(_BYTE_ORDER_MARK), False
        if long:
            end, feed, block = block.partition(b"\n")
            long.size += len(end)
            blank, returned = blank and not end.strip(), end.endswith(b"\r") if end else returned
            if not feed:
                continue
            yield from _ended(long, blank=blank, returned=returned)
            long = None
        text = rest + block
        lines = text.split(b"\n")
        rest = lines.pop()
        yield from _sorted_out(lines, text)
        # A carriage return may still turn out to belong to the line's end.
        if len(rest) > MAX_EVENT_BYTES + 1:
            long, blank, returned = (
                _Long(len(rest), rest[:MAX_EVENT_BYTES]),
                rest.isspace(),
                rest.endswith(b"\r"),
            )
            rest = b""
    if long:
        yield from _ended(long, blank=blank, returned=returned)
    else:
        yield from _sorted_out([rest], rest)


def _ended(long: _Long, *, blank: bool, returned: bool) -> Iterator[tuple[list[bytes], _Long | None]]:
    if not blank:
        yield [], _Long(long.size - returned, long.beginning)


def _sorted_out(lines: list[bytes], text: bytes) -> Iterator[tuple[list[bytes], _Long | None]]:
    """Lines of a text without the blank ones, cut after each one that is too long."""
    kept = [line.removesuffix(b"\r") for line in lines if line and not line.isspace()]
    # Whatever is too long covers one of these stretches, which are soon looked through.
    half = MAX_EVENT_BYTES // 2
    if all(text.find(b"\n", place, place + half) >= 0 for place in range(0, len(text) - half + 1, half)):
        yield kept, None
        return
    begin = 0
    for place, line in enumerate(kept):
        if len(line) > MAX_EVENT_BYTES:
            yield kept[begin:place], _Long(len(line), line[:MAX_EVENT_BYTES])
            begin = place + 1
    yield kept[begin:], None
