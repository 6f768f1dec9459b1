"""The JSON validator: event bytes to a frame.

pydantic defines what is accepted. msgspec, which is quicker, goes first and only where a law shows that
whatever it accepts, pydantic accepts with equal values (tests/laws/test_validators_agree.py); what msgspec
refuses, pydantic decides and words. Three things that msgspec lets pass and pydantic does not are kept
from it: invalid UTF-8, deep nesting and numbers of thousands of digits, all in fields that are ignored.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import compress
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, NotRequired, cast

import msgspec
import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, Strict, TypeAdapter, with_config
from pydantic_core import ErrorDetails, PydanticCustomError, ValidationError
from typing_extensions import TypedDict

from shared.frame import (
    MISSING_CODE,
    UNKNOWN_CODE,
    VALUE_PROBLEMS,
    Column,
    Frame,
    Parsed,
    check_column,
    without_negative_zero,
)
from shared.schema import (
    EVENT_ID,
    MAX_ID_LENGTH,
    MAX_INT64,
    MIN_INT64,
    OCCURRED_AT,
    Input,
    Reason,
    Rejection,
    Schema,
    detail_for,
    is_rfc3339,
)

# An event above this is rejected unread: Kafka's own default limit for a record batch.
MAX_EVENT_BYTES: Final = 1024 * 1024

# Rows decoded before their columns are made: larger lists of Python objects are slower, not quicker.
_CHUNK: Final = 1024
# Below these msgspec and pydantic agree. pydantic's parser refuses a depth of 200 and 4,300 digits.
_SAFE_BYTES: Final = 4096
_SAFE_BRACKETS: Final = 150

Row = tuple[Any, ...]

_REASON_OF_ERROR: Final = {
    "missing": Reason.MISSING_FIELD,
    "finite_number": Reason.NOT_FINITE,
    "greater_than_equal": Reason.OUT_OF_RANGE,
    "less_than_equal": Reason.OUT_OF_RANGE,
    "string_too_long": Reason.OUT_OF_RANGE,
    "literal_error": Reason.UNKNOWN_CATEGORY,
    "extra_forbidden": Reason.UNKNOWN_FIELD,
}

_JSON_NAMES: Final = {
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


class EventParser:
    """Validates event bytes against one schema.

    Args:
        schema: The declared inputs.
        quick: Whether msgspec may go first; without it pydantic alone reads every event.
    """

    def __init__(self, schema: Schema, *, quick: bool = True) -> None:
        self._schema = schema
        self._order = {name: place for place, name in enumerate(schema.fields)}
        self._validate = TypeAdapter(_typed_dict(schema)).validator.validate_json
        self._quick = quick
        # Struct fields are numbered, so that an input may have any name.
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(_struct(schema)).decode
        wanted = [0, 1, *range(3, len(schema.fields))]
        self._values_of: Callable[[Any], Row] = attrgetter(*(f"f{place}" for place in wanted))
        self._categories = {
            feature.name: _Codes(feature) for feature in schema.features if feature.type == "category"
        }

    def parse(self, values: Sequence[bytes | None]) -> Parsed:
        """Splits events into valid rows, as a frame, and rejections."""
        rows: list[int] = []
        accepted: list[Row] = []
        rejections: list[Rejection] = []
        for start in range(0, len(values), _CHUNK):
            chunk = values[start : start + _CHUNK]
            events = self._decode_all(chunk)
            if events is not None:
                rows.extend(range(start, start + len(chunk)))
                accepted.extend(map(self._values_of, events))
                continue
            for row, value in enumerate(chunk, start):
                read = self._read(row, value)
                if isinstance(read, Rejection):
                    rejections.append(read)
                else:
                    rows.append(row)
                    accepted.append(read)
        return self._parsed(len(values), rows, accepted, rejections)

    def _decode_all(self, chunk: Sequence[bytes | None]) -> list[Any] | None:
        """Every event of a chunk by the quick way, or None when one of them needs a closer look."""
        if not self._quick:
            return None
        try:
            given = cast("Sequence[bytes]", chunk)
            longest = max(map(len, given))
            if longest > _SAFE_BYTES or not all(map(bytes.isascii, given)):
                return None
            # Who accepts an event has seen each bracket closed: a short one holds too few to be deep.
            if longest > 2 * _SAFE_BRACKETS:
                joined = b"".join(given)
                if joined.count(b"{") + joined.count(b"[") - len(chunk) > _SAFE_BRACKETS:
                    return None
            return list(map(self._decode, given))
        except (TypeError, msgspec.DecodeError, RecursionError):
            return None

    def _read(self, row: int, value: bytes | None) -> Row | Rejection:
        """One event: by the quick way when it is safe, else as pydantic decides."""
        if value is None:
            return Rejection(row, Reason.TOMBSTONE, None, "the event has no value")
        if len(value) > MAX_EVENT_BYTES:
            return too_large(row, len(value))
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return Rejection(row, Reason.INVALID_UTF8, None, f"byte {error.start} is not valid UTF-8")
        few_brackets = value.count(b"{") + value.count(b"[") <= _SAFE_BRACKETS
        if self._quick and few_brackets and len(value) <= _SAFE_BYTES:
            try:
                return self._values_of(self._decode(value))
            except (msgspec.DecodeError, RecursionError):
                pass  # pydantic decides, below
        return self._decide(row, value)

    def _decide(self, row: int, value: bytes) -> Row | Rejection:
        try:
            event = self._validate(value)
        except ValidationError as error:
            return self._rejection(row, error.errors(include_url=False))
        key, event_id, _, *features = (event.get(name) for name in self._schema.fields)
        return key, event_id, *features

    def _rejection(self, row: int, errors: list[ErrorDetails]) -> Rejection:
        whole = next((error for error in errors if not error["loc"]), None)
        if whole is not None:
            return _rejection_of_whole(row, whole)
        last = len(self._order)
        first = min(errors, key=lambda error: self._order.get(str(error["loc"][0]), last))
        field = str(first["loc"][0])
        # Of an id's two alternatives the one that came nearest says what is wrong.
        of_field = [error for error in errors if error["loc"][0] == first["loc"][0]]
        reasons = {_reason(error) for error in of_field}
        value = first["input"]
        if value is None and reasons != {Reason.UNKNOWN_FIELD}:
            reason = Reason.MISSING_FIELD
        elif len(reasons) == 1:
            reason = reasons.pop()
        else:
            reason = Reason.OUT_OF_RANGE if Reason.OUT_OF_RANGE in reasons else Reason.WRONG_TYPE
        return Rejection(row, reason, field, detail_for(self._schema, field, reason, value))

    def _parsed(
        self, total: int, rows: list[int], accepted: list[Row], rejections: list[Rejection]
    ) -> Parsed:
        columns = list(zip(*accepted, strict=True)) or [()] * (2 + len(self._schema.features))
        customer_ids, event_ids = columns[0], columns[1]
        frame_columns: dict[str, Column] = {}
        bad: dict[int, Rejection] = {}
        for feature, values in zip(self._schema.features, columns[2:], strict=True):
            column = self._column(feature, values)
            frame_columns[feature.name] = column
            # NaN comes from nowhere else: no JSON number that is accepted is one.
            missing = np.isnan(column) if feature.numeric and feature.missing == "nan" else None
            codes = check_column(feature, column, missing)
            if codes is None:
                continue
            for index in np.flatnonzero(codes).tolist():
                reason = cast("Reason", VALUE_PROBLEMS[codes[index]])
                detail = detail_for(self._schema, feature.name, reason, values[index])
                bad.setdefault(index, Rejection(rows[index], reason, feature.name, detail))
        frame, row_numbers = Frame(len(accepted), frame_columns), np.array(rows, dtype=np.int64)
        if bad:
            keep = np.ones(len(accepted), dtype=np.bool_)
            keep[list(bad)] = False
            frame, row_numbers = frame.take(keep), row_numbers[keep]
            customer_ids, event_ids = (tuple(compress(ids, keep)) for ids in (customer_ids, event_ids))
            rejections = sorted([*rejections, *bad.values()], key=lambda rejection: rejection.row)
        has_event_ids = event_ids.count(None) < len(event_ids)
        return Parsed(
            total,
            row_numbers,
            customer_ids,
            event_ids if has_event_ids else None,
            frame,
            tuple(rejections),
        )

    def _column(self, feature: Input, values: Row) -> Column:
        if feature.default is not None and None in values:
            values = tuple(feature.default if value is None else value for value in values)
        if feature.type == "category":
            codes = self._categories[feature.name]
            return np.fromiter(map(codes.__getitem__, values), np.int32, len(values))
        if feature.type == "string":
            column = np.empty(len(values), dtype=object)
            column[:] = values
            return column
        return without_negative_zero(np.array(values, dtype=np.float64))


def too_large(row: int, size: int) -> Rejection:
    """The rejection of an event that is not even read.

    Args:
        row: The event's row.
        size: Its length in bytes, above MAX_EVENT_BYTES.
    """
    detail = f"the event has {size:,} bytes; at most {MAX_EVENT_BYTES:,} are read"
    return Rejection(row, Reason.TOO_LARGE, None, detail)


class _Codes(dict[str | None, int]):
    """Category to code."""

    def __init__(self, declared: Input) -> None:
        super().__init__({value: code for code, value in enumerate(declared.values or ())})
        self[None] = MISSING_CODE

    def __missing__(self, key: str | None) -> int:
        return UNKNOWN_CODE


def _reason(error: ErrorDetails) -> Reason:
    if error["type"] == "literal_error" and not isinstance(error["input"], str):
        return Reason.WRONG_TYPE
    return _REASON_OF_ERROR.get(error["type"], Reason.WRONG_TYPE)


def _rejection_of_whole(row: int, error: ErrorDetails) -> Rejection:
    if error["type"] != "json_invalid":
        kind = _JSON_NAMES.get(type(error["input"]), "value")
        return Rejection(row, Reason.NOT_OBJECT, None, f"the event is a JSON {kind}, not an object")
    said = str(error.get("ctx", {}).get("error", ""))
    if "recursion limit" in said:
        reason = Reason.TOO_DEEP
    elif said.startswith("EOF"):
        reason = Reason.TRUNCATED
    else:
        reason = Reason.NOT_JSON
    return Rejection(row, reason, None, f"the event is not JSON: {said}")


def _struct(schema: Schema) -> type[msgspec.Struct]:
    """The quick decoder's type: what it accepts must be a part of what pydantic accepts."""
    integer = Annotated[int, msgspec.Meta(ge=MIN_INT64, le=MAX_INT64)]
    plain = {"number": float, "integer": float, "boolean": bool, "string": str, "category": str}
    text = Annotated[str, msgspec.Meta(max_length=MAX_ID_LENGTH)]
    types: list[tuple[Any, bool]] = [
        (_id_type(schema, integer, text), True),
        (integer | text, False),
        (Annotated[datetime, msgspec.Meta(tz=True)], False),
        *((plain[feature.type], feature.required) for feature in schema.features),
    ]
    fields = [
        (f"f{place}", kind) if required else (f"f{place}", kind | None, None)
        for place, (kind, required) in enumerate(types)
    ]
    return msgspec.defstruct(
        "QuickEvent",
        fields,
        rename={f"f{place}": name for place, name in enumerate(schema.fields)},
        forbid_unknown_fields=schema.strict,
        kw_only=True,
        gc=False,
    )


