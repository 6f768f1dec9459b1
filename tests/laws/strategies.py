"""Schemas, events and frames for the laws."""

import json
from typing import Any

from hypothesis import strategies as st

from shared.schema import Input, Schema

CATEGORIES = ("Month-to-month", "One year", "é", "")
FIELD_NAMES = ("tenure", "MonthlyCharges", "Contract", "partner", "note", "odd name", "ключ")


@st.composite
def inputs(draw: st.DrawFn, name: str) -> Input:
    """One declared input of any type, with or without a default and bounds."""
    kind = draw(st.sampled_from(("number", "integer", "boolean", "string", "category")))
    declared: dict[str, Any] = {"name": name, "type": kind}
    if kind in ("number", "integer"):
        low, high = sorted(draw(st.tuples(st.integers(-50, 50), st.integers(-50, 50))))
        declared |= {"minimum": low} if draw(st.booleans()) else {}
        declared |= {"maximum": high} if draw(st.booleans()) else {}
        default: Any = low
    elif kind == "category":
        declared["values"] = CATEGORIES
        default = CATEGORIES[1]
    else:
        default = True if kind == "boolean" else "none"
    match draw(st.sampled_from(("required", "default", "nan"))):
        case "default":
            declared["default"] = default
        case "nan" if kind != "string":
            declared["missing"] = "nan"
        case _:
            pass
    return Input.model_validate(declared)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """A schema of one to four features, with the key declared or not, strict or not."""
    names = draw(st.lists(st.sampled_from(FIELD_NAMES), min_size=1, max_size=4, unique=True))
    declared = [draw(inputs(name)) for name in names]
    key_type = draw(st.sampled_from(("integer", "string", None)))
    if key_type:
        declared.insert(0, Input(name="id", type=key_type))
    return Schema(key="id", inputs=tuple(declared), strict=draw(st.booleans()))


EXTREMES = (2**53, 2**53 + 1, -0.0, 1e308, 2**63, 2**64, 10**400)


def numbers() -> st.SearchStrategy[Any]:
    """JSON numbers of every sort, literal infinities and NaN included."""
    near = st.integers(-60, 60) | st.floats(-60, 60)
    return near | st.integers() | st.floats() | st.sampled_from(EXTREMES)


def values() -> st.SearchStrategy[Any]:
    """Any JSON value, shallow."""
    scalars = st.none() | st.booleans() | numbers() | st.sampled_from(CATEGORIES) | st.text(max_size=5)
    return scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)


TIMES = (
    "2026-01-31T12:00:00Z",
    "2026-01-31T12:00:00.123456789+05:30",
    "2026-01-31t12:00:60z",
    "2026-02-30T12:00:00Z",
    "2026-01-31T12:00:00",
    "2026-01-31 12:00:00Z",
    "2026-01-31",
    "1700000000",
    "2026-01-31T24:00:00Z",
    "2026-01-31T12:00:00+24:00",
    "2026-01-31T12:00:00+0530",
    "2026-01-31T12:00:00+05",
    "2026-01-31T12:00:00.Z",
    "9999-12-31T23:59:59.9999999Z",
    "0000-01-01T00:00:00Z",
)


def _fitting(declared: Input) -> st.SearchStrategy[Any]:
    match declared.type:
        case "number" | "integer":
            low = int(declared.minimum if declared.minimum is not None else -50)
            high = int(declared.maximum if declared.maximum is not None else low + 50)
            return st.integers(min(low, high), max(low, high))
        case "boolean":
            return st.booleans()
        case "category":
            return st.sampled_from(declared.values or ())
        case _:
            return st.text(max_size=5)


@st.composite
def events(draw: st.DrawFn, schema: Schema) -> dict[str, Any]:
    """An event that mostly fits the schema, with a field wrong, missing or added now and then."""
    event: dict[str, Any] = {"id": draw(st.integers(0, 99) | st.text(max_size=4))}
    if schema.key_type == "integer":
        event["id"] = draw(st.integers(0, 99))
    for feature in schema.features:
        if feature.required or draw(st.booleans()):
            event[feature.name] = draw(_fitting(feature))
    if draw(st.booleans()):
        event["event_id"] = draw(
            st.text(max_size=4) | st.integers() | st.sampled_from(("x" * 1024, "é" * 1025))
        )
    if draw(st.booleans()):
        event["occurred_at"] = draw(st.sampled_from(TIMES))
    if draw(st.integers(0, 2)) == 0:
        event[draw(st.sampled_from((*schema.fields, "extra")))] = draw(values())
    if draw(st.integers(0, 5)) == 0:
        event.pop(draw(st.sampled_from(sorted(event))))
    return event


@st.composite
def event_bytes(draw: st.DrawFn, schema: Schema) -> bytes | None:
    """An event's bytes: mostly sound, else damaged, repeated in a key, or no JSON at all."""
    event = draw(events(schema))
    text = json.dumps(event, ensure_ascii=draw(st.booleans()))
    match draw(st.integers(0, 9)):
        case 0:
            name = json.dumps(draw(st.sampled_from(schema.fields)))
            text = f"{text[:-1]},{name}:{json.dumps(draw(values()))}}}".replace("{,", "{")
        case 1:
            return text.encode("utf-8", "surrogatepass")[: draw(st.integers(0, len(text)))]
        case 2:
            damaged = bytearray(text.encode("utf-8", "surrogatepass"))
            damaged[draw(st.integers(0, len(damaged) - 1))] = draw(st.integers(0, 255))
            return bytes(damaged)
        case 3:
            return draw(st.none() | st.binary(max_size=20) | st.sampled_from(ODDITIES))
        case 4:
            text = text.replace(":", " :\t").replace(",", " , ")
        case _:
            pass
    return text.encode("utf-8", "surrogatepass")


#: Where quick decoders are known to be lenient.
ODDITIES = (
    b"",
    b"null",
    b"[]",
    b"{",
    b'"text"',
    b'\xef\xbb\xbf{"id":1}',
    b'{"id":1,"extra":"\xff"}',
    b'{"id":1,"extra":"\xed\xa0\x80"}',
    b'{"id":1,"extra":"\\ud800"}',
    b'{"id":1,"extra":' + b"[" * 300 + b"]" * 300 + b"}",
    b'{"id":1,"extra":' + b"9" * 5000 + b"}",
    b'{"id":1,"extra":1e999}',
    b'{"id":1,"extra":NaN}',
    b'{"id":1,"extra":01}',
    b"[" * 10_000,
    b'{"id":1}{"id":2}',
    b'{"id":1,"extra":"\\x"}',
    b'{"id":1,"extra":"\x01"}',
    b'{"id":1,"ex\ntra":1}',
    b'{"id":1,"extra":.5}',
    b'{"\\u0069d":1}',
    b'{"id":1e2}',
    b'{"id":-0}',
)
