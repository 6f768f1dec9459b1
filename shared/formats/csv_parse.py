"""Rows of CSV text as columns of text, through pyarrow; shared/cells.py says what a cell stands for."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What became of a block of rows.

    Attributes:
        batch: The rows that have as many fields as there are columns.
        places: Which of the block's rows these are; blank lines are not counted.
        damaged: By column, where the batch holds an empty text for one that is not valid UTF-8.
        ragged: Which of the block's rows have too few or too many fields.
        widths: How many fields each of those has.
    """

    batch: pa.RecordBatch
    places: Places
    damaged: dict[str, npt.NDArray[np.bool_]]
    ragged: Places
    widths: Sequence[int]

    @property
    def total(self) -> int:
        """How many rows the block has."""
        return len(self.places) + len(self.ragged)


class RowParser:
    """Parses blocks of whole rows.

    Args:
        width: How many columns there are.
        chosen: The columns to give, by place, and the name of each.
        delimiter: What separates fields.
    """

    def __init__(self, width: int, chosen: dict[int, str], delimiter: str) -> None:
        self._names, self._delimiter = list(chosen.values()), delimiter
        self._places = [str(place) for place in range(width)]
        self._convert = arrow_csv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(self._places, pa.string()),
            strings_can_be_null=False,
            include_columns=[str(place) for place in chosen],
        )

    def parse(self, block: bytes) -> Parsed:
        """Parses a block.

        Raises:
            pyarrow.ArrowException: It is no CSV.
        """
        valid = _is_utf8(block)
        if not valid:
            # Every byte as a character of its own, which Arrow takes; the texts are put together again below.
            block = block.decode("latin-1").encode()
        elif block.startswith(codecs.BOM_UTF8):
            # Arrow drops the first, and only the file's own was none of its text.
            block = codecs.BOM_UTF8 + block
        batch, numbers, widths = self._read(block)
        ragged = np.array(numbers, np.int64)
        total = batch.num_rows + len(ragged)
        places = np.delete(np.arange(total), ragged)
        if valid:
            return Parsed(batch, places, {}, ragged, widths)
        whole = [_put_together(column) for column in batch.columns]
        damaged = {name: bad for name, (_, bad) in zip(self._names, whole, strict=True) if bad.any()}
        batch = pa.RecordBatch.from_arrays([column for column, _ in whole], self._names)
        return Parsed(batch, places, damaged, ragged, widths)

    def _read(self, block: bytes) -> tuple[pa.RecordBatch, list[int], list[int]]:
        numbers, widths = [], []

        def skip(row: Any) -> str:
            numbers.append(row.number - 1)
            widths.append(row.actual_columns)
            return "skip"

        try:
            table = arrow_csv.read_csv(
                pa.py_buffer(block),
                # One thread: only then are the numbers of ragged rows known. Others work on other blocks.
                arrow_csv.ReadOptions(
                    use_threads=False, block_size=len(block) + 1, column_names=self._places
                ),
                arrow_csv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=skip
                ),
                self._convert,
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise
            columns: list[Any] = [pa.array([], pa.string())] * len(self._names)
        else:
            columns = [one_array(column) for column in table.columns]
        return pa.RecordBatch.from_arrays(columns, self._names), numbers, widths


def one_array(column: Any) -> Any:
    """A column's only chunk, or all of them as one."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(_or_empty(column))


def _or_empty(column: Any) -> Iterator[Any]:
    yield pa.array([], column.type)
    yield from column.chunks


def _is_utf8(block: bytes) -> bool:
    try:
        return block.isascii() or block.decode() is not None
    except UnicodeDecodeError:
        return False


def _put_together(column: Any) -> tuple[Any, npt.NDArray[np.bool_]]:
    """Texts whose bytes were read as characters, and where those are not valid UTF-8."""
    bad = np.zeros(len(column), np.bool_)
    beyond = ~pc.string_is_ascii(column).to_numpy(zero_copy_only=False)
    texts = []
    for place in np.flatnonzero(beyond).tolist():
        try:
            texts.append(column[place].as_py().encode("latin-1").decode())
        except UnicodeDecodeError:
            texts.append("")
            bad[place] = True
    return pc.replace_with_mask(column, pa.array(beyond), pa.array(texts, pa.string())), bad
