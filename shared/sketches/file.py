"""The file in which a stream's worker keeps the sketches of what it scored; `batch drift` reads it."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import InputError
from shared.sketches.sketches import Sketches


class SketchFile(BaseModel):
    """What a worker scored with one model between two moments; only what was committed.

    Attributes:
        kind: `sketch`.
        version: Of this form of the file.
        tandem: The version of Tandem that wrote it.
        topic: Where the events came from.
        group: The consumer group.
        instance: The worker's name in it.
        model: `name@version`.
        model_sha256: The digest of everything that a prediction depends on.
        since: When the worker began with this file, RFC 3339 in UTC.
        until: When it wrote the file.
        sketches: What `Sketches.to_json` gave.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    kind: Literal["sketch"] = "sketch"
    version: Literal[1] = 1
    tandem: str
    topic: str
    group: str
    instance: str
    model: str
    model_sha256: str
    since: str
    until: str
    sketches: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "SketchFile":
        """Reads a file.

        Raises:
            InputError: It cannot be read, or is something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise InputError(
                f"{path}: it is no sketch of a stream: {problem_of(error)}",
                hint="Name a file that `python -m consumer --sketch` wrote, or the folder of such files.",
            ) from error


def sketches_of(name: str, found: Any) -> Sketches:
    """The sketches that a file or a manifest holds.

    Args:
        name: Which, for the message.
        found: Its `sketches`.

    Raises:
        InputError: They are damaged.
    """
    try:
        return Sketches.from_json(found)
    except ValueError as error:
        said = problem_of(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(
            f"{name}: its sketches cannot be read: {said}",
            hint="The file was changed, or written by another version of Tandem.",
        ) from error


def problem_of(error: ValidationError) -> str:
    """The first problem that pydantic found, in a line."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
