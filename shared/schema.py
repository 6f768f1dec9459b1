"""The one declaration of a model's inputs, from which both validators are made.

shared/events.py makes the JSON validator from it and shared/tables.py the columnar one; a law in
tests/laws says that they accept and reject the same rows for the same reason.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

InputType = Literal["number", "integer", "boolean", "string", "category"]
Encoding = Literal["ordinal", "one-hot"]
Scalar = float | bool | str

# The largest integer up to which every integer is a float64 (RFC 8259, section 6).
MAX_SAFE_INTEGER: Final = 2**53 - 1
MIN_INT64: Final = -(2**63)
MAX_INT64: Final = 2**63 - 1
# An id is copied into every prediction; a longer one could make a prediction too large for its topic.
MAX_ID_LENGTH: Final = 1024
# Characters of a value that a sentence shows.
_MAX_SHOWN: Final = 60

# Any name but one that JSON would have to escape.
FieldName = Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f]+$')]

EVENT_ID: Final = "event_id"
OCCURRED_AT: Final = "occurred_at"


_RFC3339: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}):(\d{2})(?:\.\d+)?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII
)


class Reason(StrEnum):
    """Why an event or row could not be scored. The codes are part of the contract: never renamed."""

    TOMBSTONE = "tombstone"
    TOO_LARGE = "too_large"
    INVALID_UTF8 = "invalid_utf8"
    TRUNCATED = "truncated"
    TOO_DEEP = "too_deep"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    RAGGED_ROW = "ragged_row"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CATEGORY = "unknown_category"
    UNKNOWN_FIELD = "unknown_field"
    MODEL_ERROR = "model_error"


#: What is wrong with such an event, in words that hold for each and quote none of it.
MEANINGS: Final[Mapping[Reason, str]] = {
    Reason.TOMBSTONE: "the event has no value",
    Reason.TOO_LARGE: "it, or its prediction, is too large",
    Reason.INVALID_UTF8: "its bytes are not UTF-8",
    Reason.TRUNCATED: "the JSON ends too soon",
    Reason.TOO_DEEP: "it is nested too deeply to be read",
    Reason.NOT_JSON: "it is not JSON",
    Reason.NOT_OBJECT: "it is JSON, but not an object",
    Reason.RAGGED_ROW: "a row of a file has more or fewer fields than its header",
    Reason.MISSING_FIELD: "a required field is missing or null",
    Reason.WRONG_TYPE: "a field has another type than declared",
    Reason.NOT_FINITE: "a number is NaN or infinite",
    Reason.OUT_OF_RANGE: "a number is outside its bounds, or an id is too long",
    Reason.UNKNOWN_CATEGORY: "a category is none of the declared ones",
    Reason.UNKNOWN_FIELD: "a field is not declared, and the model is strict",
    Reason.MODEL_ERROR: "the model failed for it",
}


class Input(BaseModel):
    """One declared field of an event, and column of a snapshot.

    Attributes:
        name: The JSON key and the column name.
        type: `number` (a finite float64), `integer` (a whole number up to 2**53 - 1 either side of
            zero; 3.0 counts), `boolean`, `string`, or `category` (one of `values`).
        values: The categories, in the order that gives them their codes.
        default: What a missing or null value becomes.
        missing: What a missing or null value without a default does: it rejects the row, or it reaches the
            model as `nan`, for models that know what to do with it.
        encoding: How a category becomes columns of a model that takes a matrix: `ordinal` is its place in
            `values`, `one-hot` a column of 0 and 1 for each of them. None leaves it to the kind: ordinal.
        minimum: The least allowed number, inclusive.
        maximum: The greatest allowed number, inclusive.
        description: For people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: FieldName
    type: InputType
    values: tuple[str, ...] | None = None
    default: Scalar | None = None
    missing: Literal["reject", "nan"] = "reject"
    encoding: Encoding | None = None
    minimum: float | None = Field(default=None, allow_inf_nan=False)
    maximum: float | None = Field(default=None, allow_inf_nan=False)
    description: str | None = None

    @property
    def required(self) -> bool:
        """Whether a missing or null value rejects the row."""
        return self.default is None and self.missing == "reject"

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers that bounds apply to."""
        return self.type in ("number", "integer")

    @property
    def lowest(self) -> float | None:
        """The effective lower bound: an integer has one even when none is declared."""
        return _tighter(max, self.minimum, -MAX_SAFE_INTEGER if self.type == "integer" else None)

    @property
    def highest(self) -> float | None:
        """The effective upper bound."""
        return _tighter(min, self.maximum, MAX_SAFE_INTEGER if self.type == "integer" else None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type == "category":
            if not self.values:
                raise ValueError(f"input {self.name!r} is a category without values")
            repeated = [value for value, times in Counter(self.values).items() if times > 1]
            if repeated:
                raise ValueError(f"input {self.name!r} repeats the category {repeated[0]!r}")
        elif self.values is not None or self.encoding is not None:
            extra = "values" if self.values is not None else "an encoding"
            raise ValueError(f"input {self.name!r} has {extra}, which only a category has")
        if not self.numeric and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"input {self.name!r} has bounds, which only a number or an integer has")
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise ValueError(
                f"input {self.name!r} allows nothing: at least {self.lowest:g}, at most {self.highest:g}"
            )
        if self.missing == "nan" and (self.default is not None or self.type == "string"):
            raise ValueError(
                f"input {self.name!r} cannot be nan when missing: it has a default or is a string"
            )
        self._check_default()
        return self

    def _check_default(self) -> None:
        default = self.default
        if default is None:
            return
        if self.numeric:
            fits = isinstance(default, int | float) and not isinstance(default, bool)
            fits = fits and self._allows(float(default))
        elif self.type == "boolean":
            fits = isinstance(default, bool)
        else:
            fits = isinstance(default, str) and (self.values is None or default in self.values)
        if not fits:
            raise ValueError(f"input {self.name!r} has the default {default!r}, which it does not allow")

    def _allows(self, number: float) -> bool:
        low, high = self.lowest, self.highest
        in_range = (low is None or number >= low) and (high is None or number <= high)
        return math.isfinite(number) and in_range and (self.type == "number" or number.is_integer())


def _tighter(pick: Any, declared: float | None, implied: float | None) -> float | None:
    bounds = [bound for bound in (declared, implied) if bound is not None]
    return pick(bounds) if bounds else None


class Schema(BaseModel):
    """What an event must look like for one model.

    Attributes:
        key: The field that holds the customer's id. When it is also declared among `inputs` its type
            there (integer or string) is enforced; otherwise either is accepted.
        inputs: The declared fields, in the order in which problems are looked for.
        strict: Whether fields that are not declared reject the event instead of being ignored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: FieldName = "customer_id"
    inputs: tuple[Input, ...] = Field(min_length=1)
    strict: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = Counter(declared.name for declared in self.inputs)
        repeated = [name for name, times in names.items() if times > 1]
        if repeated:
            raise ValueError(f"input {repeated[0]!r} is declared twice")
        reserved = {EVENT_ID, OCCURRED_AT} & ({self.key} | set(names))
        if reserved:
            raise ValueError(f"{reserved.pop()!r} is a field of every event and cannot be declared")
        if self.key_type not in ("integer", "string", None):
            raise ValueError(f"the key {self.key!r} is a {self.key_type}; it must be an integer or a string")
        key = self._key_input
        if key is not None and (not key.required or key.minimum is not None or key.maximum is not None):
            raise ValueError(f"the key {self.key!r} takes no default and no bounds")
        if not self.features:
            raise ValueError("no input besides the key is declared")
        return self

    @property
    def _key_input(self) -> Input | None:
        return next((declared for declared in self.inputs if declared.name == self.key), None)

    @property
    def key_type(self) -> InputType | None:
        """The declared type of the key: `integer`, `string`, or None when either is accepted."""
        key = self._key_input
        return key.type if key else None

    @property
    def features(self) -> tuple[Input, ...]:
        """The inputs that the model scores: all but the key."""
        return tuple(declared for declared in self.inputs if declared.name != self.key)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every known field in the order in which problems are looked for: key, event's own, features."""
        return (self.key, EVENT_ID, OCCURRED_AT, *(feature.name for feature in self.features))

    def as_read(self) -> "Schema":
        """What a validator sees of it; equal ones make the same of all events and rows.

        How categories become a model's columns, and what is said for people, does not matter to it.
        """
        inputs = tuple(
            declared.model_copy(update={"encoding": None, "description": None}) for declared in self.inputs
        )
        return self.model_copy(update={"inputs": inputs})


