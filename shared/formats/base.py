"""The contract of a file format: a new one is one new file and one line in FORMATS (shared/files.py)."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.errors import InputError
from shared.schema import Rejection
from shared.storage import StoredFile

Rows = npt.NDArray[np.int64]
#: The column of an original row that has no columns: its bytes in the file.
RAW: Final = "raw"


@dataclass(slots=True)
class Chunk:
    """A bounded piece of one file, in the file's order.

    Attributes:
        rows: The row number in the file of each row in `batch` or `values`, ascending: 0 is the first
            row of data (a header is not counted, and neither is a blank line).
        batch: The rows as columns; None for a format of JSON events.
        values: The rows as events' bytes; None for a format of columns.
        text: Whether the columns are text that was never typed, as a CSV file's.
        rejections: Rows that the format itself refuses; `Rejection.row` is the row number in the file.
        done: The share of what is read, the file or a split of it, that lies behind this chunk, from 0 to 1.
        originals: Of a file of text: gives rows of the chunk, by their ascending numbers in the file, as they
            stand there: all columns under the file's own names, if it has any, and after them RAW, the bytes
            of a row without columns. Else None; see `Format.originals`.
    """

    rows: Rows
    batch: pa.RecordBatch | None
    values: list[bytes] | None = None
    text: bool = False
    rejections: list[Rejection] = field(default_factory=list)
    done: float = 0.0
    originals: Callable[[Rows], pa.RecordBatch] | None = None

    def since(self, row: int) -> "Chunk | None":
        """The part of the chunk from a row of the file on; None when that is nothing."""
        rejections = [rejection for rejection in self.rejections if rejection.row >= row]
        start = int(np.searchsorted(self.rows, row))
        if start == len(self.rows) and not rejections:
            return None
        batch = None if self.batch is None else self.batch.slice(start)
        values = None if self.values is None else self.values[start:]
        return replace(self, rows=self.rows[start:], batch=batch, values=values, rejections=rejections)


@dataclass(frozen=True, slots=True)
class Split:
    """A piece of a file that is read by itself, beside others.

    The same file always gives the same splits, however many workers read them. It can be pickled.

    Attributes:
        first: The row number in the file of its first row.
        rows: How many rows it has, those that the format refuses included; None where only reading tells.
        size: How many bytes of the file it is, for showing progress.
        begin: Where it begins, as the format counts: a byte, a row group, a record batch.
        end: The place after its end; None is the end of the file.
    """

    first: int
    rows: int | None
    size: int
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read of a file.

    Attributes:
        columns: The names to read when they are there; None reads everything.
        others: Whether to read all other columns too.
        required: The names without which the file is refused.
        categories: The names whose texts repeat, and are better read as dictionaries.
        ignore_case: Whether a column matches a name in another case.
        delimiter: What separates the fields of a CSV file: one character.
        batch_rows: The most rows of a chunk.
        names: By name, the column that it is read from where that is called otherwise; a column of the file
            that has such a name itself is passed over.
    """

    columns: Collection[str] | None = None
    others: bool = False
    required: Collection[str] = ()
    categories: Collection[str] = ()
    ignore_case: bool = False
    delimiter: str = ","
    batch_rows: int = 65_536
    names: Mapping[str, str] = field(default_factory=dict)


class Format(ABC):
    """How the rows of one kind of file are read, in bounded memory."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    #: Whether its rows are JSON events, which Python reads one by one, and not columns.
    events: ClassVar[bool] = False
    #: Whether its files are text: then a row may have no columns, and stands in RAW instead.
    text: ClassVar[bool] = False

    @abstractmethod
    def check(self, file: StoredFile, wanted: Wanted) -> None:
        """Looks at a file's beginning and end, to refuse before anything is scored what cannot be read.

        Raises:
            InputError: The file is damaged, or lacks a required column.
            OSError: The file cannot be opened.
        """

    def splits(self, file: StoredFile, wanted: Wanted, rows: int) -> list[Split]:  # noqa: ARG002 - for others
        """The pieces of a file that can be read by themselves, in order; together they are the file.

        A format that can read only from the beginning has one.

        Args:
            file: The file.
            wanted: What to read of it.
            rows: The most rows of a split of a file that says how many its pieces have.

        Raises:
            InputError: The file is damaged.
            OSError: The file cannot be read.
        """
        return [Split(first=0, rows=None, size=file.state().size)]

    @abstractmethod
    def read(
        self, file: StoredFile, wanted: Wanted, split: Split | None = None, skip: int = 0
    ) -> Iterator[Chunk]:
        """The rows of a file, or of a split of it.

        Args:
            file: The file.
            wanted: What to read of it.
            split: One of those that `splits` gives; None reads the whole file.
            skip: How many of the first rows to pass over, those that the format refuses included. Every
                other row keeps its number in the file.

        Raises:
            InputError: The file is damaged, or lacks a required column.
            OSError: The file cannot be read.
            pyarrow.ArrowException: The file is damaged.
        """

    def originals(
        self, file: StoredFile, wanted: Wanted, rows: Rows, split: Split | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a file of typed columns as they stand there; a file of text has them in its chunks.

        Args:
            file: The file.
            wanted: How to read it; which columns it names does not matter.
            rows: The row numbers in the file, ascending.
            split: The split that they are in, as `splits` gives it; None is the whole file.

        Yields:
            The rows in order, with all columns of the file under its own names; texts may be no UTF-8.

        Raises:
            InputError: The file is damaged.
            OSError: The file cannot be read.
            pyarrow.ArrowException: The file is damaged.
        """
        raise NotImplementedError


def choose_columns(file: StoredFile | str, found: Sequence[str], wanted: Wanted) -> dict[int, str]:
    """Picks the columns to read: by place in the file, the name to give each.

    Raises:
        InputError: A required column is missing, or a name to read stands there twice.
    """

    def alike(name: str) -> str:
        return name.casefold() if wanted.ignore_case else name

    names = (*wanted.names, *(wanted.columns or ()), *wanted.required)
    known = {alike(wanted.names.get(name, name)): name for name in names}
    replaced = {alike(name) for name in wanted.names} - set(known)
    chosen = {
        place: known.get(alike(name), name)
        for place, name in enumerate(found)
        if (wanted.columns is None or wanted.others or alike(name) in known) and alike(name) not in replaced
    }
    repeated = [name for name, times in Counter(chosen.values()).items() if times > 1]
    if repeated:
        raise InputError(
            f"{file}: the column {repeated[0]!r} is there more than once",
            hint="Rename or remove one of them, so that it is clear which one counts.",
        )
    missing = [name for name in wanted.required if name not in chosen.values()]
    if missing:
        column = wanted.names.get(missing[0], missing[0])
        reader = f", which {missing[0]!r} is to be read from," if column != missing[0] else ""
        raise InputError(
            f"{file}: the column {column!r}{reader} is missing", hint=_hint_for_missing(column, found)
        )
    if not chosen:
        raise InputError(f"{file}: none of the columns is there", hint=_hint_for_missing("", found))
    return chosen


def _hint_for_missing(name: str, found: Sequence[str]) -> str:
    if any(other.casefold() == name.casefold() for other in found):
        return "It is there in another case: give --ignore-case."
    shown = ", ".join(found[:20]) + (", …" if len(found) > 20 else "")
    return f"The file has the columns: {shown}." if found else "The file has no columns."
