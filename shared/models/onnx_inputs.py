"""How a frame becomes the inputs of an ONNX graph: one matrix, or a tensor for each declared input."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from shared.errors import ModelError
from shared.frame import Column, Frame
from shared.models.features import FeatureMatrix, ValueTooLargeError
from shared.schema import Input, Schema

#: Makes what the graph is fed with.
Feed = Callable[[Frame], dict[str, npt.NDArray[Any]]]
_MATRIX_TYPES: Final[dict[str, type[np.float32 | np.float64]]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}
#: What a tensor of the graph may hold, by the type of the declared input.
_TENSOR_TYPES: Final = {
    "number": ("tensor(float)", "tensor(double)"),
    "integer": ("tensor(int64)", "tensor(float)", "tensor(double)"),
    "boolean": ("tensor(bool)", "tensor(int64)", "tensor(float)", "tensor(double)"),
    "category": ("tensor(string)", "tensor(int64)", "tensor(float)", "tensor(double)"),
    "string": ("tensor(string)",),
}


class GraphInput(Protocol):
    """What onnxruntime says of an input.

    Attributes:
        name: Its name.
        type: As `tensor(float)`.
        shape: Its dimensions: a number, or a text or None for one that is left open.
    """

    name: str
    type: str
    shape: list[Any]


def plan_inputs(schema: Schema, inputs: list[GraphInput]) -> Feed:
    """Matches a graph's inputs with the declared ones.

    Args:
        schema: The declared inputs.
        inputs: The graph's.

    Raises:
        ModelError: They do not fit; with the input at fault and what to declare.
    """
    for item in inputs:
        rows = item.shape[0] if item.shape else 0
        if isinstance(rows, int) and rows != 1:
            raise ModelError(
                f"graph input {item.name!r} has the shape {item.shape}, which is no number of rows",
                hint="Export the graph with an open first dimension, [None, width].",
            )
    names = {feature.name for feature in schema.features}
    if len(inputs) == 1 and inputs[0].name not in names and inputs[0].type in _MATRIX_TYPES:
        return _one_matrix(schema, inputs[0])
    odd = sorted(names.symmetric_difference(item.name for item in inputs))
    if odd:
        wrong = "is not an input of the graph" if odd[0] in names else "is not declared"
        listed = ", ".join(f"{item.name} ({item.type})" for item in inputs)
        raise ModelError(
            f"input {odd[0]!r} {wrong}",
            hint=f"Declare what the graph takes: {listed}; or give it one tensor of floats for all of them.",
        )
    by_name = {feature.name: feature for feature in schema.features}
    feeds = [_Tensor(by_name[item.name], item) for item in inputs]
    return lambda frame: {feed.name: feed(frame.columns[feed.name]) for feed in feeds}


def _one_matrix(schema: Schema, item: GraphInput) -> Feed:
    matrix = FeatureMatrix(schema, _MATRIX_TYPES[item.type])
    if len(item.shape) != 2:
        raise ModelError(
            f"graph input {item.name!r} has the shape {item.shape}, not [rows, width]",
            hint="Export the graph with one row of numbers a row.",
        )
    if isinstance(item.shape[1], int):
        matrix.check(item.shape[1], None)
    return lambda frame: {item.name: matrix.build(frame)}


class _Tensor:
    """Makes one tensor of one declared input."""

    def __init__(self, feature: Input, item: GraphInput) -> None:
        self.name = feature.name
        self._type = item.type
        # [rows, 1], or [rows].
        self._shape = (-1, 1) if len(item.shape) == 2 else (-1,)
        _check_tensor(feature, item)
        texts = np.array(feature.values or (), dtype=object)
        self._texts = texts if feature.type == "category" and item.type == "tensor(string)" else None
        # A missing category's code is negative.
        self._ordinal = feature.type == "category" and item.type in _MATRIX_TYPES

    def __call__(self, column: Column) -> npt.NDArray[Any]:
        return np.ascontiguousarray(self._typed(column).reshape(self._shape))

    def _typed(self, column: Column) -> npt.NDArray[Any]:
        if self._texts is not None:
            return self._texts[column]
        match self._type:
            case "tensor(string)":
                return column
            case "tensor(int64)":
                return column.astype(np.int64)
            case "tensor(bool)":
                return column.astype(np.bool_)
            case _:
                if self._ordinal:
                    column = np.where(column < 0, np.nan, column)
                try:
                    with np.errstate(over="raise"):
                        return column.astype(_MATRIX_TYPES[self._type])
                except FloatingPointError as error:
                    raise ValueTooLargeError(self.name) from error


def _check_tensor(feature: Input, item: GraphInput) -> None:
    if item.type not in _TENSOR_TYPES[feature.type]:
        fitting = [name for name, types in _TENSOR_TYPES.items() if item.type in types]
        raise ModelError(
            f"input {feature.name!r} is a {feature.type}, but the graph takes a {item.type} there",
            hint=f"Declare it as: {' or '.join(fitting)}." if fitting else "No declared type is that.",
        )
    if len(item.shape) not in (1, 2) or (len(item.shape) == 2 and item.shape[1] not in (1, None)):
        raise ModelError(
            f"graph input {item.name!r} has the shape {item.shape}, not [rows, 1] or [rows]",
            hint="Export the graph with one value a row in each named input.",
        )
    if feature.encoding == "one-hot":
        raise ModelError(
            f"input {feature.name!r} is one-hot, but the graph takes it as one value",
            hint="Leave its encoding out: the graph encodes it.",
        )
    if feature.missing == "nan" and item.type not in _MATRIX_TYPES:
        raise ModelError(
            f"input {feature.name!r} may be missing, but the graph takes a {item.type}, which has no nan",
            hint="Give it a default, or let a missing value reject the row.",
        )