@dataclass(frozen=True, slots=True)
class Rejection:
    """One event or row that could not be scored.

    Attributes:
        row: The row's index in the batch that was scored.
        reason: The reason code.
        field: The first field, in declared order, that is at fault; None when the whole row is.
        detail: A sentence for people.
    """

    row: int
    reason: Reason
    field: str | None
    detail: str


def detail_for(schema: Schema, field: str, reason: Reason, value: object = None) -> str:
    """The sentence for a field's rejection: the same on both paths.

    Args:
        schema: The declared inputs.
        field: The field at fault.
        reason: The reason code.
        value: The value as it came; shortened in the sentence.
    """
    declared = next((item for item in schema.inputs if item.name == field), None)
    shown = _shown(value, exactly=field in (schema.key, EVENT_ID))
    match reason:
        case Reason.MISSING_FIELD:
            return f"{field} is missing or null"
        case Reason.UNKNOWN_CATEGORY:
            known = ", ".join(map(repr, declared.values or ())) if declared else ""
            return f"{field} is {shown}, which is not one of: {known}"
        case Reason.OUT_OF_RANGE:
            return f"{field} is {shown}, {_range(schema, declared, field)}"
        case Reason.NOT_FINITE:
            return f"{field} is not a finite number"
        case Reason.UNKNOWN_FIELD:
            return f"{_shortened(field)} is not declared, and the model is strict"
        case _:
            return f"{field} is {shown}, which is not {_expected(schema, field)}"


