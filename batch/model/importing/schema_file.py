"""A schema file: the `inputs` of a model.json, written by hand or corrected after an import."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from batch.model.importing.described import Described
from batch.model.importing.inputs import DEFAULT_KEY, Found
from shared.errors import InputError
from shared.models.directory import first_problem
from shared.schema import Input, Schema


def read_schema(path: Path, key: str | None, described: Described) -> Found:
    """Reads the inputs of a schema file: a JSON list of them, or an object with `inputs` and perhaps `key`.

    Inputs that are the model's columns in another order are put into the model's.

    Args:
        path: The file.
        key: The field that holds the customer's id; None takes the file's.
        described: What the model's file says of its columns.

    Raises:
        InputError: The file cannot be read, or does not declare inputs.
    """
    content = _read(path)
    inputs = content if isinstance(content, list) else content.get("inputs")
    said = DEFAULT_KEY if isinstance(content, list) else content.get("key", DEFAULT_KEY)
    try:
        schema = Schema.model_validate({"key": key or said, "inputs": inputs})
    except ValidationError as error:
        raise InputError(
            f"{path}: {first_problem(error)}", hint="docs/models.md says what an input may have."
        ) from error
    ordered = _in_order(schema, described)
    return Found(ordered, {declared.name: f"as in {path.name}" for declared in ordered.inputs})


def _read(path: Path) -> Any:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}", hint="Give a file of inputs."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON: {error}", hint="Correct it there.") from error
    if not isinstance(content, list | dict):
        raise InputError(f"{path}: is neither a list nor an object", hint='Write {"inputs": [...]}.')
    return content


def _in_order(schema: Schema, described: Described) -> Schema:
    """The schema with its features in the model's order, where each of them is one of the model's columns."""
    names = [name.replace(" ", "_") for name in described.names or ()]
    places = {feature.name: feature.name.replace(" ", "_") for feature in schema.features}
    if sorted(places.values()) != sorted(names):
        return schema  # one-hot inputs, or a difference that loading the model explains

    def place(declared: Input) -> int:
        return names.index(places[declared.name]) if declared.name in places else -1

    return schema.model_copy(update={"inputs": tuple(sorted(schema.inputs, key=place))})
