"""Logistic regression by Newton's method, for models/churn-linear."""

from typing import Final

import numpy as np

from models.customers import INPUTS, KEY, Floats, Sample
from shared.frame import Frame
from shared.models.linear import Coefficients
from shared.models.numerics import sigmoid
from shared.schema import Schema

# Numbers are divided by these while fitting, so that all weights are of one size.
_SCALES: Final = {"SeniorCitizen": 1.0, "tenure": 72.0, "MonthlyCharges": 100.0, "TotalCharges": 5000.0}
# Keeps the weights of categories that always come together (no internet service) unique.
_RIDGE: Final = 1.0


def fit(sample: Sample) -> Coefficients:
    """The coefficients, rounded so that no machine's last digits show."""
    schema = Schema.model_validate({"key": KEY, "inputs": INPUTS})
    design, names = _design(schema, sample.frame)
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[0] = 0.0
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        probabilities = sigmoid(design @ beta)
        gradient = design.T @ (sample.churned - probabilities) - penalty * beta
        curvature = (design.T * (probabilities * (1 - probabilities))) @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        beta += step
        if np.abs(step).max() < 1e-12:
            break
    weights: dict[str, float | dict[str, float]] = {}
    for (name, value), weight in zip(names, beta.tolist(), strict=True):
        if value is None:
            weights[name] = round(weight / _SCALES.get(name, 1.0), 6)
        else:
            group = weights.setdefault(name, {})
            group[value] = round(weight, 4)  # type: ignore[index]  # only categories come with a value
    intercept = weights.pop("")
    return Coefficients.model_validate({"link": "logistic", "intercept": intercept, "weights": weights})


def _design(schema: Schema, frame: Frame) -> tuple[Floats, list[tuple[str, str | None]]]:
    """One column for the intercept, for each number, and for each category of each input."""
    columns: list[Floats] = [np.ones(frame.count)]
    names: list[tuple[str, str | None]] = [("", None)]
    for feature in schema.features:
        values = frame.columns[feature.name]
        if feature.type != "category":
            columns.append(values / _SCALES[feature.name])
            names.append((feature.name, None))
            continue
        for code, value in enumerate(feature.values or ()):
            columns.append((values == code).astype(np.float64))
            names.append((feature.name, value))
    return np.column_stack(columns), names
