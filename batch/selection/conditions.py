"""What `--where` asks of a row, and its answer for columns of rows: true, false, or null where a value is.

A comparison with a missing value is null, as in SQL, and null is not true: such a row is not selected.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from typing import Any, Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from batch.selection.fields import Fields, Kind, without_dictionary
from shared.errors import ConfigurationError
from shared.schema import MAX_SAFE_INTEGER

Value: TypeAlias = str | bool | int | float
Operator = Literal["=", "!=", "<", "<=", ">", ">="]

_KERNELS: Final = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_SHOWN: Final = {"number": "a number", "whole": "a number", "boolean": "true or false", "text": "a text"}


class Condition(ABC):
    """A question to which each row has an answer."""

    @abstractmethod
    def answers(self, rows: Fields) -> pa.BooleanArray:
        """The answer for each row.

        Raises:
            ConfigurationError: A column's type does not go with what it is compared with.
        """

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """The columns that are asked for, in the order of the text."""


@dataclass(frozen=True, slots=True)
class Comparison(Condition):
    """A column beside a value.

    Attributes:
        column: The column.
        operator: How they are compared.
        value: The value.
    """

    column: str
    operator: Operator
    value: Value

    @property
    def columns(self) -> list[str]:
        """The column."""
        return [self.column]

    def answers(self, rows: Fields) -> pa.BooleanArray:
        """Where the comparison holds."""
        kind = kind_of([self.value])
        found = rows.operand(self.column, kind)
        if pt.is_dictionary(found.type):
            # Each value that is there is asked once, however many rows hold it.
            return self._of(found.dictionary, kind).take(found.indices)
        return self._of(found, kind)

    def _of(self, array: pa.Array, kind: Kind) -> pa.BooleanArray:
        array, values = _comparable(self.column, array, [self.value], kind)
        return _KERNELS[self.operator](array, values[0])


@dataclass(frozen=True, slots=True)
class Among(Condition):
    """A column, and the values of which it must hold one.

    Attributes:
        column: The column.
        values: The values, all of one kind.
    """

    column: str
    values: tuple[Value, ...]

    @property
    def columns(self) -> list[str]:
        """The column."""
        return [self.column]

    def answers(self, rows: Fields) -> pa.BooleanArray:
        """Where the column holds one of the values."""
        kind = kind_of(self.values)
        found = without_dictionary(rows.operand(self.column, kind))
        array, values = _comparable(self.column, found, self.values, kind)
        return pc.if_else(pc.is_null(array), pa.scalar(None, pa.bool_()), pc.is_in(array, value_set=values))


@dataclass(frozen=True, slots=True)
class Missing(Condition):
    """A column that holds no value.

    Attributes:
        column: The column.
    """

    column: str

    @property
    def columns(self) -> list[str]:
        """The column."""
        return [self.column]

    def answers(self, rows: Fields) -> pa.BooleanArray:
        """Where it holds none."""
        return pc.is_null(without_dictionary(rows.operand(self.column, None)))


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The opposite of a condition; null stays null.

    Attributes:
        condition: The condition.
    """

    condition: Condition

    @property
    def columns(self) -> list[str]:
        """Those of the condition."""
        return self.condition.columns

    def answers(self, rows: Fields) -> pa.BooleanArray:
        """Where the condition does not hold."""
        return pc.invert(self.condition.answers(rows))


@dataclass(frozen=True, slots=True)
class Several(Condition):
    """Conditions that must all hold, or one of which must.

    Attributes:
        conditions: The conditions.
        every: Whether all of them must hold.
    """

    conditions: tuple[Condition, ...]
    every: bool

    @property
    def columns(self) -> list[str]:
        """Those of all conditions, each once."""
        return list(dict.fromkeys(name for one in self.conditions for name in one.columns))

    def answers(self, rows: Fields) -> pa.BooleanArray:
        """Where all of them hold, or one of them."""
        join = pc.and_kleene if self.every else pc.or_kleene
        return reduce(join, (condition.answers(rows) for condition in self.conditions))


def kind_of(values: Sequence[Value]) -> Kind:
    """What the values of a comparison are; `whole` where only int64 holds one of them exactly.

    Raises:
        ValueError: They are not of one kind.
    """
    kinds = {_kind(value) for value in values}
    if kinds == {"number", "whole"}:
        return "whole" if all(isinstance(value, int) for value in values) else "number"
    if len(kinds) > 1:
        raise ValueError("the values are not of one kind")
    return kinds.pop()


def _kind(value: Value) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "number" if abs(value) <= MAX_SAFE_INTEGER else "whole"
    return "text" if isinstance(value, str) else "number"


def _comparable(
    column: str, array: pa.Array, values: Sequence[Value], kind: Kind
) -> tuple[pa.Array, pa.Array]:
    """A column and values in one type.

    Raises:
        ConfigurationError: There is none.
    """
    found = array.type
    if pt.is_null(found):
        as_text = kind == "text"
        found = pa.string() if as_text else pa.bool_() if kind == "boolean" else pa.float64()
        return array.cast(found), pa.array([values[0]] * len(values), found)
    if kind == "boolean" and pt.is_boolean(found):
        return array, pa.array(values, pa.bool_())
    if kind == "text" and (pt.is_string(found) or pt.is_large_string(found) or pt.is_string_view(found)):
        return array.cast(pa.string()), pa.array(values, pa.string())
    if kind == "text" and (pt.is_timestamp(found) or pt.is_date(found)):
        return _times(column, array, values)
    if kind in ("number", "whole") and (
        pt.is_integer(found) or pt.is_floating(found) or pt.is_decimal(found)
    ):
        return _numbers(array, values)
    raise ConfigurationError(
        f"--where compares {column} with {_SHOWN[kind]}, but its type is {found}",
        hint="Compare numbers with a number, texts with a text in quotes, booleans with true or false.",
    )


def _numbers(array: pa.Array, values: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    if pt.is_integer(array.type) and all(isinstance(value, int) for value in values):
        try:
            return array, pa.array(values, array.type)
        except (pa.ArrowInvalid, OverflowError):
            pass  # a value that the type does not hold still has its place beside those that it does
    if pt.is_decimal(array.type):
        # Through its digits, which are read correctly rounded; a direct cast is not.
        array = array.cast(pa.string())
    wide = pa.float64()
    return array.cast(wide, safe=False), pa.array([float(value) for value in values], wide)


def _times(column: str, array: pa.Array, values: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    kind = array.type
    try:
        if pt.is_date(kind):
            return array.cast(pa.date32()), pa.array(list(map(date.fromisoformat, values)), pa.date32())
        moments = [_moment(text) for text in values]
        without_zone = pa.timestamp(kind.unit)
        # Without its zone a timestamp is in UTC.
        return array.cast(without_zone), pa.array(moments, pa.timestamp("us")).cast(without_zone)
    except ValueError as error:
        raise ConfigurationError(
            f"--where compares {column}, which is {kind}, with what is no date or time: {error}",
            hint="Write a date as '2026-01-31' and a time as '2026-01-31T12:00:00Z'.",
        ) from error


def _moment(text: str) -> datetime:
    """A time in UTC, for which one without a zone is taken."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
