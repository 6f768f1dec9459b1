"""What is scored: files, and snapshots of topics, as outcomes whose rows have their positions."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from pydantic_core import from_json

from shared import times
from shared.cells import read_id
from shared.errors import InputError
from shared.events import MAX_EVENT_BYTES
from shared.files import Chunk, Source, check_file, format_of, original_rows, read_file, split_file
from shared.formats.base import Rows, Split
from shared.predict import Outcome, Predictor
from shared.predictions import REJECTION_SCHEMA, rejections_table
from shared.schema import EVENT_ID, InputType, Rejection, Schema
from shared.storage import FileState, StoredFile, stored_file

#: A rejected row, with the ids that it holds as far as they can be read.
REJECTED_SCHEMA: Final = pa.schema(
    [*REJECTION_SCHEMA, pa.field("customer_id", pa.string()), pa.field("event_id", pa.string())]
)
_DIGEST_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of a piece of a source.

    Attributes:
        place: The file or partition, for the ledger.
        read: How many rows the piece has.
        outcome: What became of them; its row numbers are those of the source.
        ids: The prediction id of each scored row.
        rejected: The rejected rows, as REJECTED_SCHEMA says.
        passed: The columns of the source that go along with the scored rows.
    """

    place: str
    read: int
    outcome: Outcome
    ids: pa.StringArray
    rejected: pa.RecordBatch
    passed: Sequence[pa.Array] = ()


def never() -> bool:
    """For what is not stopped."""
    return False


class Scorable(ABC):
    """A source of rows. It can be pickled, and read in another process.

    Attributes:
        name: What it is known by.
        place: What the ledger knows its rows by.
        format: How it is read, for the manifest.
        sha256: The digest that it must have; None when any will do.
        renames: Whether its columns can be read under other names.
        resumable: Whether an interrupted run can read the same rows again.
        by_events: Whether its rows are JSON events, which Python reads and not Arrow.
        shape: What its rows consist of: sources of one shape may share a part.
        raw: Whether its original rows end with the column RAW, the bytes of those that have no columns.
        snapshot: The snapshot that it is a part of: only parts of one may have the same place.
    """

    name: str
    place: str
    format: str
    sha256: str | None = None
    renames: bool = True
    resumable: bool = True
    by_events: bool = False
    shape: tuple[str, ...] = ()
    raw: bool = False
    snapshot: Path | None = None

    @abstractmethod
    def check(self, predictor: Predictor) -> None:
        """Refuses early what cannot be scored.

        Raises:
            InputError: The source is damaged or lacks a column.
        """

    @abstractmethod
    def state(self) -> FileState:
        """Its length, and what shows that it has changed.

        Raises:
            InputError: It is gone.
        """

    @abstractmethod
    def splits(self, predictor: Predictor, rows: int) -> list[Split]:
        """The pieces that can be read by themselves.

        Args:
            predictor: What scores them.
            rows: How many rows a split has at most, where it can be cut so.
        """

    @abstractmethod
    def chunks(self, predictor: Predictor, split: Split | None = None, skip: int = 0) -> Iterator[Chunk]:
        """The rows of a split as they are read.

        Args:
            predictor: What scores them.
            split: Which rows; None: all.
            skip: How many of its first rows are passed over.
        """

    @abstractmethod
    def score(self, predictor: Predictor, chunk: Chunk) -> Scored:
        """What becomes of a chunk."""

    def head(self, predictor: Predictor) -> Chunk | None:
        """Its first rows, which show their columns' types; None when it has none."""
        return next(self.chunks(predictor), None)

    def events(self, chunk: Chunk) -> pa.Array | None:  # noqa: ARG002 - for others
        """The events of a chunk's rows where they stand in a column; None elsewhere."""
        return None

    def numbers(self, chunk: Chunk) -> npt.NDArray[np.int64]:
        """The numbers by which `place` knows a chunk's rows."""
        return chunk.rows

    def indices(self, chunk: Chunk, outcome: Outcome) -> npt.NDArray[np.int64]:
        """The index in a chunk of each row of it that was scored."""
        return np.searchsorted(chunk.rows, outcome.rows)

    def rejected_rows(self, chunk: Chunk, outcome: Outcome) -> Rows:  # noqa: ARG002 - for others
        """The row numbers, as `originals` counts, of a chunk's rejected rows."""
        return np.array([rejection.row for rejection in outcome.rejections], np.int64)

    def at_hand(self, chunk: Chunk, rows: Rows) -> pa.RecordBatch | None:
        """Rows of a chunk with all that they held, where nothing need be read again for that.

        Args:
            chunk: The chunk.
            rows: The row numbers, ascending.
        """
        return rows_as_read(chunk, rows)

    def originals(self, split: Split, rows: Rows) -> Iterator[pa.RecordBatch]:
        """Rows with all that they held, in order; asked for only where they are not at hand.

        Args:
            split: The split that they are of.
            rows: The row numbers, ascending.

        Raises:
            InputError: They cannot be read any more.
        """
        raise NotImplementedError

    @abstractmethod
    def digest(self, stopped: Callable[[], bool] = never) -> str:
        """The SHA-256 of its content; of a source that is not resumable, of what was read of it.

        Args:
            stopped: Whether to give up; asked now and then while much is read.

        Raises:
            InputError: It cannot be read.
            concurrent.futures.CancelledError: It was given up.
        """


