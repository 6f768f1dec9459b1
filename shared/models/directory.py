"""The model directory: model.json, which declares everything, and the artifact that it names.

Loading checks the artifact's hash and the declaration; shared/predict.py then scores the golden rows
before the model may be used. Nothing is ever unpickled.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.errors import ModelError
from shared.models.base import Scorer
from shared.models.lightgbm_trees import LightGBMScorer
from shared.models.linear import LinearScorer
from shared.models.onnx_graph import OnnxScorer
from shared.models.threshold import ThresholdScorer
from shared.models.xgboost_trees import XGBoostScorer
from shared.schema import FieldName, Schema

KINDS: Final[dict[str, type[Scorer]]] = {
    kind.kind: kind
    for kind in (
        ThresholdScorer,
        LinearScorer,
        XGBoostScorer,
        LightGBMScorer,
        OnnxScorer,
    )
}

MODEL_FILE: Final = "model.json"
_PICKLES: Final = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
#: Fields of a prediction that the decision's own name must not hide.
RESERVED_OUTPUTS: Final = frozenset(
    {
        "prediction_id",
        "customer_id",
        "event_id",
        "score",
        "base",
        "contributions",
        "threshold",
        "model",
        "model_sha256",
        "position",
    }
)


class Artifact(BaseModel):
    """The file that holds what was learnt.

    Attributes:
        file: Its name inside the model directory.
        sha256: The hex digest that its bytes must have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        if file in ("", ".", "..") or not file.isprintable() or "/" in file or "\\" in file:
            raise ValueError("must be the name of a file inside the model directory, not a path")
        if file == MODEL_FILE:
            raise ValueError("cannot be the declaration itself; rename the artifact")
        return file


