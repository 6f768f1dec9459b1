"""Malformed events of many kinds, each aimed at one reason: for demos and tests of the dead-letter topic.

A malformed event is a sound one, from the model's golden rows, that was spoilt in one way.
"""

import itertools
import json
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from producer.message import Message
from shared.errors import ConfigurationError
from shared.events import MAX_EVENT_BYTES
from shared.keys import key_of
from shared.models.directory import Model
from shared.schema import EVENT_ID, MAX_INT64, OCCURRED_AT, Input, Reason, Schema

Event: TypeAlias = Mapping[str, Any]
#: Takes a sound event, its schema and a number in [0, 1) to vary with.
Maker: TypeAlias = Callable[[Event, Schema, float], bytes | None]

#: What a topic must take, in bytes, for an event that is too large: the event and the batch around it.
TOO_LARGE_BYTES: Final = MAX_EVENT_BYTES + 4096


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to spoil an event.

    Attributes:
        make: Spoils an event.
        reason: Why the event is then rejected.
        suits: Whether the kind exists for a schema; without categories there is no unknown one.
    """

    make: Maker
    reason: Reason
    suits: Callable[[Schema], bool] = lambda _: True


def _text(event: Event) -> bytes:
    return json.dumps(event).encode()


def _at(items: Iterable[Input], vary: float) -> Input:
    listed = list(items)
    return listed[int(vary * len(listed))]


def _of_type(schema: Schema, *types: str) -> list[Input]:
    return [feature for feature in schema.features if feature.type in types]


def _with(event: Event, name: str, literal: str) -> bytes:
    """The event with a field whose value is given as it stands, whether that is JSON or not."""
    rest = {key: value for key, value in event.items() if key != name}
    return f"{json.dumps(rest)[:-1]}, {json.dumps(name)}: {literal}}}".encode()


def _number(literal: str) -> Maker:
    return lambda event, schema, vary: _with(
        event, _at(_of_type(schema, "number", "integer"), vary).name, literal
    )


def _has_numbers(schema: Schema) -> bool:
    return bool(_of_type(schema, "number", "integer"))


def _required(schema: Schema) -> list[str]:
    return [schema.key, *(feature.name for feature in schema.features if feature.required)]


def _missing(event: Event, schema: Schema, vary: float) -> bytes:
    names = _required(schema)
    missing = names[int(vary * len(names))]
    return _text({name: value for name, value in event.items() if name != missing})


def _null(event: Event, schema: Schema, vary: float) -> bytes:
    names = _required(schema)
    return _with(event, names[int(vary * len(names))], "null")


def _cut(event: Event, schema: Schema, vary: float) -> bytes:  # noqa: ARG001 - a Maker
    text = _text(event)
    return text[: 1 + int(vary * (len(text) - 1))]


def _out_of_range(event: Event, schema: Schema, vary: float) -> bytes:
    declared = _at(_bounded(schema), vary)
    return _with(event, declared.name, json.dumps(_beyond(declared)))


def _bounded(schema: Schema) -> list[Input]:
    return [feature for feature in schema.features if _beyond(feature) is not None]


def _beyond(declared: Input) -> float | None:
    """A number just out of an input's bounds, if there is one."""
    if declared.highest is not None:
        number = max(declared.highest + 1, math.nextafter(declared.highest, math.inf))
    elif declared.lowest is not None:
        number = min(declared.lowest - 1, math.nextafter(declared.lowest, -math.inf))
    else:
        return None
    return number if math.isfinite(number) else None


def _half(event: Event, schema: Schema, vary: float) -> bytes:
    return _with(event, _at(_halvable(schema), vary).name, "0.5")


def _halvable(schema: Schema) -> list[Input]:
    """The integers that 0.5 is not out of range for."""
    return [f for f in _of_type(schema, "integer") if (f.lowest or 0) <= 0.5 <= (f.highest or 0)]


def _padded(event: Event, schema: Schema, vary: float) -> bytes:  # noqa: ARG001 - a Maker
    return _with(event, "padding", '"' + "x" * MAX_EVENT_BYTES + '"')


def _nested(event: Event, schema: Schema, vary: float) -> bytes:
    return _with(event, _at(schema.features, vary).name, "[" * 10_000 + "]" * 10_000)


def _not_utf8(event: Event, schema: Schema, vary: float) -> bytes:
    name = _at(schema.features, vary).name
    return _with(event, name, '"CAF?"').replace(b'"CAF?"', b'"caf\xe9"')


