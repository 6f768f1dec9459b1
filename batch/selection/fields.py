"""The fields of rows by name, whatever the rows are: typed columns, columns of text, or JSON events."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt
from pydantic_core import from_json

from shared.cells import blank_to_null
from shared.conversions import read_numbers, read_whole
from shared.schema import MAX_INT64, MIN_INT64, InputType, Schema

#: What a value is compared as: `whole` is a number that float64 does not hold exactly.
Kind = Literal["number", "whole", "boolean", "text"]
_TYPES: Final[Mapping[str, pa.DataType]] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}
_NULL: Final = msgspec.Raw(b"null")
_WHOLE: Final = re.compile(rb"-?\d{1,19}")
_DIGITS: Final = frozenset(b"-0123456789")
_QUOTE: Final = ord('"')


class Fields(ABC):
    """The fields of some rows."""

    @abstractmethod
    def operand(self, name: str, kind: Kind | None) -> pa.Array:
        """A field of each row for a comparison; null where it is missing, or is nothing of the kind.

        Args:
            name: The field.
            kind: What it is compared with; None where it only counts whether there is a value. A typed
                column comes with its own type, whatever the kind.
        """

    @abstractmethod
    def values(self, name: str, places: npt.NDArray[np.int64]) -> pa.Array:
        """A field of some of the rows, to be handed on with their predictions.

        Args:
            name: The field.
            places: Which rows, by their index; none of them was rejected.
        """

    @abstractmethod
    def type_of(self, name: str) -> pa.DataType:
        """The type that `values` has."""

    def readable(self) -> npt.NDArray[np.bool_] | None:
        """Which rows could be read at all; None when all of them could."""
        return None


class TypedFields(Fields):
    """Columns with types of their own.

    Args:
        batch: The rows.
        known_as: What a column is called in the batch, where that is not its own name.
    """

    def __init__(self, batch: pa.RecordBatch, known_as: Mapping[str, str]) -> None:
        self._batch, self._known_as = batch, known_as

    def operand(self, name: str, kind: Kind | None) -> pa.Array:  # noqa: ARG002 - the type is the column's
        """The column."""
        return self._column(name)

    def values(self, name: str, places: npt.NDArray[np.int64]) -> pa.Array:
        """The column as its values, dictionaries resolved."""
        found = without_dictionary(self._column(name).take(pa.array(places)))
        return found.cast(_passed_type(found.type))

    def type_of(self, name: str) -> pa.DataType:
        """The column's type; that of its values for a dictionary, and string for every text."""
        return _passed_type(self._column(name).type)

    def _column(self, name: str) -> pa.Array:
        # Of a repeated name the last counts, as it does for the validator.
        return self._batch.column(
            self._batch.schema.get_all_field_indices(self._known_as.get(name, name))[-1]
        )


class TextFields(TypedFields):
    """Columns of text that was never typed: shared/cells.py says what a cell stands for.

    Args:
        batch: The rows.
        known_as: What a column is called in the batch, where that is not its own name.
        schema: What the model declares.
    """

    def __init__(self, batch: pa.RecordBatch, known_as: Mapping[str, str], schema: Schema) -> None:
        super().__init__(batch, known_as)
        self._schema = schema

    def operand(self, name: str, kind: Kind | None) -> pa.Array:
        """The cells as what they are compared with; those that are nothing of the kind are null."""
        cells = blank_to_null(self._column(name))
        return cells if kind in (None, "text") else _read(cells, _DECLARED[kind])

    def values(self, name: str, places: npt.NDArray[np.int64]) -> pa.Array:
        """The cells by their declared type; as text where none is declared."""
        cells = blank_to_null(self._column(name).take(pa.array(places)))
        declared = _declared(self._schema, self._known_as.get(name, name))
        if declared == "integer" and self._known_as.get(name, name) == self._schema.key:
            return read_whole(cells)[0]
        return _read(cells, declared)

    def type_of(self, name: str) -> pa.DataType:
        """The declared type; string where none is declared."""
        return _declared_type(self._schema, self._known_as.get(name, name))


_DECLARED: Final[Mapping[Kind, InputType | Literal["whole"]]] = {
    "number": "number",
    "whole": "whole",
    "boolean": "boolean",
}


def _read(cells: pa.Array, declared: InputType | Literal["whole"] | None) -> pa.Array:
    if declared == "whole":
        return read_whole(cells)[0]
    if declared not in ("number", "integer", "boolean"):
        return cells
    numbers, wrong = read_numbers(cells, declared)
    missing = cells.is_null().to_numpy(zero_copy_only=False)
    found = pa.array(numbers, mask=missing if wrong is None else missing | wrong)
    return found.cast(_TYPES[declared])


