"""MLflow model folders: MLmodel is read as plain YAML, and the booster or graph that it names. No mlflow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batch.model.importing.artifact import (
    SAVE_LIGHTGBM,
    SAVE_SKLEARN,
    WAY_OUT,
    Artifact,
    read_artifact,
    refuse_by_content,
)
from batch.model.importing.inputs import Field
from shared.errors import ModelError
from shared.models.libraries import library
from shared.schema import InputType

MLMODEL: Final = "MLmodel"
_MOST_BYTES: Final = 16 * 1024 * 1024
#: The flavours that are imported, with the field that names their library's version.
_FLAVORS: Final = {"xgboost": "xgb_version", "lightgbm": "lgb_version", "onnx": "onnx_version"}
#: Where older versions of MLflow put what a flavour does not name.
_USUAL_FILES: Final = {"xgboost": "model.xgb", "lightgbm": "model.lgb", "onnx": "model.onnx"}
_TYPES: Final[Mapping[str, InputType | None]] = {
    "boolean": "boolean",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "string": "string",
    "any": None,
}
#: What MLmodel says beside the flavour, for the provenance.
_IDENTITY: Final = ("run_id", "model_uuid", "model_id", "mlflow_version", "utc_time_created")


@dataclass(frozen=True, slots=True)
class MlflowFolder:
    """An MLflow model folder.

    Attributes:
        artifact: The trained model's file.
        fields: The columns of the signature; None without one, or with one of unnamed tensors.
        provenance: What MLmodel says about where the model comes from.
    """

    artifact: Artifact
    fields: tuple[Field, ...] | None
    provenance: Mapping[str, str]


def is_mlflow(path: Path) -> bool:
    """Whether a path is an MLflow model folder, or its MLmodel file."""
    return (path / MLMODEL).is_file() or (path.name == MLMODEL and path.is_file())


def read_folder(path: Path) -> MlflowFolder:
    """Reads an MLflow model folder.

    Raises:
        ModelError: It is damaged, its flavour is not one that can be imported, or its model is a pickle.
    """
    folder = path.parent if path.name == MLMODEL else path
    content = _read_mlmodel(folder / MLMODEL)
    flavors = content.get("flavors")
    if not isinstance(flavors, dict):
        raise _damaged(folder, "it lists no flavors")
    name = next((flavor for flavor in _FLAVORS if isinstance(flavors.get(flavor), dict)), None)
    if name is None:
        raise _refused_flavor(folder, flavors)
    flavor = flavors[name]
    artifact = _read_flavor(folder, name, flavor)
    provenance = {"source": f"MLflow model folder {folder.resolve().name}", "flavor": name}
    version = flavor.get(_FLAVORS[name])
    if version:
        provenance["trained with"] = f"{name} {version}"
    if flavor.get("model_class"):
        provenance["model class"] = str(flavor["model_class"])
    for item in _IDENTITY:
        if content.get(item):
            provenance[f"mlflow {item.removeprefix('mlflow_')}"] = str(content[item])
    return MlflowFolder(artifact, _read_signature(folder, content.get("signature")), provenance)


def _read_mlmodel(path: Path) -> dict[str, Any]:
    yaml = library("yaml", extra="mlflow")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _damaged(path.parent, f"it is larger than {_MOST_BYTES // 1024 // 1024} MiB")
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror}", hint="See that it may be read."
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _damaged(path.parent, "it is not YAML") from error
    if not isinstance(content, dict):
        raise _damaged(path.parent, "it is not a YAML mapping")
    return content


def _read_flavor(folder: Path, name: str, flavor: Mapping[str, Any]) -> Artifact:
    data = flavor.get("data", _USUAL_FILES[name])
    path = folder / str(data)
    # A folder from elsewhere must not name a file outside of it.
    if not isinstance(data, str) or not path.resolve().is_relative_to(folder.resolve()):
        raise _damaged(folder, f"its {name} flavor names the file {data!r}, which is not inside the folder")
    if name == "lightgbm" and path.suffix.lower() in (".pkl", ".skops"):
        raise ModelError(
            f"{path}: MLflow keeps a {flavor.get('model_class', 'LGBMModel')} as a pickle or skops file,"
            " which rebuilds Python objects and is never loaded",
            hint="Log its booster instead: mlflow.lightgbm.log_model(model.booster_, ...); or save it:"
            f" {SAVE_LIGHTGBM}.",
        )
    artifact = read_artifact(path)
    if artifact.kind != name:
        raise _damaged(folder, f"its {name} flavor names {data}, which is a file of {artifact.kind}")
    return artifact


def _refused_flavor(folder: Path, flavors: Mapping[str, Any]) -> ModelError:
    found = [name for name in flavors if name != "python_function"]
    said = ", ".join(map(str, found)) or "python_function alone, which is Python code"
    hint = WAY_OUT
    if "sklearn" in found:
        hint = f"MLflow keeps scikit-learn models as pickles. Where it was trained: {SAVE_SKLEARN}."
    for flavor in flavors.values():
        data = flavor.get("data") or flavor.get("pickled_model") if isinstance(flavor, dict) else None
        if isinstance(data, str) and "sklearn" not in found:
            refuse_by_content(Path(folder.name) / data, b"")
    return ModelError(
        f"{folder}: an MLflow model of flavor {said}; only {', '.join(_FLAVORS)} are imported", hint=hint
    )


def _read_signature(folder: Path, signature: object) -> tuple[Field, ...] | None:
    if not isinstance(signature, dict) or not signature.get("inputs"):
        return None
    try:
        columns = json.loads(signature["inputs"])
    except (TypeError, ValueError) as error:
        raise _damaged(folder, "the signature's inputs are not JSON") from error
    if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
        raise _damaged(folder, "the signature's inputs are not a list of columns")
    if any("tensor-spec" in column or "name" not in column for column in columns):
        # Tensors say how many columns there are at best, not what they are called.
        return None
    return tuple(_field(folder, column) for column in columns)


def _field(folder: Path, column: Mapping[str, Any]) -> Field:
    name, kind = str(column["name"]), column.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ModelError(
            f"{folder}: the signature's column {name!r} is a {kind}, which no input is",
            hint=f"Types that are: {', '.join(_TYPES)}. Make a number or a text of it before training.",
        )
    required = column.get("required", not column.get("optional", False))
    return Field(name, _TYPES[kind], bool(required))


def _damaged(folder: Path, what: str) -> ModelError:
    return ModelError(
        f"{folder / MLMODEL}: the file is damaged: {what}", hint="Save or download the model folder again."
    )
