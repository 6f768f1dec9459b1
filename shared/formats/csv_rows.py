"""Where the rows of CSV text end, exactly as Arrow's parser sees it.

A quote opens only at the start of a field. Within quotes a line break is a part of the field and two quotes
are one; after the closing one the field goes on to the next delimiter. A row ends at a line feed, at a
carriage return, or at both.
"""

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.formats.content import Content

# Held at once; wide files want larger ones, and Arrow's parser gains nothing above.
_BLOCK_BYTES: Final = 2 * 1024 * 1024
#: A row with its line break may be this long; most likely a longer one holds a quote that is never closed.
LONGEST_ROW: Final = 64 * 1024 * 1024
_FEED, _RETURN, _QUOTE = b"\n"[0], b"\r"[0], b'"'[0]

Places = npt.NDArray[np.int64]


class RowEnds:
    """Finds the ends of rows in text that begins with a row.

    Args:
        delimiter: What separates fields: one ASCII character.
    """

    def __init__(self, delimiter: str) -> None:
        #: What may stand before a quote for the count of quotes to say whether a byte is within a pair.
        self._before_quote = np.isin(np.arange(256), [ord(delimiter), _FEED, _QUOTE])
        apart = re.escape(delimiter.encode())
        field = rb'(?:"[^"]*+(?:""[^"]*+)*+"|(?!"))[^%b\r\n]*+' % apart
        row = rb"%b(?:%b%b)*+(?:\r\n|\r(?=[^\n])|\n)" % (field, apart, field)
        self._row, self._rows = re.compile(row), re.compile(rb"(?:%b)*+" % row)

    def last(self, block: bytes) -> int:
        """How many bytes the whole rows at the beginning of a block are."""
        codes = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(codes == _QUOTE) if b'"' in block else np.empty(0, np.int64)
        if not self._regular(block, codes, quotes):
            rows = self._rows.match(block)
            return rows.end() if rows else 0
        end = block.rfind(b"\n") + 1
        while end and (before := int(np.searchsorted(quotes, end))) % 2:
            end = block.rfind(b"\n", 0, int(quotes[before - 1])) + 1
        return end

    def all(self, block: bytes) -> Places:
        """The place after each row of a block of whole rows, those after blank lines included."""
        if block.endswith(b"\r"):
            # What follows is no line feed, or the block would hold it.
            return self._one_by_one(block + b" ")
        codes = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(codes == _QUOTE) if b'"' in block else np.empty(0, np.int64)
        if not self._regular(block, codes, quotes):
            return self._one_by_one(block)
        feeds = np.flatnonzero(codes == _FEED)
        if len(quotes):
            feeds = feeds[np.searchsorted(quotes, feeds) % 2 == 0]
        return feeds + 1

    def _regular(self, block: bytes, codes: npt.NDArray[np.uint8], quotes: Places) -> bool:
        """Whether counting quotes and line feeds finds the rows: so it is in files that programs write."""
        opening = quotes[::2]
        fits = self._before_quote[codes[opening - 1]]
        if not fits[int(len(opening) > 0 and opening[0] == 0) :].all():
            return False
        if b"\r" not in block:
            return True
        returns = np.flatnonzero(codes[:-1] == _RETURN)
        alone = returns[codes[returns + 1] != _FEED]
        return bool((np.searchsorted(quotes, alone) % 2).all())

    def _one_by_one(self, block: bytes) -> Places:
        ends, end = [], 0
        while row := self._row.match(block, end):
            end = row.end()
            ends.append(end)
        return np.array(ends, np.int64)


def spans(block: bytes, ends: Places) -> tuple[Places, Places]:
    """Where the rows that are not blank begin and end.

    Args:
        block: The text.
        ends: The ends of its rows.
    """
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: len(ends)]
    lengths = ends - starts
    if len(lengths) and lengths.min() > 2:
        return starts, ends
    codes = np.frombuffer(block, np.uint8)
    filled = (lengths > 2) | ((lengths == 2) & (codes[starts] != _RETURN))
    return starts[filled], ends[filled]


class RowBlocks:
    """Text in blocks of whole rows; the last row gets the line feed that it may lack.

    Args:
        content: What is read.
        ends: Finds the rows.
        first: Text that was read before.

    Attributes:
        left: After the last block: the beginning of a row that is longer than any may be, or in which a quote
            is opened and never closed. Empty when there is none.
    """

    def __init__(self, content: Content, ends: RowEnds, first: bytes = b"") -> None:
        self._content, self._ends = content, ends
        self.left = first

    def __iter__(self) -> Iterator[bytes]:
        while end := self._next():
            block, self.left = self.left[:end], self.left[end:]
            yield block
        if self.left and len(self.left) <= LONGEST_ROW and self._ends.last(self.left + b"\n"):
            block, self.left = self.left + b"\n", b""
            yield block

    def _next(self) -> int:
        """Reads until there is a whole row: how many bytes the whole rows are, 0 at the end."""
        while True:
            # As much again as is held: a long row is looked through a few times, not once a block.
            size = min(max(_BLOCK_BYTES, len(self.left)), LONGEST_ROW + 1 - len(self.left))
            more = self._content.read(size) if size > 0 else b""
            if not more:
                return self._ends.last(self.left)
            self.left += more
            if end := self._ends.last(self.left):
                return end
