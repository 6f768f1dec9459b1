"""Files of a model directory, written whole or not at all; model.json as a person would lay it out."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.errors import InputError


def declaration_text(content: Mapping[str, Any]) -> str:
    """The text of a model.json: one line an input and a golden row, so that a change shows as its line.

    Args:
        content: What the file is to hold, in the order in which it is to stand there.
    """
    lines = []
    for name, value in content.items():
        if isinstance(value, Sequence) and not isinstance(value, str) and value:
            items = ",\n".join(f"    {_json(item)}" for item in value)
            lines.append(f"  {_json(name)}: [\n{items}\n  ]")
        else:
            lines.append(f"  {_json(name)}: {_json(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file so that at any moment the old content or the new stands there, and never a part.

    Args:
        path: The file; a link is followed, and the mode of a file that is there is kept.
        content: All of its bytes.

    Raises:
        InputError: It cannot be written; the old file is as it was.
    """
    target = path.resolve()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
    except OSError as error:
        said = error.strerror or str(error)
        hint = "See that the model's directory may be written to and that the disk is not full."
        raise InputError(f"{path}: cannot be written: {said}", hint=hint) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
