"""A frame as the matrix that trees and neural networks take: one preprocessing, run on columns.

Both paths make the same frame, and this makes the same matrix of it, so that a model sees the same bits
whichever path a row came by. Numbers, integers and booleans pass through, categories become their place
in the declared values or a column of 0 and 1 for each of them.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import ModelError
from shared.frame import Column, Frame
from shared.models.base import Contributions, Floats
from shared.schema import Input, Schema

Matrix = npt.NDArray[Any]
#: Writes a frame's column into the columns of a matrix that are the input's.
_Write = Callable[[Column, Matrix], None]


class ValueTooLargeError(Exception):
    """A value is beyond the numbers that the model can take; its row is rejected.

    Args:
        name: The input's.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is beyond float32, which the model takes")


class FeatureMatrix:
    """Turns frames into matrices.

    Args:
        schema: The declared inputs.
        dtype: np.float32 or np.float64: what the model takes. Where float32 cannot hold a number exactly
            the nearest one that it can stands for it, as when the model was trained.

    Attributes:
        names: What each column is: the input's name, or `input=value` for a one-hot column.
        inputs: Which feature of the schema each column comes from, by its place among them.
        dtype: As given.

    Raises:
        ModelError: An input is a string, which is no number.
    """

    def __init__(self, schema: Schema, dtype: type[np.float32 | np.float64]) -> None:
        names: list[str] = []
        inputs: list[int] = []
        self._writers: list[tuple[str, int, int, _Write]] = []
        for place, feature in enumerate(schema.features):
            columns = _column_names(feature)
            start, stop = len(names), len(names) + len(columns)
            self._writers.append((feature.name, start, stop, _writer(feature, dtype)))
            names += columns
            inputs += [place] * len(columns)
        self.names: Final = tuple(names)
        self.inputs: Final = np.array(inputs, dtype=np.intp)
        self.dtype: Final = dtype
        self._schema = schema

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.names)

    def build(self, frame: Frame) -> Matrix:
        """The frame as a C-contiguous matrix of `dtype`, one row a row; NaN stands for a missing value.

        Raises:
            ValueTooLargeError: A number is beyond `dtype`.
        """
        matrix = np.empty((frame.count, self.width), dtype=self.dtype)
        name = ""
        try:
            # A number beyond float32 would become an infinity, which some models take for a number.
            with np.errstate(over="raise"):
                for name, start, stop, write in self._writers:
                    write(frame.columns[name], matrix[:, start:stop])
        except FloatingPointError as error:
            raise ValueTooLargeError(name) from error
        return matrix

    def contributions(self, by_column: Matrix, base: Matrix) -> Contributions:
        """Contributions of columns as contributions of inputs: a one-hot input's are added up.

        Args:
            by_column: One row a row and one column a column of the matrix.
            base: One value a row.
        """
        values: Floats = np.zeros((len(by_column), len(self._schema.features)))
        for column, place in enumerate(self.inputs.tolist()):
            values[:, place] += by_column[:, column]
        return Contributions(values, base.astype(np.float64))

    def check(self, count: int, names: Sequence[str] | None) -> None:
        """Compares the columns with what a model was trained on.

        Args:
            count: How many features the model takes.
            names: What it calls them, in order; None when it does not say. Of a one-hot column
                `input=value` and `input_value` are the same, and a space is the same as `_`.

        Raises:
            ModelError: They differ; with the input at fault and what the model expects.
        """
        listed = f": {', '.join(names)}" if names else ""
        if count != self.width:
            raise ModelError(
                f"inputs: they make {self.width} columns, but the model was trained on {count}",
                hint=f"Declare what it was trained on, in its order{listed}.",
            )
        for column, (ours, theirs) in enumerate(zip(self.names, names or self.names, strict=True)):
            feature = self._schema.features[self.inputs[column]]
            if _plain(theirs, feature.name) != _plain(ours, feature.name):
                raise ModelError(
                    f"inputs: column {column} is {ours!r}, but the model was trained on {theirs!r} there",
                    hint=f"Declare the inputs in the order that it was trained on{listed}.",
                )

    def check_categories(self, column: int, values: Sequence[object] | None) -> None:
        """Compares the input behind a column with one that a model splits by category.

        Args:
            column: The column that it splits so.
            values: The categories that it was trained on, in the order of their codes; None when unknown.

        Raises:
            ModelError: The input is no ordinal category, or its values are not these.
        """
        feature = self._schema.features[self.inputs[column]]
        listed = f" with the values {json.dumps(values, ensure_ascii=False)}" if values is not None else ""
        if feature.type != "category" or feature.encoding == "one-hot":
            raise ModelError(
                f"input {feature.name!r} is split by category in the model, but is not declared as one",
                hint=f"Declare it as an ordinal category{listed}.",
            )
        if values is not None and list(feature.values or ()) != list(values):
            raise ModelError(
                f"input {feature.name!r} has other values, or in another order, than the model has",
                hint=f"Declare it{listed}.",
            )


def _plain(column: str, name: str) -> str:
    """A column's name as all libraries would spell it."""
    if column.startswith(name + "="):
        column = f"{name}_{column[len(name) + 1 :]}"
    return re.sub(r"\s", "_", column)


def _column_names(feature: Input) -> list[str]:
    if feature.encoding == "one-hot":
        return [f"{feature.name}={value}" for value in feature.values or ()]
    return [feature.name]


def _writer(feature: Input, dtype: type[np.float32 | np.float64]) -> _Write:
    if feature.type == "string":
        raise ModelError(
            f"input {feature.name!r} is a string, which is no number",
            hint="Declare it as a category with its values.",
        )
    if feature.type != "category":
        return _write_numbers
    if feature.encoding == "one-hot":
        return _write_one_hot
    # MISSING_CODE and UNKNOWN_CODE are negative, and so the last two entries.
    return _Places(np.array([*range(len(feature.values or ())), np.nan, np.nan], dtype=dtype))


def _write_numbers(column: Column, into: Matrix) -> None:
    into[:, 0] = column


def _write_one_hot(column: Column, into: Matrix) -> None:
    into[...] = 0
    rows = np.flatnonzero(column >= 0)
    into[rows, column[rows]] = 1


class _Places:
    """Writes a category's place; of a missing one NaN."""

    def __init__(self, places: Matrix) -> None:
        self._places = places

    def __call__(self, column: Column, into: Matrix) -> None:
        into[:, 0] = self._places[column]
