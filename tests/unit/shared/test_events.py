"""Every event becomes a row of the frame or a rejection with its own reason, field and sentence."""

import json
from typing import Any

import numpy as np
import pytest

from shared.events import MAX_EVENT_BYTES, EventParser
from shared.frame import Parsed
from shared.schema import Reason, Rejection, Schema

INPUTS: list[dict[str, Any]] = [
    {"name": "number", "type": "number", "minimum": 0, "maximum": 10},
    {"name": "integer", "type": "integer", "maximum": 100},
    {"name": "boolean", "type": "boolean"},
    {"name": "string", "type": "string"},
    {"name": "category", "type": "category", "values": ["A", "é"]},
]
GOOD: dict[str, Any] = {
    "customer_id": 7,
    "number": 1.5,
    "integer": 3,
    "boolean": True,
    "string": "x",
    "category": "é",
}
# More than one chunk, the last not full.
MANY = 2_500


def schema(*, key_type: str | None = None, inputs: list[dict[str, Any]] | None = None, **more: Any) -> Schema:
    key = [{"name": "customer_id", "type": key_type}] if key_type else []
    return Schema.model_validate({"inputs": key + (inputs or INPUTS), **more})


def event(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


@pytest.fixture(params=[True, False], ids=["quick", "pydantic"])
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def only_rejection(value: bytes | None, declared: Schema, *, quick: bool = True) -> Rejection:
    parsed = EventParser(declared, quick=quick).parse([event(), value, event()])
    assert parsed.rows.tolist() == [0, 2]
    (rejection,) = parsed.rejections
    assert rejection.row == 1
    return rejection


WHOLE = [
    (None, Reason.TOMBSTONE, "the event has no value"),
    (b"", Reason.TRUNCATED, "the event is not JSON: EOF while parsing a value at line 1 column 0"),
    (event()[:-4], Reason.TRUNCATED, "the event is not JSON: EOF while parsing a string"),
    (b"hello", Reason.NOT_JSON, "the event is not JSON: expected value at line 1 column 1"),
    (b"{'customer_id': 1}", Reason.NOT_JSON, "the event is not JSON: key must be a string"),
    (event() + event(), Reason.NOT_JSON, "the event is not JSON: trailing characters"),
    (b"\xef\xbb\xbf" + event(), Reason.NOT_JSON, "the event is not JSON: expected value"),
    (event()[:-1] + b',"note":"\\ud800"}', Reason.NOT_JSON, "the event is not JSON: "),
    (event()[:-1] + b',"note":01}', Reason.NOT_JSON, "the event is not JSON: invalid number"),
    (event()[:-1] + b',"note":' + b"9" * 5_000 + b"}", Reason.NOT_JSON, "number out of range"),
    (b"[]", Reason.NOT_OBJECT, "the event is a JSON array, not an object"),
    (b'"text"', Reason.NOT_OBJECT, "the event is a JSON string, not an object"),
    (b"3.5", Reason.NOT_OBJECT, "the event is a JSON number, not an object"),
    (b"3", Reason.NOT_OBJECT, "the event is a JSON number, not an object"),
    (b"true", Reason.NOT_OBJECT, "the event is a JSON boolean, not an object"),
    (b"null", Reason.NOT_OBJECT, "the event is a JSON null, not an object"),
    (b"\xff\xfe", Reason.INVALID_UTF8, "byte 0 is not valid UTF-8"),
    (event()[:-1] + b',"note":"\xed\xa0\x80"}', Reason.INVALID_UTF8, "is not valid UTF-8"),
    (b'{"a":' * 10_000, Reason.TOO_DEEP, "recursion limit exceeded"),
    (b"[" * 10_000, Reason.TOO_DEEP, "recursion limit exceeded"),
    (event()[:-1] + b',"note":' + b"[" * 300 + b"]" * 300 + b"}", Reason.TOO_DEEP, "recursion limit"),
    (b'"' + b"x" * 10_000_000 + b'"', Reason.TOO_LARGE, "has 10,000,002 bytes; at most 1,048,576 are read"),
]


@pytest.mark.parametrize(("value", "reason", "said"), WHOLE, ids=lambda part: str(part)[:30])
def test_what_is_no_event_has_a_reason_of_its_own(
    value: bytes | None, reason: Reason, said: str, *, quick: bool
) -> None:
    rejection = only_rejection(value, schema(), quick=quick)
    assert (rejection.reason, rejection.field) == (reason, None)
    assert said in rejection.detail
    assert len(rejection.detail) < 200


NAN, INF = float("nan"), float("inf")
FIELDS = [
    ("number", "1", Reason.WRONG_TYPE, "number is '1', which is not a number"),
    ("number", True, Reason.WRONG_TYPE, "number is true, which is not a number"),
    ("number", [1, 2], Reason.WRONG_TYPE, "number is [1, 2], which is not a number"),
    ("number", "y" * 500, Reason.WRONG_TYPE, f"number is '{'y' * 58}…, which is not a number"),
    ("number", NAN, Reason.NOT_FINITE, "number is not a finite number"),
    ("number", -INF, Reason.NOT_FINITE, "number is not a finite number"),
    ("number", 10**400, Reason.NOT_FINITE, "number is not a finite number"),
    ("number", -0.5, Reason.OUT_OF_RANGE, "number is -0.5, which is not between 0 and 10"),
    ("number", 11, Reason.OUT_OF_RANGE, "number is 11, which is not between 0 and 10"),
    ("number", None, Reason.MISSING_FIELD, "number is missing or null"),
    ("integer", 2.5, Reason.WRONG_TYPE, "integer is 2.5, which is not an integer"),
    ("integer", "3", Reason.WRONG_TYPE, "integer is '3', which is not an integer"),
    ("integer", 101.5, Reason.OUT_OF_RANGE, "not between -9007199254740991 and 100"),
    ("boolean", 1, Reason.WRONG_TYPE, "boolean is 1, which is not a boolean"),
    ("boolean", "true", Reason.WRONG_TYPE, "boolean is 'true', which is not a boolean"),
    ("string", 3, Reason.WRONG_TYPE, "string is 3, which is not a string"),
    ("category", "B", Reason.UNKNOWN_CATEGORY, "category is 'B', which is not one of: 'A', 'é'"),
    ("category", "a", Reason.UNKNOWN_CATEGORY, "category is 'a', which is not one of"),
    ("category", 1, Reason.WRONG_TYPE, "category is 1, which is not a string"),
    ("customer_id", None, Reason.MISSING_FIELD, "customer_id is missing or null"),
    ("customer_id", 1.0, Reason.WRONG_TYPE, "customer_id is 1.0, which is not an integer or a string"),
    ("customer_id", True, Reason.WRONG_TYPE, "customer_id is true, which is not an integer or a string"),
    ("customer_id", 2**63 + 1, Reason.OUT_OF_RANGE, "customer_id is 9223372036854775809, but an id is"),
    ("customer_id", "x" * 1025, Reason.OUT_OF_RANGE, "an id is an int64 or has at most 1,024 characters"),
    ("event_id", 1.5, Reason.WRONG_TYPE, "event_id is 1.5, which is not an integer or a string"),
    ("event_id", "é" * 1025, Reason.OUT_OF_RANGE, "an id is an int64 or has at most 1,024 characters"),
    ("occurred_at", "today", Reason.WRONG_TYPE, "occurred_at is 'today', which is not an RFC 3339 time"),
    ("occurred_at", 1_700_000_000, Reason.WRONG_TYPE, "which is not an RFC 3339 time"),
]


@pytest.mark.parametrize(("field", "value", "reason", "said"), FIELDS, ids=lambda part: str(part)[:30])
def test_a_field_at_fault_is_named_with_its_value_and_what_was_expected(
    field: str, value: Any, reason: Reason, said: str, *, quick: bool
) -> None:
    rejection = only_rejection(event(**{field: value}), schema(), quick=quick)
    assert (rejection.reason, rejection.field) == (reason, field)
    assert said in rejection.detail


@pytest.mark.parametrize("field", GOOD)
def test_a_field_that_is_not_there_is_missing(field: str, *, quick: bool) -> None:
    rejection = only_rejection(without(field), schema(), quick=quick)
    assert (rejection.reason, rejection.field) == (Reason.MISSING_FIELD, field)


def test_every_beginning_of_an_event_is_truncated(*, quick: bool) -> None:
    whole = event(string="\u20ac\\", number=1.25e-7)
    parsed = EventParser(schema(), quick=quick).parse([whole[:stop] for stop in range(len(whole))])
    assert {rejection.reason for rejection in parsed.rejections} == {Reason.TRUNCATED}
    assert len(parsed.rejections) == len(whole)


def test_of_several_faults_the_first_in_declared_order_is_told(*, quick: bool) -> None:
    value = json.dumps({"extra": 1, "category": "B", "integer": "x", "number": 99, "customer_id": 1}).encode()
    assert only_rejection(value, schema(), quick=quick).field == "number"
    assert only_rejection(event(category="B", integer="x"), schema(), quick=quick).field == "integer"


@pytest.mark.parametrize(
    ("field", "bound", "value", "said"),
    [("minimum", 2, 1, "x is 1, which is below 2"), ("maximum", 0.5, 1, "x is 1, which is above 0.5")],
)
def test_a_single_bound_is_told_as_such(field: str, bound: float, value: float, said: str) -> None:
    declared = Schema.model_validate({"inputs": [{"name": "x", "type": "number", field: bound}]})
    parsed = EventParser(declared).parse([json.dumps({"customer_id": 1, "x": value}).encode()])
    assert parsed.rejections[0].detail == said


@pytest.mark.parametrize("depth", [1, 100, 149, 150, 199, 200, 201, 300])
def test_an_event_may_be_nested_as_deep_as_pydantic_reads_it(depth: int) -> None:
    small = schema(inputs=[INPUTS[0]])
    start = b'{"customer_id":7,"number":1,"note":'
    values = [start + b"[" * depth + b"]" * depth + b"}", start + b"[" * depth, start + b"]" * depth + b"}"]
    for value in values:
        # Alone it is read in a chunk of its own.
        quick, defined = (EventParser(small, quick=quick).parse([value]) for quick in (True, False))
        assert quick.rejections == defined.rejections
        assert quick.rows.tolist() == defined.rows.tolist()
    assert bool(EventParser(small).parse(values[:1]).rejections) == (depth > 200)


@pytest.mark.parametrize("extra", [1, "x", None, {"deep": [1]}])
def test_an_undeclared_field_is_ignored_unless_the_model_is_strict(extra: Any, *, quick: bool) -> None:
    value = event(extra=extra)
    assert not EventParser(schema(), quick=quick).parse([value]).rejections
    rejection = only_rejection(value, schema(strict=True), quick=quick)
    assert (rejection.reason, rejection.field) == (Reason.UNKNOWN_FIELD, "extra")
    assert rejection.detail == "extra is not declared, and the model is strict"


def test_a_strict_model_takes_the_fields_of_every_event(*, quick: bool) -> None:
    value = event(event_id="e1", occurred_at="2026-01-31T12:00:00Z")
    assert not EventParser(schema(strict=True), quick=quick).parse([value]).rejections


@pytest.mark.parametrize(
    ("key_type", "accepted", "refused"),
    [("integer", 7, "7"), ("string", "7", 7)],
)
def test_the_declared_type_of_the_key_is_enforced(key_type: str, accepted: Any, refused: Any) -> None:
    parser = EventParser(schema(key_type=key_type))
    parsed = parser.parse([event(customer_id=accepted), event(customer_id=refused)])
    assert list(parsed.customer_ids) == [accepted]
    assert parsed.rejections[0].reason is Reason.WRONG_TYPE
    article = "an" if key_type == "integer" else "a"
    assert parsed.rejections[0].detail.endswith(f"which is not {article} {key_type}")


def test_a_key_of_no_declared_type_keeps_the_type_that_it_came_with(*, quick: bool) -> None:
    ids = [0, -(2**63), 2**63 - 1, "", "7", "x" * 1024, "é}\n"]
    parsed = EventParser(schema(), quick=quick).parse([event(customer_id=value) for value in ids])
    assert list(parsed.customer_ids) == ids


def test_event_ids_are_none_when_no_event_has_one(*, quick: bool) -> None:
    parser = EventParser(schema(), quick=quick)
    assert parser.parse([event(), event(event_id=None)]).event_ids is None
    found = parser.parse([event(), event(event_id="a"), event(event_id=5), event(event_id=[])]).event_ids
    assert list(found or ()) == [None, "a", 5]


DEFAULTS = [
    declared | {"default": default} for declared, default in zip(INPUTS, [0, -3, False, "", "A"], strict=True)
]


@pytest.mark.parametrize(
    "value", [b'{"customer_id":1}', json.dumps(dict.fromkeys(GOOD) | {"customer_id": 1}).encode()]
)
def test_a_missing_or_null_value_becomes_its_default(value: bytes, *, quick: bool) -> None:
    frame = EventParser(schema(inputs=DEFAULTS), quick=quick).parse([value, event()]).frame
    assert {name: column.tolist() for name, column in frame.columns.items()} == {
        "number": [0, 1.5],
        "integer": [-3, 3],
        "boolean": [0, 1],
        "string": ["", "x"],
        "category": [0, 1],
    }


def test_the_frame_has_the_types_that_models_expect(*, quick: bool) -> None:
    parsed = EventParser(schema(), quick=quick).parse([event(number=0, integer=-0.0), event(integer=3.0)])
    kinds = {name: column.dtype for name, column in parsed.frame.columns.items()}
    assert kinds == {
        "number": np.float64,
        "integer": np.float64,
        "boolean": np.float64,
        "string": object,
        "category": np.int32,
    }
    assert not np.signbit(parsed.frame.columns["integer"]).any()


def test_of_a_repeated_key_the_last_value_counts(*, quick: bool) -> None:
    parser = EventParser(schema(), quick=quick)
    bad_then_good = b'{"number":"bad",' + event()[1:]
    good_then_bad = event()[:-1] + b',"n\\u0075mber":"bad"}'
    parsed = parser.parse([bad_then_good, good_then_bad])
    assert parsed.rows.tolist() == [0]
    assert parsed.rejections[0].field == "number"


@pytest.mark.parametrize(
    "name", ["f0", "class", "self", "a.b", "__annotations__", "model_config", "é ß", "$"]
)
def test_an_input_may_have_any_name(name: str, *, quick: bool) -> None:
    declared = Schema.model_validate({"inputs": [{"name": name, "type": "number"}], "strict": True})
    parsed = EventParser(declared, quick=quick).parse([json.dumps({"customer_id": 1, name: 2}).encode()])
    assert parsed.frame.columns[name].tolist() == [2]


def rows_and_reasons(parsed: Parsed) -> tuple[list[int], list[tuple[int, Reason]]]:
    return parsed.rows.tolist(), [(rejection.row, rejection.reason) for rejection in parsed.rejections]


@pytest.mark.parametrize("bad", [[], [0], [1023, 1024], [MANY - 1], list(range(0, MANY, 7))])
def test_a_large_batch_keeps_its_rows_in_order_whatever_is_bad_among_them(bad: list[int]) -> None:
    values: list[bytes | None] = [event(customer_id=row, number=row % 10) for row in range(MANY)]
    wrong: list[tuple[bytes | None, Reason]] = [
        (None, Reason.TOMBSTONE),
        (event(number=11), Reason.OUT_OF_RANGE),
        (event(category="B"), Reason.UNKNOWN_CATEGORY),
    ]
    expected = []
    for place, row in enumerate(bad):
        values[row], reason = wrong[place % len(wrong)]
        expected.append((row, reason))
    parsed = EventParser(schema()).parse(values)
    good = [row for row in range(MANY) if row not in set(bad)]
    assert rows_and_reasons(parsed) == (good, expected)
    assert list(parsed.customer_ids) == good
    assert parsed.frame.columns["number"].tolist() == [row % 10 for row in good]
    assert parsed.total == MANY


def test_an_empty_batch_is_an_empty_frame() -> None:
    parsed = EventParser(schema()).parse([])
    assert (parsed.total, parsed.frame.count, parsed.rejections, parsed.event_ids) == (0, 0, (), None)
    assert all(len(column) == 0 for column in parsed.frame.columns.values())


def test_an_event_of_the_largest_size_is_read(*, quick: bool) -> None:
    padding = MAX_EVENT_BYTES - len(event(string=""))
    value = event(string="x" * padding)
    assert len(value) == MAX_EVENT_BYTES
    parsed = EventParser(schema(), quick=quick).parse([value, value + b" "])
    assert rows_and_reasons(parsed) == ([0], [(1, Reason.TOO_LARGE)])
