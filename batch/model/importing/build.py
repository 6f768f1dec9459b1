"""Puts a model directory together: scored on a sample, with golden rows, whole or not at all."""

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from batch.folder import LocalFolder
from batch.model.golden import choose_golden
from batch.model.importing.artifact import Artifact
from batch.model.importing.facts import Table, with_key
from batch.model.importing.inputs import Found
from batch.model.samples import events_of, generate_sample, with_ids
from batch.model.writing import declaration_text, replace_file
from shared.errors import ConfigurationError, InputError, ModelError
from shared.models.directory import (
    KINDS,
    MODEL_FILE,
    Declaration,
    GoldenRow,
    Model,
    digest,
    first_problem,
)
from shared.predict import Outcome, Predictor
from shared.schema import Rejection, Schema
from shared.tables import TableParser

#: Where inputs that were inferred are written, for a person to check.
INPUTS_FILE: Final = "inputs.json"
#: Rows among which golden rows are chosen, and rows that are made where there is no sample.
_GOLDEN_FROM: Final = 2_000
_MADE_UP: Final = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person asks for.

    Attributes:
        output: The model directory to make: new, or empty.
        name: The model's name.
        version: Its version.
        threshold: A score strictly above it makes the decision true.
        decision: The field of a prediction that holds the decision.
        description: For people.
    """

    output: Path
    name: str
    version: str
    threshold: float
    decision: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What came of scoring the sample.

    Attributes:
        rows: How many rows it has.
        outcome: Their scores and rejections.
    """

    rows: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model with its inputs, ready to become a model directory.

    Attributes:
        artifact: The file.
        found: The inputs.
        provenance: Where it comes from.
        inferred: Whether the inputs are a guess that a person must check.
    """

    artifact: Artifact
    found: Found
    provenance: Mapping[str, str] = field(default_factory=dict)
    inferred: bool = False


#: Looks at the scores of the sample before anything is written; raises to refuse the import.
Gate = Callable[[Outcome], Mapping[str, str]]


def build(
    trained: Trained, wish: Wish, table: Table | None, gate: Gate | None = None
) -> tuple[Predictor, Check | None]:
    """Makes a model directory, and loads it as scoring will.

    Args:
        trained: The model.
        wish: What the person asks for.
        table: The sample, which is scored and gives the golden rows; None makes rows of the inputs.
        gate: Looks at the sample's scores; what it returns is added to the provenance.

    Returns:
        The loaded model, and what came of scoring the sample.

    Raises:
        TandemError: Nothing was written.
    """
    LocalFolder(wish.output).check_empty()
    schema, scorer = trained.found.schema, KINDS[trained.artifact.kind]
    loaded = scorer.load(schema, trained.artifact.content)
    declaration = _declare(trained, wish, rows="one" if loaded.unstable else "any")
    predictor = Predictor(Model(declaration, schema, loaded, digest(declaration)))
    check = None
    if table is not None:
        table = with_key(table, schema)
        check = score_sample(predictor, table)
        if gate is not None:
            said = {**declaration.provenance, **gate(check.outcome)}
            declaration = declaration.model_copy(update={"provenance": said})
    golden = _golden(predictor, table)
    declaration = declaration.model_copy(update={"golden": tuple(golden)})
    with _whole_or_not_at_all(wish.output) as unfinished:
        replace_file(unfinished / trained.artifact.file, trained.artifact.content)
        if trained.inferred:
            replace_file(unfinished / INPUTS_FILE, inputs_text(trained.found.schema).encode())
        content = declaration.model_dump(mode="json", exclude_defaults=True)
        replace_file(unfinished / MODEL_FILE, declaration_text(content).encode())
        _load(unfinished, wish.output)
    return Predictor.load(wish.output), check


def score_sample(predictor: Predictor, table: Table) -> Check:
    """Scores all rows of a sample.

    Raises:
        InputError: None of them can be scored.
    """
    outcome = predictor.score_table(table.batch, text=table.text)
    if not len(outcome.scores):
        common = most_common(outcome.rejections)
        raise InputError(
            f"{table.name}: none of its {outcome.total:,} rows can be scored; most because {common.detail}",
            hint="See that the sample has the model's columns, or correct the inputs: --schema FILE.",
        )
    return Check(outcome.total, outcome)


def most_common(rejections: Sequence[Rejection]) -> Rejection:
    """The first of the rejections that there are most of, for one reason in one field."""
    counts = Counter((rejection.reason, rejection.field) for rejection in rejections)
    return max(rejections, key=lambda rejection: counts[rejection.reason, rejection.field])


def inputs_text(schema: Schema) -> str:
    """Inputs as a file that --schema takes: one line an input."""
    return declaration_text({"key": schema.key, "inputs": _dumped(schema)})


def _dumped(schema: Schema) -> list[dict[str, Any]]:
    return [declared.model_dump(mode="json", exclude_defaults=True) for declared in schema.inputs]


def plain_name(output: Path) -> str:
    """A model's name made of its directory's, without what a name must not hold."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", output.absolute().name).strip("-._")[:100] or "model"