@dataclass(frozen=True, slots=True)
class Reading:
    """How files of columns are read.

    Attributes:
        ignore_case: Whether a column matches an input's name in another case.
        delimiter: What separates the fields of a CSV file.
        batch_rows: How many rows are scored at once.
        further: Columns to read besides the model's inputs; a source without one of them is refused.
        names: By input, the column that it is read from where that is called otherwise.
    """

    ignore_case: bool = False
    delimiter: str = ","
    batch_rows: int = 65_536
    further: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)


class StoredRows(Scorable):
    """The rows of a stored file."""

    file: StoredFile

    def state(self) -> FileState:
        """The file's length and version."""
        try:
            return self.file.state()
        except OSError as error:
            raise _unreadable(self.file, error) from error

    def digest(self, stopped: Callable[[], bool] = never) -> str:
        """The digest of the file's bytes."""
        digest = hashlib.sha256()
        try:
            with self.file.open() as file:
                while block := file.read(_DIGEST_BLOCK):
                    if stopped():
                        raise CancelledError
                    digest.update(block)
        except OSError as error:
            raise _unreadable(self.file, error) from error
        return digest.hexdigest()


class FileRows(StoredRows):
    """The rows of one file: a row's position is the file's name and its number."""

    def __init__(self, source: Source, reading: Reading) -> None:
        self.file: StoredFile = stored_file(source.file)
        self.name = self.place = source.name
        self._reading = reading
        form = format_of(self.file)
        self.format, self.by_events = form.name, form.events
        self.renames = not form.events
        self.shape = (form.name,)
        self.raw = form.text

    def _wanted(self, predictor: Predictor) -> dict[str, Any]:
        schema = predictor.model.schema
        needed = [schema.key, *(feature.name for feature in schema.features if feature.required)]
        reading = self._reading
        return {
            "columns": [*schema.fields, *reading.further],
            # A strict model must see the columns that it does not know.
            "others": schema.strict,
            "required": [*needed, *reading.further, *reading.names],
            "categories": [feature.name for feature in schema.features if feature.type == "category"],
            "ignore_case": reading.ignore_case,
            "delimiter": reading.delimiter,
            "batch_rows": reading.batch_rows,
            "names": reading.names,
        }

    def check(self, predictor: Predictor) -> None:
        """Looks at the file's header or footer."""
        check_file(self.file, **self._wanted(predictor))

    def splits(self, predictor: Predictor, rows: int) -> list[Split]:
        """Runs of row groups, ranges of bytes, or the whole file."""
        return split_file(self.file, rows, **self._wanted(predictor))

    def chunks(self, predictor: Predictor, split: Split | None = None, skip: int = 0) -> Iterator[Chunk]:
        """The rows of a split."""
        return read_file(self.file, split=split, skip=skip, **self._wanted(predictor))

    def at_hand(self, chunk: Chunk, rows: Rows) -> pa.RecordBatch | None:
        """The rows of a file of text: its bytes are still held."""
        return None if chunk.originals is None else chunk.originals(rows)

    def originals(self, split: Split, rows: Rows) -> Iterator[pa.RecordBatch]:
        """The rows, with all columns of the file."""
        reading = self._reading
        return original_rows(
            self.file, rows, split, delimiter=reading.delimiter, batch_rows=reading.batch_rows
        )

    def score(self, predictor: Predictor, chunk: Chunk) -> Scored:
        """Scores events of a file of lines as events, and rows of columns as columns."""
        key = predictor.model.schema.key
        if chunk.values is not None:
            outcome = predictor.score_json(chunk.values)
            ids = ids_of_events([chunk.values[rejection.row] for rejection in outcome.rejections], key)
        else:
            batch = chunk.batch
            outcome = predictor.score_table(batch, text=chunk.text)
            ids = ids_of_rows(
                batch,
                [rejection.row for rejection in outcome.rejections],
                predictor.model.schema,
                text=chunk.text,
            )
        outcome, ids = in_file(outcome, ids, chunk)
        positions = positions_of(self.name, [rejection.row for rejection in outcome.rejections])
        return Scored(
            self.name,
            len(chunk.rows) + len(chunk.rejections),
            outcome,
            positions_of(self.name, outcome.rows),
            rejected_table(outcome, positions, ids),
        )


