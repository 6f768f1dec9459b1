"""A declaration that contradicts itself is refused in a sentence that names the input."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.models.directory import first_problem
from shared.schema import MEANINGS, Input, Reason, Schema, is_rfc3339


def complaint(inputs: list[dict[str, Any]], **schema: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Schema.model_validate({"inputs": inputs, **schema})
    return first_problem(caught.value)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"type": "category"}, "input 'x' is a category without values"),
        ({"type": "category", "values": []}, "input 'x' is a category without values"),
        ({"type": "category", "values": ["A", "B", "A"]}, "input 'x' repeats the category 'A'"),
        ({"type": "string", "values": ["A"]}, "input 'x' has values, which only a category has"),
        ({"type": "number", "encoding": "ordinal"}, "input 'x' has an encoding, which only a category has"),
        ({"type": "string", "minimum": 1}, "has bounds, which only a number or an integer has"),
        ({"type": "number", "minimum": 2, "maximum": 1}, "allows nothing: at least 2, at most 1"),
        ({"type": "integer", "minimum": 1e300}, "allows nothing: at least 1e+300, at most 9.0072e+15"),
        ({"type": "number", "minimum": 0, "default": -1}, "has the default -1.0, which it does not allow"),
        ({"type": "number", "default": True}, "has the default True"),
        ({"type": "number", "default": float("nan")}, "has the default nan"),
        ({"type": "number", "default": float("inf")}, "has the default inf"),
        ({"type": "integer", "default": 2.5}, "has the default 2.5"),
        ({"type": "integer", "default": 2.0**53}, "has the default"),
        ({"type": "boolean", "default": 1}, "has the default"),
        ({"type": "category", "values": ["A"], "default": "B"}, "has the default 'B'"),
        ({"type": "string", "default": 1}, "has the default"),
        ({"type": "float"}, "Input should be 'number', 'integer', 'boolean', 'string' or 'category'"),
        ({"type": "number", "minimum": float("nan")}, "inputs.0.minimum: "),
        ({"type": "number", "optional": True}, "inputs.0.optional: Extra inputs are not permitted"),
        ({"type": "number", "name": 'a"b'}, "inputs.0.name: "),
        ({"type": "number", "name": ""}, "inputs.0.name: "),
    ],
)
def test_an_input_that_contradicts_itself_is_refused(declared: dict[str, Any], said: str) -> None:
    assert said in complaint([{"name": "x", **declared}])


@pytest.mark.parametrize(
    ("inputs", "schema", "said"),
    [
        ([("x", "number"), ("x", "string")], {}, "input 'x' is declared twice"),
        ([("event_id", "string")], {}, "'event_id' is a field of every event and cannot be declared"),
        ([("x", "number")], {"key": "occurred_at"}, "'occurred_at' is a field of every event"),
        ([("id", "number"), ("x", "number")], {"key": "id"}, "the key 'id' is a number; it must be an"),
        ([("customer_id", "string")], {}, "no input besides the key is declared"),
        ([], {}, "inputs: "),
    ],
)
def test_inputs_that_contradict_each_other_are_refused(
    inputs: list[tuple[str, str]], schema: dict[str, Any], said: str
) -> None:
    assert said in complaint([{"name": name, "type": kind} for name, kind in inputs], **schema)


@pytest.mark.parametrize("extra", [{"default": "a"}, {"type": "integer", "minimum": 0}])
def test_a_key_takes_no_default_and_no_bounds(extra: dict[str, Any]) -> None:
    inputs = [{"name": "id", "type": "string", **extra}, {"name": "x", "type": "number"}]
    assert complaint(inputs, key="id") == "the key 'id' takes no default and no bounds"


def test_an_integer_is_bounded_by_what_float64_holds_exactly() -> None:
    declared = Input(name="n", type="integer", minimum=-1e300, maximum=5)
    assert (declared.lowest, declared.highest) == (1 - 2**53, 5)


@pytest.mark.parametrize("default", [0, 0.0, -1])
def test_a_falsy_default_makes_an_input_optional(default: float) -> None:
    assert not Input(name="n", type="number", default=default).required
    assert not Input(name="b", type="boolean", default=False).required
    assert not Input(name="s", type="string", default="").required


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00.123456789z",
        "2026-01-31 12:00:60+05:30",
        "2024-02-29T23:59:59-00:00",
        "2026-01-31T12:00:00+0530",
    ],
)
def test_a_time_with_its_offset_is_a_time(text: str) -> None:
    assert is_rfc3339(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-02-29T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:61:00Z",
        "2026-01-31T12:00:61Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+05",
        "2026-01-31T12:00:00.Z",
        "0000-01-01T00:00:00Z",
        "٢026-01-31T12:00:00Z",
        "1700000000",
        "2026-01-31T12:00:00Z\n",
        "",
    ],
)
def test_any_other_text_is_no_time(text: str) -> None:
    assert not is_rfc3339(text)


def test_each_reason_has_a_meaning_which_its_document_begins_with() -> None:
    document = Path("docs/dead-letters.md").read_text(encoding="utf-8")
    table = document.split("## Reasons")[1].split("## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))
    assert list(rows) == list(MEANINGS) == list(Reason)
    assert [row for code, row in rows.items() if not row.startswith(MEANINGS[Reason(code)])] == []
