"""Which rows of a run are scored, and which columns of theirs go along: `--where`, `--sample`, `--limit`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.selection.conditions import Condition
from batch.selection.fields import EventFields, EventReader, Fields, TextFields, TypedFields
from batch.sources import Scorable, Scored
from shared.errors import ConfigurationError
from shared.files import Chunk
from shared.sampling import Sample
from shared.schema import Schema

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows are scored; by default all of them. It can be pickled.

    Attributes:
        where: What a row must fulfil; None: nothing.
        sample: Of which share it must be; None: of the whole.
        limit: How many rows to score, in the order of the inputs; None: all of them.
        columns: The columns of the inputs that go along with the predictions.
        known_as: What a column that is named here is called in what is read, where that is not its own name.
    """

    where: Condition | None = None
    sample: Sample | None = None
    limit: int | None = None
    columns: tuple[str, ...] = ()
    known_as: Mapping[str, str] = field(default_factory=dict)

    @property
    def named(self) -> list[str]:
        """The columns that the condition asks for, and those that go along."""
        return list(dict.fromkeys([*(self.where.columns if self.where else ()), *self.columns]))

    @property
    def read(self) -> tuple[str, ...]:
        """What these columns are called in what is read."""
        return tuple(dict.fromkeys(self.known_as.get(name, name) for name in self.named))


class Selector:
    """Takes the selected rows out of chunks.

    Args:
        selection: Which rows.
        schema: What the model declares.
    """

    def __init__(self, selection: Selection, schema: Schema) -> None:
        self._selection, self._schema = selection, schema
        self._reader = EventReader(selection.named, schema)

    def pick(self, chunk: Chunk, source: Scorable) -> Chunk:
        """The rows of a chunk that are selected; of those that the format refuses, the ones in the sample.

        A row that cannot be read at all has no fields to ask for: it is kept, so that it is rejected.

        Args:
            chunk: The rows.
            source: What they were read from.

        Raises:
            ConfigurationError: A column's type does not go with what it is compared with.
        """
        selection = self._selection
        keep = np.ones(len(chunk.rows), np.bool_)
        if selection.sample is not None:
            keep &= selection.sample.holds(source.place, source.numbers(chunk))
            refused = np.array([rejection.row for rejection in chunk.rejections], np.int64)
            drawn = selection.sample.holds(source.place, refused).tolist()
            rejections = [one for one, is_in in zip(chunk.rejections, drawn, strict=True) if is_in]
            chunk = replace(chunk, rejections=rejections)
        if selection.where is not None:
            keep &= self._answers(selection.where, self.fields(chunk, source))
        return chunk if keep.all() else _kept(chunk, keep)

    def passed(self, chunk: Chunk, source: Scorable, scored: Scored, schema: pa.Schema) -> list[pa.Array]:
        """The columns that go along with the predictions of a chunk.

        Args:
            chunk: The rows.
            source: What they were read from.
            scored: What became of them.
            schema: The columns.
        """
        if not len(schema):
            return []
        fields, indices = self.fields(chunk, source), source.indices(chunk, scored.outcome)
        return [fields.values(column.name, indices).cast(column.type) for column in schema]

    def fields(self, chunk: Chunk, source: Scorable) -> Fields:
        """The fields of a chunk's rows by name."""
        events = source.events(chunk)
        if chunk.values is not None:
            return EventFields(chunk.values, self._reader)
        if events is not None:
            return EventFields(events.to_pylist(), self._reader)
        if chunk.text:
            return TextFields(chunk.batch, self._selection.known_as, self._schema)
        return TypedFields(chunk.batch, self._selection.known_as)

    @staticmethod
    def _answers(where: Condition, fields: Fields) -> Mask:
        answers = where.answers(fields).fill_null(False).to_numpy(zero_copy_only=False)
        readable = fields.readable()
        found: Mask = answers if readable is None else answers | ~readable
        return found


def _kept(chunk: Chunk, keep: Mask) -> Chunk:
    values = chunk.values
    if values is not None:
        values = [value for value, kept in zip(values, keep.tolist(), strict=True) if kept]
    batch = None if chunk.batch is None else chunk.batch.filter(pa.array(keep))
    return replace(chunk, rows=chunk.rows[keep], batch=batch, values=values)


def names_in_batch(
    named: Sequence[str], schema: Schema, mapped: Mapping[str, str], *, ignore_case: bool
) -> dict[str, str]:
    """What columns of the inputs are called once they are read, where that is not as they are named here.

    A column that an input is read from is called as the input; and in any case of its letters, a name is one.

    Args:
        named: The columns, as `--where` and `--columns` name them.
        schema: What the model declares.
        mapped: By input, the column that it is read from.
        ignore_case: Whether names match in any case.

    Raises:
        ConfigurationError: A name is that of an input which is read from another column.
    """

    def alike(name: str) -> str:
        return name.casefold() if ignore_case else name

    from_column = {alike(column): name for name, column in mapped.items()}
    inputs = {alike(name): name for name in schema.fields}
    called: dict[str, str] = {}
    known: dict[str, str] = {}
    for name in named:
        own = from_column.get(alike(name), inputs.get(alike(name), name))
        if own in mapped and alike(name) not in from_column:
            raise ConfigurationError(
                f"the column {name} is not read: --map reads that input from {mapped[own]}",
                hint=f"Name the column {mapped[own]} in --where and --columns.",
            )
        own = called.setdefault(alike(own), own)
        if own != name:
            known[name] = own
    return known


def check_mapping(mapped: Mapping[str, str], schema: Schema) -> None:
    """Sees that a mapping gives columns to inputs, one column to one input.

    Args:
        mapped: By input, the column that it is read from.
        schema: What the model declares.

    Raises:
        ConfigurationError: An input is unknown, or two are read from one column.
    """
    for name, column in mapped.items():
        if name not in schema.fields:
            raise ConfigurationError(
                f"--map {name}={column}: the model has no input {name}",
                hint=f"It has: {', '.join(schema.fields)}. The input stands before the =.",
            )
        if not column:
            raise ConfigurationError(f"--map {name}=: the column has no name", hint="Write INPUT=COLUMN.")
    columns = list(mapped.values())
    for column in columns:
        if columns.count(column) > 1:
            both = " and ".join(name for name, own in mapped.items() if own == column)
            raise ConfigurationError(
                f"--map: {both} are read from one column, {column}",
                hint="Give the file that column twice, so that it is clear that both are meant.",
            )