class EventReader:
    """Takes named fields out of JSON events, and leaves the rest of them unread.

    Args:
        names: The fields.
        schema: What the model declares.
    """

    def __init__(self, names: Sequence[str], schema: Schema) -> None:
        self.places = {name: place for place, name in enumerate(names)}
        self.schema = schema
        attributes = [f"field_{place}" for place in range(len(names))]
        struct: Any = msgspec.defstruct(
            "Picked",
            [(attribute, msgspec.Raw, _NULL) for attribute in attributes],
            rename=dict(zip(attributes, names, strict=True)),
            gc=False,
        )
        self._decode = msgspec.json.Decoder(struct).decode
        self._names = list(names)

    def read(self, value: bytes | None) -> tuple[bytes, ...] | None:
        """The JSON text of each field of an event, `null` where it is missing; None for what is no event."""
        if value is None:
            return None
        try:
            return tuple(map(bytes, msgspec.structs.astuple(self._decode(value))))
        except (msgspec.MsgspecError, RecursionError):
            return self._read_otherwise(value)

    def _read_otherwise(self, value: bytes) -> tuple[bytes, ...] | None:
        """The same by the validator's own parser, to which NaN and the like are values."""
        try:
            event = from_json(value, allow_inf_nan=True)
        except ValueError:
            return None
        if not isinstance(event, dict):
            return None
        return tuple(msgspec.json.encode(event.get(name)) for name in self._names)


class EventFields(Fields):
    """The fields of JSON events.

    Args:
        values: The events' bytes.
        reader: Which fields to take out of them.
    """

    def __init__(self, values: Sequence[bytes | None], reader: EventReader) -> None:
        self._reader = reader
        self._rows = [reader.read(value) for value in values]

    def readable(self) -> npt.NDArray[np.bool_] | None:
        """Which of them are JSON objects."""
        found = np.array([row is not None for row in self._rows], np.bool_)
        return None if found.all() else found

    def operand(self, name: str, kind: Kind | None) -> pa.Array:
        """The values of the kind; null for those of another."""
        return _typed(self._texts(name, self._rows), kind)

    def values(self, name: str, places: npt.NDArray[np.int64]) -> pa.Array:
        """The values by their declared type; where none is declared, texts, and of others their JSON text."""
        texts = self._texts(name, [self._rows[place] for place in places.tolist()])
        declared = _declared(self._reader.schema, name)
        if declared in ("number", "integer", "boolean"):
            if declared == "integer" and name == self._reader.schema.key:
                return _typed(texts, "whole")
            return _typed(texts, "boolean" if declared == "boolean" else "number").cast(_TYPES[declared])
        return pa.array(list(map(_as_text, texts)), pa.string())

    def type_of(self, name: str) -> pa.DataType:
        """The declared type; string where none is declared."""
        return _declared_type(self._reader.schema, name)

    def _texts(self, name: str, rows: Sequence[tuple[bytes, ...] | None]) -> list[bytes]:
        place = self._reader.places[name]
        return [b"null" if row is None else row[place] for row in rows]


def _typed(texts: Sequence[bytes], kind: Kind | None) -> pa.Array:
    if kind is None:
        return pa.array([None if text == b"null" else True for text in texts], pa.bool_())
    read, found = _JSON[kind]
    return pa.array([read(text) for text in texts], found)


def _number(text: bytes) -> float | None:
    return float(text) if text[0] in _DIGITS else None


def _whole(text: bytes) -> int | None:
    found = int(text) if _WHOLE.fullmatch(text) else None
    return found if found is not None and MIN_INT64 <= found <= MAX_INT64 else None


def _boolean(text: bytes) -> bool | None:
    return {b"true": True, b"false": False}.get(text)


def _string(text: bytes) -> str | None:
    if text[0] != _QUOTE:
        return None
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _as_text(text: bytes) -> str | None:
    if text == b"null":
        return None
    found = _string(text)
    return text.decode(errors="replace") if found is None else found


_JSON: Final[Mapping[Kind, tuple[Callable[[bytes], Any], pa.DataType]]] = {
    "number": (_number, pa.float64()),
    "whole": (_whole, pa.int64()),
    "boolean": (_boolean, pa.bool_()),
    "text": (_string, pa.string()),
}


def _declared(schema: Schema, name: str) -> InputType | None:
    if name == schema.key:
        return schema.key_type
    return next((feature.type for feature in schema.features if feature.name == name), None)


def _declared_type(schema: Schema, name: str) -> pa.DataType:
    return _TYPES.get(_declared(schema, name) or "", pa.string())


def _passed_type(found: pa.DataType) -> pa.DataType:
    if pt.is_dictionary(found):
        found = found.value_type
    return pa.string() if pt.is_large_string(found) or pt.is_string_view(found) else found


def without_dictionary(array: pa.Array) -> pa.Array:
    """The values of a column, whether or not it is a dictionary."""
    return array.dictionary_decode() if pt.is_dictionary(array.type) else array
