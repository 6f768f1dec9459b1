"""What a table of a lake is to the batch path: data files that no one changes, read at one version.

The library of the format says which files the version has, and what stands in them: it finds the columns
of a file by their ids or names, fills those that an older file lacks with null, and gives each row its
partition's values. The rows are read here, since the libraries hold whole files or row groups meanwhile.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.models import libraries
from shared.stores.address import shown_address, without_passwords

Rows = npt.NDArray[np.int64]

#: How data files are opened. pre_buffer keeps the compressed bytes of all that was read until the file is
#: closed; without a buffer a whole column of a row group is read at once, and a table's groups are large.
READ_OPTIONS: Final[Mapping[str, Any]] = {"pre_buffer": False, "buffer_size": 1 << 20}


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of a table.

    Attributes:
        name: Its path below the table.
        size: Its length in bytes.
        cleared: Whether rows of it are deleted that still stand in it.
    """

    name: str
    size: int
    cleared: bool = False


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A data file that is open.

    Attributes:
        parquet: The file, as pyarrow.parquet opens it.
        columns: The names of the columns to read of it.
        project: Makes the table's columns of what was read.
        deleted: The numbers in the file of the rows that are deleted, ascending.
    """

    parquet: Any
    columns: Sequence[str]
    project: Callable[[pa.RecordBatch], pa.RecordBatch]
    deleted: Rows = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def counts(self) -> list[int]:
        """The rows of each row group, those included that are deleted."""
        metadata = self.parquet.metadata
        return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]

    def batches(self, begin: int, end: int | None, skip: int, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of consecutive row groups, without those that are deleted.

        Args:
            begin: The first row group.
            end: The row group after the last; None is the end of the file.
            skip: How many rows to pass over.
            batch_rows: The most rows of a batch.
        """
        counts = self.counts
        end = len(counts) if end is None else end
        place = sum(counts[:begin])
        while begin < end and not len(self.deleted) and skip >= counts[begin]:
            place, skip, begin = place + counts[begin], skip - counts[begin], begin + 1
        for read in self.parquet.iter_batches(
            batch_rows, row_groups=list(range(begin, end)), columns=list(self.columns)
        ):
            batch = self._left(read, place)
            place += read.num_rows
            passed = min(skip, batch.num_rows)
            skip -= passed
            if passed < batch.num_rows:
                yield self.project(batch.slice(passed))

    def _left(self, batch: pa.RecordBatch, place: int) -> pa.RecordBatch:
        """A batch without its deleted rows.

        Args:
            batch: The rows.
            place: The number in the file of the first of them.
        """
        first, last = np.searchsorted(self.deleted, (place, place + batch.num_rows)).tolist()
        if first == last:
            return batch
        kept = np.ones(batch.num_rows, np.bool_)
        kept[self.deleted[first:last] - place] = False
        return batch.filter(pa.array(kept))


def first_line(error: Exception) -> str:
    """The beginning of what a library says, without its last stop and without passwords."""
    return without_passwords(libraries.first_line(error)).rstrip(". ")


class Lake(ABC):
    """A table at one version. It can be pickled: it is opened anew elsewhere, at the same version.

    Attributes:
        kind: The format's name.
        address: The table as the user writes it, with its version.
        name: What its rows are known by.
        id: What the format knows the table by, wherever it is moved.
        version: The version, as the format counts.
        columns: The names of its columns, those of its partitions included.
        files: Its files by path.
    """

    kind: ClassVar[str]
    address: str
    name: str
    id: str
    version: str
    columns: Sequence[str]
    files: Sequence[DataFile]

    @abstractmethod
    def open(
        self, file: str, columns: Sequence[str], repeated: Collection[str]
    ) -> AbstractContextManager[LakeFile]:
        """Opens a data file.

        Args:
            file: Its name.
            columns: The table's columns to give, in this order.
            repeated: Those of them whose texts repeat, and are better read as dictionaries.

        Raises:
            InputError: It is not Parquet, or its columns do not suit the table's.
            OSError: It is gone, or cannot be read.
            pyarrow.ArrowException: It is damaged.
        """

    @property
    def shown(self) -> str:
        """The address as people may see it."""
        return shown_address(self.address)

    def __reduce__(self) -> tuple[type["Lake"], tuple[str]]:
        return type(self), (self.address,)
