"""The rows of a table or of a query, scored as the rows of a file are."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from batch.databases.digest import RowsDigest
from batch.databases.relation import Relation, Wish, dialect_of, find
from batch.databases.session import Session
from batch.sources import (
    Reading,
    Scorable,
    Scored,
    ids_of_rows,
    in_file,
    never,
    rejected_table,
    rows_as_read,
)
from shared.errors import InputError
from shared.formats.base import Chunk, Rows, Split, Wanted, choose_columns
from shared.formats.utf8 import split_invalid_utf8
from shared.predict import Predictor
from shared.storage import FileState

_AGAIN: Final = "Each row needs an id of its own: name another column with --row-id."


@dataclass(slots=True)
class _TableChunk(Chunk):
    """A chunk whose rows are known by ids of their own.

    Attributes:
        row_id: The column of the ids.
        refused: By row number, the ids of rejected rows, which the batch does not hold.
    """

    row_id: str = ""
    refused: Mapping[int, str] = field(default_factory=dict)


class DatabaseRows(Scorable):
    """The rows of a table or query: a row's position is `NAME/ID`.

    They are read in the order of their ids, in one transaction that sees one state of the database. Another
    run would see another state: an interrupted one begins anew.

    Args:
        wish: What to read.
        reading: How it is read.
    """

    resumable = False

    def __init__(self, wish: Wish, reading: Reading) -> None:
        self._wish, self._reading = wish, reading
        self.format = wish.address.kind
        self.name = wish.name or wish.table or ""
        self.place = self.name
        self._digest = RowsDigest()
        self._rows: int | None = None
        self.shape = (self.format, wish.table or wish.query or "")

    def check(self, predictor: Predictor) -> None:
        """Sees that the database answers, that the user may read, and that the columns are there."""
        with Session(self._wish.address) as session:
            relation = find(session, self._wish)
            self._chosen(relation, predictor)
            # A table is known by its own name, however it was called.
            self.name = self.place = relation.name
            self._rows = relation.rows

    def state(self) -> FileState:
        """How many bytes were read; until then, about how many rows there are, for showing progress."""
        return FileState(self._digest.size or self._rows or 0, "")

    def splits(self, predictor: Predictor, rows: int) -> list[Split]:  # noqa: ARG002 - there is one
        """One: a transaction belongs to one connection."""
        return [Split(first=0, rows=None, size=self._rows or 0)]

    def chunks(
        self, predictor: Predictor, split: Split | None = None, skip: int = 0
    ) -> Generator[Chunk, None, None]:
        """The rows in the order of their ids."""
        if skip or (split is not None and split.first):
            raise ValueError("the rows of a database are read from the first on")
        self._digest = RowsDigest()
        dialect = dialect_of(self._wish.address)
        with Session(self._wish.address) as session:
            dialect.begin(session)
            relation = find(session, self._wish)
            chosen = self._chosen(relation, predictor)
            booleans = self._booleans(predictor, chosen)
            sql, typed_first = dialect.select(session, relation, chosen, list(booleans))
            last = None
            for whole in session.stream(sql):
                read = whole.slice(1) if typed_first else whole
                typed_first = False
                if not read.num_rows:
                    continue
                batch = _as_in_files(read, [chosen[name] for name in booleans])
                last = _check_ids(batch.column(0), last, relation)
                first = self._digest.rows
                self._digest.add(batch)
                yield from self._cut(batch, first, relation)

    def _cut(self, batch: pa.RecordBatch, first: int, relation: Relation) -> Iterator[Chunk]:
        """Rows as chunks of at most the size asked for."""
        for start in range(0, batch.num_rows, self._reading.batch_rows):
            part = batch.slice(start, self._reading.batch_rows)
            numbers = np.arange(first + start, first + start + part.num_rows, dtype=np.int64)
            kept, rows, rejections = split_invalid_utf8(part, numbers)
            ids = part.column(0).cast(pa.string())
            yield _TableChunk(
                rows,
                kept,
                rejections=rejections,
                row_id=relation.row_id,
                done=min(1.0, (int(numbers[-1]) + 1) / max(1, relation.rows or 1)),
                refused={refusal.row: ids[refusal.row - int(numbers[0])].as_py() for refusal in rejections},
            )

    def score(self, predictor: Predictor, chunk: Chunk) -> Scored:
        """Scores rows by columns."""
        table = cast("_TableChunk", chunk)
        ids, batch = cast("Any", table.batch).column(0).cast(pa.string()), _without_ids(table.batch)
        outcome = predictor.score_table(batch)
        rejected = [rejection.row for rejection in outcome.rejections]
        own = ids_of_rows(batch, rejected, predictor.model.schema, text=False)
        scored_ids = ids.take(pa.array(outcome.rows))
        known = dict(table.refused)
        known |= {int(table.rows[row]): ids[row].as_py() for row in rejected}
        outcome, own = in_file(outcome, own, chunk)
        return Scored(
            self.place,
            len(chunk.rows) + len(chunk.rejections),
            outcome,
            self._positions(scored_ids),
            rejected_table(
                outcome,
                self._positions(pa.array([known[item.row] for item in outcome.rejections], pa.string())),
                own,
            ),
        )

    def head(self, predictor: Predictor) -> Chunk | None:
        """The first rows; the transaction in which they are read is ended."""
        with closing(self.chunks(predictor)) as chunks:
            return next(chunks, None)

    def numbers(self, chunk: Chunk) -> Rows:
        """The row ids where they are integers, and else numbers made of them: a sample is drawn by them."""
        ids = cast("Any", chunk.batch).column(0)
        if pt.is_integer(ids.type):
            return np.asarray(ids.cast(pa.int64()).to_numpy())
        digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in ids.to_pylist())
        return np.frombuffer(b"".join(digests), "<i8").astype(np.int64)

    def at_hand(self, chunk: Chunk, rows: Rows) -> pa.RecordBatch | None:
        """The columns that were read, and the row id: another transaction would see other rows."""
        found, table = rows_as_read(chunk, rows), cast("_TableChunk", chunk)
        name, batch = table.row_id, _without_ids(found)
        if name in batch.schema.names:
            return batch
        ids = pc.coalesce(
            found.column(0).cast(pa.string()),
            pa.array([table.refused.get(row) for row in rows.tolist()], pa.string()),
        )
        return batch.add_column(0, name, ids)

    def digest(self, stopped: Callable[[], bool] = never) -> str:  # noqa: ARG002 - it is quick
        """The digest of the rows that were read."""
        return self._digest.hexdigest()

    def _positions(self, ids: pa.StringArray) -> pa.StringArray:
        return pc.binary_join_element_wise(self.name, ids, "/")

    def _chosen(self, relation: Relation, predictor: Predictor) -> dict[str, str]:
        """The columns to read, and the names to give them."""
        schema, reading = predictor.model.schema, self._reading
        needed = [schema.key, *(feature.name for feature in schema.features if feature.required)]
        wanted = Wanted(
            columns=[*schema.fields, *reading.further],
            # A strict model must see the columns that it does not know; a table's row id is none of them.
            others=schema.strict,
            required=[*needed, *reading.further, *reading.names],
            ignore_case=reading.ignore_case,
            names=reading.names,
        )
        found = relation.columns.names
        chosen = choose_columns(relation.shown, found, wanted)
        return {
            found[place]: name
            for place, name in chosen.items()
            if found[place] != relation.row_id or name in (*schema.fields, *reading.further)
        }

    def _booleans(self, predictor: Predictor, chosen: Mapping[str, str]) -> list[str]:
        """The columns that the model wants true or false."""
        kinds = {feature.name: feature.type for feature in predictor.model.schema.features}
        return [name for name, given in chosen.items() if kinds.get(given) == "boolean"]


def _without_ids(batch: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(batch.columns[1:], batch.schema.names[1:])


def _as_in_files(batch: pa.RecordBatch, booleans: list[str]) -> pa.RecordBatch:
    """Columns with the types that a file of the same rows would have."""
    columns = []
    for column_field, column in zip(batch.schema, batch.columns, strict=True):
        if isinstance(column, pa.ExtensionArray):
            column = _number(column.storage)  # noqa: PLW2901 - the same column, as its values
        elif column_field.name in booleans and pt.is_integer(column.type):
            column = column.cast(pa.bool_())  # noqa: PLW2901
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _number(digits: pa.StringArray) -> pa.DoubleArray:
    """A numeric column, which the driver gives as text, as Tandem reads a decimal: through its digits."""
    try:
        return digits.cast(pa.float64())
    except pa.ArrowInvalid:  # too large for Arrow to read: infinite
        return pa.array([None if text is None else float(text) for text in digits.to_pylist()], pa.float64())


def _check_ids(ids: pa.Array, last: Any, relation: Relation) -> Any:
    """Sees that row ids are there and ascend, so that none comes twice.

    Args:
        ids: Those of a batch.
        last: The last of the batch before it; None at the first.
        relation: What is read.

    Returns:
        The last of them.

    Raises:
        InputError: One is null, or comes twice.
    """
    try:
        ids.validate(full=True)
    except pa.ArrowInvalid:
        raise InputError(f"{relation.shown}: a {relation.row_id} is not valid UTF-8", hint=_AGAIN) from None
    if ids.null_count:
        raise InputError(f"{relation.shown}: a row has no {relation.row_id}", hint=_AGAIN)
    pairs = pa.concat_arrays([pa.array([last], ids.type), ids]) if last is not None else ids
    ascending = pc.less(pairs.slice(0, len(pairs) - 1), pairs.slice(1))
    if (place := pc.index(ascending, pa.scalar(False))).as_py() >= 0:
        again = pairs[place.as_py() + 1].as_py()
        raise InputError(
            f"{relation.shown}: {again!r} is the {relation.row_id} of more than one row", hint=_AGAIN
        )
    return ids[-1].as_py()
