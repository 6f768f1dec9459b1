"""Linear and logistic regression, summed column by column in the declared order."""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import ModelError
from shared.frame import Column, Frame
from shared.models.base import Contributions, Floats, Scorer
from shared.models.numerics import sigmoid
from shared.schema import Input, Schema

Weight = Annotated[float, Field(allow_inf_nan=False)]


class Coefficients(BaseModel):
    """The artifact of a linear model, as JSON.

    Attributes:
        link: `logistic` puts the sum through a sigmoid; `identity` leaves it.
        intercept: The sum's start.
        weights: By input: a number, or for a category one number for each of its values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    link: Literal["logistic", "identity"]
    intercept: Weight
    weights: dict[str, Weight | dict[str, Weight]]


class LinearScorer(Scorer):
    """intercept + w1 * x1 + w2 * x2 + ..., in the order in which the inputs are declared."""

    kind: ClassVar[str] = "linear"
    needs_artifact: ClassVar[bool] = True

    def __init__(self, schema: Schema, coefficients: Coefficients) -> None:
        self._logistic = coefficients.link == "logistic"
        self._intercept = coefficients.intercept
        # A number's weight, or a category's weights by code.
        self._terms: list[tuple[str, float | Floats]] = []
        for feature in schema.features:
            weight = coefficients.weights[feature.name]
            if isinstance(weight, dict):
                self._terms.append((feature.name, np.array([weight[v] for v in feature.values or ()])))
            else:
                self._terms.append((feature.name, weight))

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> Self:
        """Reads the coefficients; every input must have its weights, and no other may."""
        try:
            coefficients = Coefficients.model_validate_json(artifact)
        except ValidationError as error:
            # Of a weight's two forms, the complaint about the one that came further; its name is left out.
            deepest = max(error.errors(include_url=False), key=lambda problem: len(problem["loc"]))
            loc = deepest["loc"]
            place = ".".join(map(str, loc[:2] + loc[3:])) or "the file"
            raise ModelError(f"the coefficients are damaged at {place}: {deepest['msg']}") from error
        declared = {feature.name for feature in schema.features}
        odd = declared.symmetric_difference(coefficients.weights)
        if odd:
            name = min(odd)
            missing = "has no weight" if name in declared else "has a weight but is not declared"
            raise ModelError(f"input {name!r} {missing}", hint="Give each declared input its weight.")
        for feature in schema.features:
            _check_weight(feature, coefficients.weights[feature.name])
        return cls(schema, coefficients)

    def raw(self, frame: Frame) -> Floats:
        """The sum: the log-odds of a logistic model."""
        total = np.full(frame.count, self._intercept)
        # A sum beyond float64 is a score like any other, or no number and rejected; not a warning.
        with np.errstate(over="ignore", invalid="ignore"):
            for name, weight in self._terms:
                # One multiplication and one addition a term, in a fixed order: no BLAS, whose order varies.
                total += _term(frame.columns[name], weight)
        return total

    def link(self, raw: Floats) -> Floats:
        """The sum, through a sigmoid when the model is logistic."""
        return sigmoid(raw) if self._logistic else raw

    def explain(self, frame: Frame) -> Contributions:
        """The terms of the sum, exactly: added to the intercept in declared order they are the raw score."""
        values = np.empty((frame.count, len(self._terms)))
        with np.errstate(over="ignore", invalid="ignore"):
            for place, (name, weight) in enumerate(self._terms):
                values[:, place] = _term(frame.columns[name], weight)
        return Contributions(values, np.full(frame.count, self._intercept))


def _term(column: Column, weight: float | Floats) -> Floats:
    term: Floats = column * weight if isinstance(weight, float) else weight[column]
    return term


def _check_weight(feature: Input, weight: float | dict[str, float]) -> None:
    if feature.missing == "nan":
        raise ModelError(
            f"input {feature.name!r} may be missing, and a linear model has no weight for that",
            hint="Give it a default, or let a missing value reject the row.",
        )
    if feature.type == "string":
        raise ModelError(
            f"input {feature.name!r} is a string, which a linear model cannot weigh",
            hint="Declare it as a category with its values.",
        )
    if feature.type == "category":
        if not isinstance(weight, dict) or set(weight) != set(feature.values or ()):
            raise ModelError(f"input {feature.name!r} needs one weight for each of its categories")
    elif isinstance(weight, dict):
        raise ModelError(f"input {feature.name!r} is no category and needs one number as its weight")
