"""`python -m batch model list`: the models of a folder, one line each, broken ones with the reason."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.text import Text

from batch.model.show import STATE_COLORS
from shared.errors import ExitCode, InputError, ModelError
from shared.models.certificate import standing_of
from shared.models.directory import MODEL_FILE, read_model
from shared.predict import Predictor
from shared.settings import CommandSettings, load

PROGRAM: Final = "python -m batch model list"


class ListSettings(CommandSettings):
    """Lists the models of a folder, one line each. Each is loaded; a broken one is shown with the reason.

    Example:
      python -m batch model list
      python -m batch model list /srv/models --json
    """

    folder: CliPositionalArg[Path] = Field(
        Path("models"), description="A folder that holds models' directories."
    )
    as_json: bool = Field(False, alias="json", description="Print a JSON array instead of a table.")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list.

    Attributes:
        directory: The model's directory.
        id: `name@version`; None for a model that does not load.
        kind: Its kind.
        inputs: How many inputs it scores.
        sha256: The 12 digits that stand on predictions.
        certificate: What its certificate is worth.
        problem: Why the model does not load.
    """

    directory: str
    id: str | None = None
    kind: str | None = None
    inputs: int | None = None
    sha256: str | None = None
    certificate: str | None = None
    problem: str | None = None


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        InputError: The folder cannot be read.
    """
    settings = load(ListSettings, arguments, PROGRAM)
    found = models_in(settings.folder)
    if settings.as_json:
        print(json.dumps([asdict(line) for line in found], indent=2))
    elif found:
        show_list(found)
    else:
        print(f"There is no model in {settings.folder}: a model is a directory with a {MODEL_FILE}.")
    return ExitCode.DONE


def models_in(folder: Path) -> list[Listed]:
    """The models in a folder, sorted by name: its subfolders with a model.json, or the folder itself.

    Raises:
        InputError: The folder cannot be read.
    """
    try:
        places = [folder] if (folder / MODEL_FILE).exists() else sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}", hint="Name a folder.") from error
    return [_listed(place) for place in places if (place / MODEL_FILE).exists()]


def _listed(directory: Path) -> Listed:
    try:
        model = read_model(directory)
        Predictor(model).check_golden_rows()
    except ModelError as error:
        return Listed(str(directory), problem=error.message)
    return Listed(
        directory=str(directory),
        id=model.id,
        kind=model.declaration.kind,
        inputs=len(model.schema.features),
        sha256=model.short_sha256,
        certificate=standing_of(directory, model).state,
    )


def show_list(found: Sequence[Listed]) -> None:
    """Prints the list for people: the models that load as a table, and below it a line for each other."""
    console = Console(highlight=False, soft_wrap=True)
    sound = [line for line in found if line.problem is None]
    rows = [("directory", "model", "kind", "inputs", "sha256", "certificate")]
    rows += [
        (
            line.directory,
            f"{line.id}",
            f"{line.kind}",
            f"{line.inputs}",
            f"{line.sha256}",
            f"{line.certificate}",
        )
        for line in sound
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for place, row in enumerate(rows if sound else ()):
        *cells, state = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        color = STATE_COLORS.get(row[-1], "")
        console.print(
            Text("  ".join((*cells, "")), style="" if place else "dim"), Text(state, style=color), sep=""
        )
    for line in found:
        if line.problem is not None:
            problem = line.problem.removeprefix(f"{Path(line.directory, MODEL_FILE)}: ")
            console.print(Text(f"{line.directory}: broken: {problem}", style="red"))