class GoldenRow(BaseModel):
    """One event and the exact score that the model must give it.

    Attributes:
        event: The event, as JSON.
        score: The expected float64, to the bit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    event: dict[str, Any]
    score: float


class Outputs(BaseModel):
    """The names that predictions carry.

    Attributes:
        decision: The field that says whether the score is above the threshold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    decision: str = Field(default="decision", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    @model_validator(mode="after")
    def _free(self) -> Self:
        if self.decision in RESERVED_OUTPUTS:
            raise ValueError(f"{self.decision!r} is a field of every prediction; choose another name")
        return self


class Execution(BaseModel):
    """How the model is run.

    Attributes:
        rows: `any` number of rows together; or `one` at a time, for a model that does not give a row the
            same bits beside any others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: Literal["any", "one"] = "any"


class Declaration(BaseModel):
    """The content of model.json.

    Attributes:
        name: The model's name.
        version: Its version; `name@version` stands on every prediction.
        kind: One of KINDS.
        description: For people.
        key: The input that holds the customer's id.
        strict: Whether unknown fields reject an event.
        inputs: The declared inputs.
        threshold: A score strictly above it makes the decision true.
        outputs: The names that predictions carry.
        artifact: The file that holds what was learnt, for kinds that have one.
        execution: How it is run.
        provenance: Where it comes from and the versions of what made it, for people.
        golden: Events with their exact scores, checked at every load.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)
    kind: str
    description: str = ""
    key: FieldName = "customer_id"
    strict: bool = False
    inputs: tuple[dict[str, Any], ...]
    threshold: float = Field(allow_inf_nan=False)
    outputs: Outputs = Outputs()
    artifact: Artifact | None = None
    execution: Execution = Execution()
    provenance: dict[str, str] = Field(default_factory=dict)
    golden: tuple[GoldenRow, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model.

    Attributes:
        declaration: What model.json says.
        schema: The declared inputs.
        scorer: Turns frames into scores.
        sha256: Identifies everything that a prediction depends on: the hash of the declaration without
            its golden rows, description and provenance, the artifact's hash included.
    """

    declaration: Declaration
    schema: Schema
    scorer: Scorer
    sha256: str

    @property
    def id(self) -> str:
        """`name@version`, as it stands on predictions."""
        return f"{self.declaration.name}@{self.declaration.version}"

    @property
    def short_sha256(self) -> str:
        """The 12 hex digits that stand on predictions."""
        return self.sha256[:12]

    @property
    def threshold(self) -> float:
        """A score strictly above it makes the decision true."""
        return self.declaration.threshold

    @property
    def decision_name(self) -> str:
        """The field of a prediction that says whether the score is above the threshold."""
        return self.declaration.outputs.decision


def read_model(directory: Path, *, certifying: bool = False) -> Model:
    """Reads and checks a model directory, all but its golden rows (Predictor.load does those too).

    Args:
        directory: The model directory.
        certifying: Whether a model may pass that must be run one row at a time and does not declare it:
            certifying it finds that out and writes it down.

    Raises:
        ModelError: With the file or field at fault and what to do.
    """
    path = directory / MODEL_FILE
    declaration, schema = read_declared(directory)
    kind = KINDS.get(declaration.kind)
    if kind is None:
        raise ModelError(
            f"{path}: kind {declaration.kind!r} is unknown", hint=f"Known kinds: {', '.join(KINDS)}."
        )
    try:
        scorer = kind.load(schema, _read_artifact(directory, declaration, kind))
        if not certifying:
            _check_execution(declaration, scorer)
    except ValidationError as error:
        raise ModelError(f"{path}: {first_problem(error)}", hint="Correct the declaration.") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from error
    return Model(declaration, schema, scorer, digest(declaration))


def read_declared(directory: Path) -> tuple[Declaration, Schema]:
    """What model.json says, and the inputs that it declares; nothing else is read.

    Args:
        directory: The model directory.

    Raises:
        ModelError: With the file or field at fault and what to do.
    """
    path = directory / MODEL_FILE
    declaration = _read_declaration(path)
    try:
        schema = Schema.model_validate(
            {"key": declaration.key, "inputs": declaration.inputs, "strict": declaration.strict}
        )
    except ValidationError as error:
        raise ModelError(f"{path}: {first_problem(error)}", hint="Correct the declaration.") from error
    return declaration, schema


def digest(declaration: Declaration) -> str:
    """The sha256 of everything that a prediction depends on, as 64 hex digits."""
    essence = declaration.model_dump(mode="json", exclude={"golden", "description", "provenance"})
    if declaration.execution == Execution():
        # Left out where nothing is said, so that the hash of a model is the one from before it could be.
        del essence["execution"]
    return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()


def first_problem(error: ValidationError) -> str:
    """The first of pydantic's complaints as `field: what is wrong`."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _read_declaration(path: Path) -> Declaration:
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        hint = f"A model is a directory with a {MODEL_FILE}; see docs/models.md."
        if path.parent.is_file() or path.parent.suffix.lower() in _PICKLES:
            hint = "Give the model's directory, not a file. Pickles are never loaded: they can run any code."
        raise ModelError(f"{path.parent}: no {MODEL_FILE} found there", hint=hint) from None
    except OSError as error:
        hint = "Give the model's directory, and see that it can be read."
        raise ModelError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    try:
        return Declaration.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(f"{path}: {first_problem(error)}", hint="Correct the declaration.") from error


def _check_execution(declaration: Declaration, scorer: Scorer) -> None:
    if scorer.unstable and declaration.execution.rows != "one":
        raise ModelError(
            f"execution.rows: {scorer.unstable}, so that a score could depend on the rows scored beside it",
            hint='Declare "execution": {"rows": "one"} to score the rows one at a time, which takes longer;'
            " python -m batch model certify does so.",
        )


def _read_artifact(directory: Path, declaration: Declaration, kind: type[Scorer]) -> bytes:
    artifact = declaration.artifact
    if artifact is None:
        if kind.needs_artifact:
            raise ModelError(f"artifact: a {kind.kind} model needs one", hint="Name its file and sha256.")
        return b""
    if not kind.needs_artifact:
        raise ModelError(f"artifact: a {kind.kind} model has none", hint="Remove the field.")
    path = directory / artifact.file
    if path.suffix.lower() in _PICKLES:
        raise ModelError(
            f"artifact: {artifact.file} is a pickle, which can run any code when it is loaded",
            hint="Save the model in its library's own format.",
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"artifact: {path} cannot be read: {error.strerror}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != artifact.sha256:
        raise ModelError(
            f"artifact: {path} has the sha256 {actual}, but {MODEL_FILE} says {artifact.sha256}",
            hint="The file was changed or damaged: restore it, or declare it as a new version.",
        )
    return content
