"""What the page's form asks for: the model's declared inputs, and an event to begin with."""

import json
import secrets
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from consumer.web.state import Frozen
from shared.models.directory import read_declared
from shared.schema import EVENT_ID, Input, InputType, Schema


class Asked(Frozen):
    """A field of the form.

    Attributes:
        name: The event's field.
        role: The customer's id, the event's own id, or an input of the model.
        type: What it holds; `id`: a whole number or a text.
        required: Whether an event without it is rejected.
        default: What the model takes where it is left out; None: nothing is declared.
        values: Of a category, those it can be.
        lowest: The least allowed number.
        highest: The greatest allowed number.
        description: For people.
        example: Its value in the example as JSON text, in which no digit is lost; None: it is left out.
    """

    name: str
    role: Literal["key", "event_id", "input"]
    type: InputType | Literal["id"]
    required: bool
    default: float | bool | str | None = None
    values: list[str] | None = None
    lowest: float | None = None
    highest: float | None = None
    description: str | None = None
    example: str | None


class Form(Frozen):
    """The form.

    Attributes:
        model: `name@version` of the model, as its directory has it now.
        decision: The name of its decision.
        threshold: A score above it makes the decision true.
        fields: What an event holds, the ids first.
    """

    model: str
    decision: str
    threshold: float
    fields: list[Asked]


def form_of(directory: Path) -> Form:
    """The form for a model, with its first golden row as the example and a new id for it.

    Nothing but model.json is read, so that a process without a model can ask.

    Args:
        directory: The model's directory.

    Raises:
        ModelError: It cannot be read; with what to do.
    """
    declaration, schema = read_declared(directory)
    example = {**declaration.golden[0].event, EVENT_ID: f"by-hand-{secrets.token_hex(4)}"}
    return Form(
        model=f"{declaration.name}@{declaration.version}",
        decision=declaration.outputs.decision,
        threshold=declaration.threshold,
        fields=[
            _key(schema, example),
            Asked(
                name=EVENT_ID,
                role="event_id",
                type="id",
                required=False,
                description="Your own id of the event; it stands on the prediction",
                example=_shown(example, EVENT_ID),
            ),
            *(_feature(feature, example) for feature in schema.features),
        ],
    )


def _key(schema: Schema, example: dict[str, Any]) -> Asked:
    said = [declared.description for declared in schema.inputs if declared.name == schema.key]
    return Asked(
        name=schema.key,
        role="key",
        type=schema.key_type or "id",
        required=True,
        description=next(filter(None, said), "The customer's id"),
        example=_shown(example, schema.key),
    )


def _feature(feature: Input, example: dict[str, Any]) -> Asked:
    return Asked(
        name=feature.name,
        role="input",
        type=feature.type,
        required=feature.required,
        default=feature.default,
        values=None if feature.values is None else list(feature.values),
        lowest=feature.minimum,
        highest=feature.maximum,
        description=feature.description,
        example=_shown(example, feature.name),
    )


def _shown(example: dict[str, JsonValue], field: str) -> str | None:
    value = example.get(field)
    return None if value is None else json.dumps(value, ensure_ascii=False)
