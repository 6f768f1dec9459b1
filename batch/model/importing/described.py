"""What a trained model's file says of itself: its columns, categories and objective."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from batch.model.importing.artifact import Artifact
from shared.errors import ModelError
from shared.models.libraries import first_line, library
from shared.models.lightgbm_file import read_text
from shared.models.xgboost_file import check_file
from shared.schema import InputType


@dataclass(frozen=True, slots=True)
class Described:
    """What an artifact says of itself.

    Attributes:
        names: The columns that the model takes, in its order; None when it only knows how many.
        width: How many columns it takes; None when that is not said.
        types: By column, what the artifact says it holds: `category` is a column of codes, `string` of texts.
        categories: By column, its values in the order of their codes.
        objective: What the model was trained for, in its library's words.
        probability: Whether the score is the probability of one of two classes.
        versions: Of the libraries that made it or read it, for the provenance.
    """

    names: tuple[str, ...] | None
    width: int | None
    types: Mapping[str, InputType] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    objective: str = ""
    probability: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)


def describe(artifact: Artifact) -> Described:
    """Reads what an artifact says of itself.

    Raises:
        ModelError: Its library is not installed, it is damaged, or its categories cannot be declared.
    """
    return _READERS[artifact.kind](artifact)


def _xgboost(artifact: Artifact) -> Described:
    xgboost = library("xgboost", extra="xgboost")
    try:
        check_file(artifact.content)
        booster = xgboost.Booster(model_file=bytearray(artifact.content))
        config = json.loads(booster.save_config())
        # Categories are kept in the file since XGBoost 3.1.
        arrays = booster.get_categories(export_to_arrow=True).to_arrow() if _keeps_categories(booster) else []
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise _damaged(artifact, error) from error
    names = booster.feature_names
    types: Sequence[str] = booster.feature_types or ()
    objective = config["learner"]["objective"]["name"]
    return Described(
        names=None if names is None else tuple(names),
        width=booster.num_features(),
        types={
            name: _XGBOOST_TYPES.get(kind, "number") for name, kind in zip(names or (), types, strict=False)
        },
        categories={name: tuple(array.to_pylist()) for name, array in arrays or () if _is_text(array)},
        objective=objective,
        probability=objective == "binary:logistic",
        versions={"read by": f"xgboost {xgboost.__version__}"},
    )


#: XGBoost calls a column of int8 to int64 `int`, a boolean `i` (an indicator), a category `c`.
_XGBOOST_TYPES: Final[Mapping[str, InputType]] = {"int": "integer", "i": "boolean", "c": "category"}


def _keeps_categories(booster: Any) -> bool:
    return hasattr(booster, "get_categories") and "c" in (booster.feature_types or ())


def _is_text(array: Any) -> bool:
    return array is not None and (pa.types.is_string(array.type) or pa.types.is_large_string(array.type))


_NUMBERED: Final = re.compile(r"Column_\d+")


def _lightgbm(artifact: Artifact) -> Described:
    try:
        model = read_text(artifact.content)
    except ValueError as error:
        raise _damaged(artifact, error) from error
    header, categories = model.header, model.values()
    names = tuple(header["feature_names"].split(" "))
    objective = header.get("objective", "")
    numbered = all(map(_NUMBERED.fullmatch, names))
    return Described(
        names=None if numbered else names,
        width=len(names),
        types=dict.fromkeys((names[place] for place in categories), "category"),
        categories={
            names[place]: tuple(map(str, known))
            for place, known in categories.items()
            if known is not None and all(isinstance(value, str) for value in known)
        },
        objective=objective,
        probability=objective.split(" ")[0] in ("binary", "cross_entropy"),
        versions={"read by": f"lightgbm {library('lightgbm', extra='lightgbm').__version__}"},
    )


def _damaged(artifact: Artifact, error: Exception) -> ModelError:
    return ModelError(
        f"{artifact.path}: the file is damaged: {first_line(error)}", hint="Save the model again."
    )


def _onnx(artifact: Artifact) -> Described:
    onnx = library("onnx", extra="onnx")
    try:
        model = onnx.ModelProto.FromString(artifact.content)
    except Exception as error:  # protobuf's own errors have no common base among its versions
        raise _damaged(artifact, error) from error
    graph = model.graph
    constants = {item.name for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    kinds = [_ONNX_TYPES.get(item.type.tensor_type.elem_type) for item in inputs]
    shapes = [[axis.dim_value for axis in item.type.tensor_type.shape.dim] for item in inputs]
    matrix = len(inputs) == 1 and kinds[0] == "number"
    outputs = [[axis.dim_value for axis in item.type.tensor_type.shape.dim] for item in graph.output]
    made_by = f"{model.producer_name} {model.producer_version}".strip()
    return Described(
        names=None if matrix else tuple(item.name for item in inputs),
        width=(shapes[0][1] or None if len(shapes[0]) == 2 else None) if matrix else len(inputs),
        types={} if matrix else {item.name: kind for item, kind in zip(inputs, kinds, strict=True) if kind},
        objective=", ".join(dict.fromkeys(node.op_type for node in graph.node)),
        probability=any(len(shape) == 2 and shape[1] == 2 for shape in outputs),
        versions={
            "read by": f"onnx {onnx.__version__}",
            **({"converted by": made_by} if made_by else {}),
        },
    )


#: By onnx.TensorProto.DataType: float, int32, int64, string, bool, double.
_ONNX_TYPES: Final[Mapping[int, InputType]] = {
    1: "number",
    6: "integer",
    7: "integer",
    8: "string",
    9: "boolean",
    11: "number",
}
_READERS: Final[Mapping[str, Callable[[Artifact], Described]]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "onnx": _onnx,
}