def rows_as_read(chunk: Chunk, rows: Rows) -> pa.RecordBatch:
    """Rows of a chunk with the columns that were read; of a row that the format refused they are null.

    Args:
        chunk: A chunk of columns.
        rows: The row numbers, ascending.
    """
    places = np.searchsorted(chunk.rows, rows)
    absent = ~np.isin(rows, chunk.rows)
    batch: Any = chunk.batch
    return batch.take(pa.array(np.where(absent, 0, places), mask=absent))


Ids = list[tuple[str | None, str | None]]


def in_file(outcome: Outcome, ids: Ids, chunk: Chunk) -> tuple[Outcome, Ids]:
    """An outcome with the rows that the file's format refused, all by their number in the file.

    Args:
        outcome: What became of the chunk's rows.
        ids: The customer id and event id of each of its rejections.
        chunk: The chunk.
    """
    numbers = chunk.rows.tolist()
    found: list[tuple[Rejection, tuple[str | None, str | None]]] = [
        (replace(rejection, row=numbers[rejection.row]), own)
        for rejection, own in zip(outcome.rejections, ids, strict=True)
    ]
    found += [(rejection, (None, None)) for rejection in chunk.rejections]
    found.sort(key=lambda pair: pair[0].row)
    merged = replace(
        outcome,
        total=outcome.total + len(chunk.rejections),
        rows=chunk.rows[outcome.rows],
        rejections=tuple(rejection for rejection, _ in found),
    )
    return merged, [own for _, own in found]


def positions_of(name: str, rows: Any) -> pa.StringArray:
    """`name/row` for each row number."""
    return pc.binary_join_element_wise(name, pc.cast(pa.array(rows, pa.int64()), pa.string()), "/")


def rejected_table(outcome: Outcome, positions: pa.StringArray, ids: Ids) -> pa.RecordBatch:
    """An outcome's rejections with the ids of their rows."""
    columns = rejections_table(outcome, positions).columns
    customers, events = ([pair[place] for pair in ids] for place in (0, 1))
    return pa.record_batch(
        [*columns, pa.array(customers, pa.string()), pa.array(events, pa.string())], schema=REJECTED_SCHEMA
    )


def ids_of_events(values: Sequence[bytes | None], key: str) -> Ids:
    """The customer id and event id of rejected events, as far as they can be read."""
    return [(_id(event.get(key)), _id(event.get(EVENT_ID))) for event in map(_object, values)]


def _object(value: bytes | None) -> dict[str, Any]:
    if value is None or len(value) > MAX_EVENT_BYTES:
        return {}
    try:
        # By the validator's own parser: NaN, Infinity and 1e999 are rejected, and their event still has ids.
        event = from_json(value, allow_inf_nan=True)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _id(value: object) -> str | None:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value) or None
    return None


def ids_of_rows(batch: pa.RecordBatch, rows: Sequence[int], schema: Schema, *, text: bool) -> Ids:
    """The customer id and event id of rejected rows, as far as they can be read.

    They are those that the event has which stands for the row.

    Args:
        batch: The rows.
        rows: Which of them were rejected.
        schema: The model's declared inputs.
        text: Whether the columns hold text that was never typed, as those of a CSV file.
    """
    customers = _ids_of_column(batch, schema.key, rows, schema.key_type, text=text)
    return list(zip(customers, _ids_of_column(batch, EVENT_ID, rows, None, text=text), strict=True))


def _ids_of_column(
    batch: pa.RecordBatch, name: str, rows: Sequence[int], declared: InputType | None, *, text: bool
) -> list[str | None]:
    places = batch.schema.get_all_field_indices(name)
    if not places:
        return [None] * len(rows)
    # Of a repeated name the last counts, as it does for the validator.
    values = batch.column(places[-1]).take(pa.array(rows, pa.int64()))
    if pt.is_dictionary(values.type):
        values = values.dictionary_decode()
    if text:
        return [_id(read_id(cell or "", declared)) for cell in values.to_pylist()]
    if times.is_time(values.type):
        values = times.as_text(values)
    if not (pt.is_integer(values.type) or pt.is_string(values.type) or pt.is_large_string(values.type)):
        return [None] * len(rows)
    return [_id(value) for value in values.to_pylist()]


def _unreadable(file: StoredFile, error: OSError) -> InputError:
    return file.refusal(error) or InputError(f"{file}: cannot be read: {error}")