def _declare(trained: Trained, wish: Wish, *, rows: str) -> Declaration:
    artifact, schema = trained.artifact, trained.found.schema
    try:
        return Declaration.model_validate(
            {
                "name": wish.name,
                "version": wish.version,
                "kind": artifact.kind,
                "description": wish.description,
                "key": schema.key,
                "inputs": tuple(_dumped(schema)),
                "threshold": wish.threshold,
                "outputs": {"decision": wish.decision},
                "artifact": {
                    "file": artifact.file,
                    "sha256": hashlib.sha256(artifact.content).hexdigest(),
                },
                "execution": {"rows": rows},
                "provenance": dict(trained.provenance),
                # The real ones are made by scoring with this very declaration.
                "golden": ({"event": {}, "score": 0.0},),
            }
        )
    except ValidationError as error:
        raise ConfigurationError(first_problem(error), hint="Give another value.") from error


def _golden(predictor: Predictor, table: Table | None) -> list[GoldenRow]:
    """Golden rows of the sample, or of rows that are made of the inputs."""
    schema = predictor.model.schema
    if table is not None:
        parsed = TableParser(schema).parse(table.batch.slice(0, _GOLDEN_FROM), text=table.text)
        events = events_of(schema, parsed)
    else:
        events = [
            {name: value for name, value in event.items() if value is not None}
            for event in generate_sample(schema, _MADE_UP).events
        ]
    outcome = predictor.score_json([json.dumps(event).encode() for event in with_ids(schema, events)])
    if not len(outcome.scores):
        raise ModelError(
            f"the model cannot score a row made of its inputs: {outcome.rejections[0].detail}",
            hint="Give --sample FILE with rows that it was trained on.",
        )
    return choose_golden(schema, [events[row] for row in outcome.rows.tolist()], outcome.scores)


@contextmanager
def _whole_or_not_at_all(output: Path) -> Iterator[Path]:
    """A folder beside the output, which takes its name when all went well and is removed otherwise."""
    parent = output.absolute().parent
    unfinished = parent / f".{output.absolute().name}.{os.getpid()}.tmp"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        unfinished.mkdir()
    except OSError as error:
        raise _not_written(output, error) from error
    try:
        yield unfinished
        unfinished.rename(output)
        descriptor = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _not_written(output, error) from error
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(unfinished)


def _not_written(output: Path, error: OSError) -> InputError:
    said = error.strerror or str(error)
    return InputError(f"{output}: cannot be written: {said}", hint="Name a new folder that can be made.")


def _load(unfinished: Path, output: Path) -> None:
    """Loads the folder as it will be loaded, while it can still be thrown away."""
    try:
        Predictor.load(unfinished)
    except ModelError as error:
        message = error.message.replace(str(unfinished), str(output))
        raise ModelError(message, hint=error.hint) from error