#: Name to kind. The reason is a promise: tests score an event of each.
KINDS: Final[Mapping[str, Kind]] = {
    "tombstone": Kind(lambda *_: None, Reason.TOMBSTONE),
    "too-large": Kind(_padded, Reason.TOO_LARGE),
    "invalid-utf8": Kind(_not_utf8, Reason.INVALID_UTF8),
    "empty": Kind(lambda *_: b"", Reason.TRUNCATED),
    "truncated": Kind(_cut, Reason.TRUNCATED),
    "nested": Kind(_nested, Reason.TOO_DEEP),
    "not-json": Kind(lambda event, *_: repr(dict(event)).encode(), Reason.NOT_JSON),
    "csv": Kind(lambda event, *_: ",".join(map(str, event.values())).encode() + b";", Reason.NOT_JSON),
    "byte-order-mark": Kind(lambda event, *_: b"\xef\xbb\xbf" + _text(event), Reason.NOT_JSON),
    "two-objects": Kind(lambda event, *_: _text(event) * 2, Reason.NOT_JSON),
    "array": Kind(lambda event, *_: b"[" + _text(event) + b"]", Reason.NOT_OBJECT),
    "string": Kind(lambda event, *_: json.dumps(json.dumps(event)).encode(), Reason.NOT_OBJECT),
    "json-null": Kind(lambda *_: b"null", Reason.NOT_OBJECT),
    "missing-field": Kind(_missing, Reason.MISSING_FIELD),
    "null-field": Kind(_null, Reason.MISSING_FIELD),
    "text-for-number": Kind(_number('"twelve"'), Reason.WRONG_TYPE, _has_numbers),
    "quoted-number": Kind(_number('"12"'), Reason.WRONG_TYPE, _has_numbers),
    "boolean-for-number": Kind(_number("true"), Reason.WRONG_TYPE, _has_numbers),
    "list-for-value": Kind(
        lambda event, schema, vary: _with(event, _at(schema.features, vary).name, "[1]"), Reason.WRONG_TYPE
    ),
    "half-for-whole": Kind(_half, Reason.WRONG_TYPE, lambda schema: bool(_halvable(schema))),
    "bad-time": Kind(lambda event, *_: _with(event, OCCURRED_AT, '"yesterday"'), Reason.WRONG_TYPE),
    "bad-event-id": Kind(lambda event, *_: _with(event, EVENT_ID, "{}"), Reason.WRONG_TYPE),
    "nan": Kind(_number("NaN"), Reason.NOT_FINITE, _has_numbers),
    "infinity": Kind(_number("Infinity"), Reason.NOT_FINITE, _has_numbers),
    "minus-infinity": Kind(_number("-Infinity"), Reason.NOT_FINITE, _has_numbers),
    "huge-number": Kind(_number("1e999"), Reason.NOT_FINITE, _has_numbers),
    "out-of-range": Kind(_out_of_range, Reason.OUT_OF_RANGE, lambda schema: bool(_bounded(schema))),
    "huge-id": Kind(
        lambda event, schema, _: _with(event, schema.key, str(MAX_INT64 + 1)),
        Reason.OUT_OF_RANGE,
        lambda schema: schema.key_type != "string",
    ),
    "unknown-category": Kind(
        lambda event, schema, vary: _with(event, _at(_of_type(schema, "category"), vary).name, '"?!"'),
        Reason.UNKNOWN_CATEGORY,
        lambda schema: bool(_of_type(schema, "category")),
    ),
    "unknown-field": Kind(
        lambda event, *_: _with(event, "surprise!", "1"), Reason.UNKNOWN_FIELD, lambda schema: schema.strict
    ),
}


def kinds_for(schema: Schema, wanted: Iterable[str] = ()) -> dict[str, Kind]:
    """The kinds of malformed event that exist for a schema.

    Args:
        schema: The model's declared inputs.
        wanted: Names to choose; empty for all.

    Raises:
        ConfigurationError: A name is unknown, or its kind does not exist for this schema.
    """
    suitable = {name: kind for name, kind in KINDS.items() if kind.suits(schema)}
    names = list(wanted) or list(suitable)
    for name in names:
        if name not in suitable:
            known = "exists only for other models" if name in KINDS else "is unknown"
            raise ConfigurationError(
                f"--bad-kinds: the kind {name!r} {known}", hint=f"Choose from: {', '.join(suitable)}."
            )
    return {name: suitable[name] for name in names}


def malformed_messages(model: Model, kinds: Mapping[str, Kind], seed: int) -> Iterator[Message]:
    """Malformed events without end, the kinds in turn; the same for a seed.

    Args:
        model: Whose golden rows are spoilt.
        kinds: From `kinds_for`.
        seed: Any integer.
    """
    draw = random.Random(f"malformed {seed}").random  # noqa: S311 - nothing here is a secret
    golden = [row.event for row in model.declaration.golden]
    for kind in itertools.cycle(kinds.values()):
        event = golden[int(draw() * len(golden))]
        yield Message(key_of(event[model.schema.key]), kind.make(event, model.schema, draw()))


def mixed(
    sound: Iterable[Message], malformed: Iterator[Message], ratio: float, seed: int
) -> Iterator[Message]:
    """Sound events with malformed ones in between.

    Args:
        sound: What is sent in any case.
        malformed: Without end.
        ratio: The share of malformed events in all, from 0 up to, not including, 1.
        seed: Any integer; the same malformed events come at the same places.
    """
    draw = random.Random(f"mixed {seed}").random  # noqa: S311 - nothing here is a secret
    for message in sound:
        while draw() < ratio:
            yield next(malformed)
        yield message
