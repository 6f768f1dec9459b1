"""Documents of pydantic models whose fields are described once: in the docstrings of their classes."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# An attribute of a Google docstring, with the lines that go on, which are indented further.
_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", flags=re.MULTILINE)


def described(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Gives the JSON schema of a class what its docstring says of it and of its attributes.

    A class has it as `json_schema_extra` in its configuration.
    """
    text = inspect.cleandoc(model.__doc__ or "")
    meaning, _, listed = text.partition("\nAttributes:\n")
    schema["description"] = _one_line(meaning)
    meanings = {name: _one_line(said) for name, said in _ATTRIBUTE.findall(listed)}
    for name, declared in schema.get("properties", {}).items():
        said = meanings.get(name, declared.get("description"))
        if said:
            declared["description"] = _one_line(said)
        # It says no more than the field's name.
        declared.pop("title", None)


def without_computed(model: type[BaseModel], given: Any) -> Any:
    """What was written of a model without its computed fields, which are made again."""
    if not isinstance(given, Mapping):
        return given
    return {name: value for name, value in given.items() if name not in model.model_computed_fields}


def _one_line(text: str) -> str:
    return " ".join(text.split())
