"""Small model directories for the tests."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.models.directory import read_model
from shared.predict import Predictor

Event = Mapping[str, Any]

#: One input of each type that a linear model can weigh, one of them with a default.
INPUTS: tuple[dict[str, Any], ...] = (
    {"name": "tenure", "type": "integer", "minimum": 0, "maximum": 1200},
    {"name": "charges", "type": "number", "default": 20.5},
    {"name": "partner", "type": "boolean"},
    {"name": "contract", "type": "category", "values": ["monthly", "yearly", "é"]},
)
WEIGHTS: dict[str, Any] = {
    "tenure": -0.0373,
    "charges": 0.0217,
    "partner": -0.31,
    "contract": {"monthly": 0.76, "yearly": -0.013, "é": 0.1},
}
GOLDEN: tuple[Event, ...] = (
    {"customer_id": 1, "tenure": 3, "charges": 70.35, "partner": True, "contract": "monthly"},
    {"customer_id": "b", "tenure": 1200, "partner": False, "contract": "é"},
)


def threshold_model(directory: Path, **changes: Any) -> Path:
    """The lesson's model: decision `churn`, threshold 0.6; `changes` replace parts of the declaration."""
    declaration = {
        "name": "threshold",
        "version": "1",
        "kind": "threshold",
        "inputs": [{"name": "customer_id", "type": "integer"}, {"name": "feature", "type": "number"}],
        "threshold": 0.6,
        "outputs": {"decision": "churn"},
    }
    return write_model(directory, declaration | changes, golden=[{"customer_id": 101, "feature": 0.2}])


def linear_model(
    directory: Path,
    *,
    inputs: Sequence[Mapping[str, Any]] = INPUTS,
    weights: Mapping[str, Any] = WEIGHTS,
    intercept: float = -0.38,
    link: str = "logistic",
    golden: Sequence[Event] = GOLDEN,
    **changes: Any,
) -> Path:
    """A linear model, over INPUTS with WEIGHTS unless said otherwise."""
    declaration = {
        "name": "linear",
        "version": "2",
        "kind": "linear",
        "inputs": list(inputs),
        "threshold": 0.5,
        "artifact": {"file": "coefficients.json"},
    }
    coefficients = {"link": link, "intercept": intercept, "weights": weights}
    return write_model(directory, declaration | changes, json.dumps(coefficients).encode(), golden)


def write_model(
    directory: Path,
    declaration: Mapping[str, Any],
    artifact: bytes | None = None,
    golden: Sequence[Event] = (),
) -> Path:
    """Writes a model directory.

    Args:
        directory: Made when it is not there.
        declaration: The content of model.json; an artifact's sha256 is filled in.
        artifact: The bytes of the file that the declaration names.
        golden: Events that become the golden rows, with the scores that the model gives them.

    Returns:
        The directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = dict(declaration)
    if artifact is not None:
        content["artifact"] = dict(content["artifact"])
        content["artifact"].setdefault("sha256", hashlib.sha256(artifact).hexdigest())
        (directory / content["artifact"]["file"]).write_bytes(artifact)
    if golden:
        content["golden"] = [{"event": event, "score": 0.0} for event in golden]
        _write(directory, content)
        predictor = Predictor(read_model(directory))
        scores = [predictor.score_one(event).scores.tolist()[0] for event in golden]
        content["golden"] = [
            {"event": event, "score": score} for event, score in zip(golden, scores, strict=True)
        ]
    _write(directory, content)
    return directory


def change_model(directory: Path, **changes: Any) -> Path:
    """Replaces parts of a model's declaration; its artifact and golden rows stay."""
    content = json.loads((directory / "model.json").read_bytes())
    _write(directory, content | changes)
    return directory


def _write(directory: Path, content: Mapping[str, Any]) -> None:
    (directory / "model.json").write_text(json.dumps(content), encoding="utf-8")
