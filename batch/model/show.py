"""`python -m batch model show`: what a model takes, gives and is, on a terminal or as JSON."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.model.verdicts import show_facts
from shared.errors import ExitCode
from shared.models.certificate import Standing, standing_of
from shared.models.directory import Model, read_model
from shared.schema import Input
from shared.settings import CommandSettings, load

PROGRAM: Final = "python -m batch model show"
STATE_COLORS: Final = {"valid": "green", "none": "yellow", "stale": "red", "refused": "red", "damaged": "red"}


class ShowSettings(CommandSettings):
    """Says what a model takes, gives and is: its inputs, threshold, hash, provenance and certificate.

    Example:
      python -m batch model show models/churn
      python -m batch model show models/churn --json
    """

    model: CliPositionalArg[Path] = Field(description="The model's directory.")
    as_json: bool = Field(False, alias="json", description="Print JSON instead of a table.")


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        ModelError: The directory holds no model that can be read.
    """
    settings = load(ShowSettings, arguments, PROGRAM)
    model = read_model(settings.model, certifying=True)
    standing = standing_of(settings.model, model)
    if settings.as_json:
        print(json.dumps(described(model, standing), indent=2, ensure_ascii=False))
    else:
        show(model, standing)
    return ExitCode.DONE


def described(model: Model, standing: Standing) -> dict[str, Any]:
    """A model as JSON: its declaration without the golden rows, its hash, what its certificate is worth."""
    declaration = model.declaration.model_dump(mode="json", exclude={"golden"}, exclude_none=True)
    return {
        "id": model.id,
        "sha256": model.sha256,
        **declaration,
        "inputs": [
            feature.model_dump(mode="json", exclude_none=True)
            for feature in (*_key(model), *model.schema.features)
        ],
        "golden": len(model.declaration.golden),
        "certificate": {
            "state": standing.state,
            "detail": standing.detail,
            "verdict": standing.certificate and standing.certificate.verdict,
            "issued": standing.certificate and standing.certificate.issued,
        },
    }


def _key(model: Model) -> list[Input]:
    return [declared for declared in model.schema.inputs if declared.name == model.schema.key]


def show(model: Model, standing: Standing, console: Console | None = None) -> None:
    """Prints a model for people.

    Args:
        model: The model.
        standing: What its certificate is worth.
        console: Where to; standard output unless given.
    """
    console = console or Console(highlight=False)
    console.print(Text(model.id, style="bold"))
    if model.declaration.description:
        console.print(Text(model.declaration.description))
    console.print()
    show_facts(console, _facts(model, standing))
    if model.declaration.provenance:
        console.print(Text("\nprovenance", style="bold"))
        show_facts(console, model.declaration.provenance)
    console.print()
    console.print(_inputs(model))


def _facts(model: Model, standing: Standing) -> dict[str, str | Text]:
    declaration = model.declaration
    key_type = model.schema.key_type or "integer or string"
    together = "any number of rows together" if declaration.execution.rows == "any" else "one row at a time"
    return {
        "kind": declaration.kind,
        "sha256": model.sha256,
        "artifact": declaration.artifact.file if declaration.artifact else "none",
        "key": f"{declaration.key} ({key_type})",
        "outputs": f"score, and {model.decision_name}: whether it is above {model.threshold!r}",
        "other fields": "reject the row" if declaration.strict else "are ignored",
        "is run with": together,
        "golden rows": str(len(declaration.golden)),
        "certificate": Text(f"{standing.state}: {standing.detail}", style=STATE_COLORS[standing.state]),
    }


def _inputs(model: Model) -> Table:
    features = model.schema.features
    columns: dict[str, Callable[[Input], str]] = {
        "input": lambda feature: feature.name,
        "type": lambda feature: feature.type,
        "allowed": _allowed,
        "when missing": _when_missing,
    }
    if any(feature.encoding for feature in features):
        columns["encoding"] = lambda feature: feature.encoding or ""
    if any(feature.description for feature in features):
        columns[""] = lambda feature: feature.description or ""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, overflow="fold", style="" if name else "dim")
    for feature in features:
        table.add_row(*(Text(cell(feature)) for cell in columns.values()))
    return table


def _allowed(feature: Input) -> str:
    if feature.values:
        return ", ".join(value or "(blank)" for value in feature.values)
    low, high = feature.minimum, feature.maximum
    if low is not None and high is not None:
        return f"{low:.15g} to {high:.15g}"
    if low is not None:
        return f"{low:.15g} or more"
    return "any" if high is None else f"{high:.15g} or less"


def _when_missing(feature: Input) -> str:
    if feature.default is not None:
        return f"becomes {json.dumps(feature.default, ensure_ascii=False)}"
    return "rejected" if feature.required else "the model is told"