def _range(schema: Schema, declared: Input | None, field: str) -> str:
    if declared is None or field in (schema.key, EVENT_ID):
        return f"but an id is an int64 or has at most {MAX_ID_LENGTH:,} characters"
    if declared.lowest is None:
        return f"which is above {_shown(declared.highest)}"
    if declared.highest is None:
        return f"which is below {_shown(declared.lowest)}"
    return f"which is not between {_shown(declared.lowest)} and {_shown(declared.highest)}"


def is_rfc3339(text: str) -> bool:
    """Whether a text is an RFC 3339 time with its offset: `2026-01-31T12:00:00Z`, a leap second included.

    The offset's colon may be left out (`+0530`), as strftime's `%z` and msgspec have it.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return False
    date, hours_minutes, seconds, offset = match.groups()
    # The calendar's own rules (30 February, minute 61) are left to the standard library.
    second = "59" if seconds == "60" else seconds
    try:
        datetime.fromisoformat(f"{date}T{hours_minutes}:{second}{'+00:00' if offset in 'Zz' else offset}")
    except ValueError:
        return False
    return True


def _expected(schema: Schema, field: str) -> str:
    if field == OCCURRED_AT:
        return "an RFC 3339 time"
    declared = next((item for item in schema.inputs if item.name == field), None)
    if declared is None:
        return "an integer or a string"
    article = "an" if declared.type == "integer" else "a"
    return f"{article} {declared.type if declared.type != 'category' else 'string'}"


def _shown(value: object, *, exactly: bool = False) -> str:
    """A value for a sentence: short, and 1.0 as 1 (unless exactly), as a float64 is either."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and not exactly:
        value = _like_float64(value)
    return _shortened(repr(_beginning(value, [_MAX_SHOWN + 1])))


def _beginning(value: object, left: list[int]) -> object:
    """As much of a list or an object as can be shown: an event may hold a million values in place of one.

    Args:
        value: Any JSON value.
        left: How many values may be shown yet, each of which takes a character or more.
    """
    left[0] -= 1
    if isinstance(value, list):
        return [_beginning(one, left) for one in takewhile(lambda _: left[0] > 0, value)]
    if isinstance(value, dict):
        some = takewhile(lambda _: left[0] > 0, value.items())
        return {name: _beginning(one, left) for name, one in some}
    return value


def _like_float64(number: float) -> float:
    try:
        number = float(number)
    except OverflowError:
        return number  # a whole number beyond float64
    return int(number) if number.is_integer() else number


def _shortened(text: str, limit: int = _MAX_SHOWN) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