def _typed_dict(schema: Schema) -> Any:
    """Pydantic's type: the definition of what is accepted."""
    integer = Annotated[int, Strict(), Field(ge=MIN_INT64, le=MAX_INT64)]
    text = Annotated[str, Strict(), Field(max_length=MAX_ID_LENGTH)]
    time = Annotated[str, Strict(), AfterValidator(_check_time)]
    fields: dict[str, Any] = {
        schema.key: _id_type(schema, integer, text),
        EVENT_ID: NotRequired[integer | text | None],
        OCCURRED_AT: NotRequired[time | None],
    }
    for feature in schema.features:
        kind = _pydantic_type(feature)
        fields[feature.name] = kind if feature.required else NotRequired[kind | None]
    extra: Literal["forbid", "ignore"] = "forbid" if schema.strict else "ignore"
    return with_config(ConfigDict(extra=extra))(TypedDict("Event", fields))  # type: ignore[operator]


def _id_type(schema: Schema, integer: Any, text: Any) -> Any:
    return {"integer": integer, "string": text, None: integer | text}[schema.key_type]


def _pydantic_type(feature: Input) -> Any:
    match feature.type:
        case "boolean":
            return Annotated[bool, Strict()]
        case "string":
            return Annotated[str, Strict()]
        case "category":
            return Literal[feature.values]
        case "integer":
            whole = AfterValidator(_check_whole)
            return Annotated[_number(feature), whole]
        case _:
            return _number(feature)


def _number(feature: Input) -> Any:
    return Annotated[float, Strict(), Field(allow_inf_nan=False, ge=feature.lowest, le=feature.highest)]


def _check_whole(number: float) -> float:
    if not number.is_integer():
        raise PydanticCustomError("not_whole", "Input should be a whole number")
    return number


def _check_time(text: str) -> str:
    if not is_rfc3339(text):
        raise PydanticCustomError("not_rfc3339", "Input should be an RFC 3339 time")
    return text
