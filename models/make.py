# ruff: noqa: INP001 - a script among data, not a package
"""Makes models/churn: fits a linear model to made-up customers and writes the model directory.

Run it as `python models/make.py`. It writes the same bytes every time and on every machine: the rows come
from fixed seeds, and the weights are rounded.
"""

import hashlib
import itertools
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from producer.generate import CHURN_WEIGHTS, Customer, churn_customers
from shared.events import EventParser
from shared.frame import Frame
from shared.models.linear import Coefficients, LinearScorer
from shared.models.numerics import sigmoid
from shared.schema import Schema

Floats = npt.NDArray[np.float64]

FOLDER: Final = Path(__file__).resolve().parent / "churn"
FIT_SEED: Final = 1
HELD_OUT_SEED: Final = 2
GOLDEN_SEED: Final = 3
FIT_ROWS: Final = 40_000
HELD_OUT_ROWS: Final = 20_000
GOLDEN_ROWS: Final = 20
THRESHOLD: Final = 0.5

_INTERNET: Final = ("Yes", "No", "No internet service")
INPUTS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "customerID", "type": "string", "description": "The customer's id"},
    {"name": "gender", "type": "category", "values": ("Female", "Male")},
    {"name": "SeniorCitizen", "type": "integer", "minimum": 0, "maximum": 1, "description": "1 from 65 on"},
    {"name": "Partner", "type": "category", "values": ("Yes", "No")},
    {"name": "Dependents", "type": "category", "values": ("Yes", "No")},
    {
        "name": "tenure",
        "type": "integer",
        "minimum": 0,
        "maximum": 1200,
        "description": "Months as a customer",
    },
    {"name": "PhoneService", "type": "category", "values": ("Yes", "No")},
    {"name": "MultipleLines", "type": "category", "values": ("Yes", "No", "No phone service")},
    {"name": "InternetService", "type": "category", "values": ("DSL", "Fiber optic", "No")},
    {"name": "OnlineSecurity", "type": "category", "values": _INTERNET},
    {"name": "OnlineBackup", "type": "category", "values": _INTERNET},
    {"name": "DeviceProtection", "type": "category", "values": _INTERNET},
    {"name": "TechSupport", "type": "category", "values": _INTERNET},
    {"name": "StreamingTV", "type": "category", "values": _INTERNET},
    {"name": "StreamingMovies", "type": "category", "values": _INTERNET},
    {"name": "Contract", "type": "category", "values": ("Month-to-month", "One year", "Two year")},
    {"name": "PaperlessBilling", "type": "category", "values": ("Yes", "No")},
    {
        "name": "PaymentMethod",
        "type": "category",
        "values": (
            "Electronic check",
            "Mailed check",
            "Bank transfer (automatic)",
            "Credit card (automatic)",
        ),
    },
    {
        "name": "MonthlyCharges",
        "type": "number",
        "minimum": 0,
        "maximum": 10_000,
        "description": "The latest monthly bill",
    },
    {
        "name": "TotalCharges",
        "type": "number",
        "minimum": 0,
        "maximum": 1_000_000,
        "description": "All bills so far",
    },
)
# Numbers are divided by these while fitting, so that all weights are of one size.
_SCALES: Final = {"SeniorCitizen": 1.0, "tenure": 72.0, "MonthlyCharges": 100.0, "TotalCharges": 5000.0}
# Keeps the weights of categories that always come together (no internet service) unique.
_RIDGE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Made-up customers with what became of them.

    Attributes:
        events: The customers.
        frame: The same as columns.
        probabilities: How likely each was to churn.
        churned: 1.0 for those who did.
    """

    events: list[dict[str, Any]]
    frame: Frame
    probabilities: Floats
    churned: Floats


def make(folder: Path) -> None:
    """Fits the model and writes the model directory.

    Args:
        folder: Where to; it must exist.
    """
    schema = Schema.model_validate({"key": "customerID", "inputs": INPUTS})
    coefficients = fit(schema, draw_sample(schema, FIT_SEED, FIT_ROWS))
    artifact = f"{json.dumps(coefficients.model_dump(), indent=2)}\n".encode()
    scorer = LinearScorer.load(schema, artifact)
    golden = draw_sample(schema, GOLDEN_SEED, GOLDEN_ROWS)
    declaration = {
        "name": "churn",
        "version": "1",
        "kind": "linear",
        "description": "Logistic regression on made-up customers shaped as the public IBM Telco churn table.",
        "key": "customerID",
        "inputs": INPUTS,
        "threshold": THRESHOLD,
        "outputs": {"decision": "churn"},
        "artifact": {"file": "coefficients.json", "sha256": hashlib.sha256(artifact).hexdigest()},
        "golden": [
            {"event": event, "score": score}
            for event, score in zip(golden.events, scorer.score(golden.frame).tolist(), strict=True)
        ],
    }
    held_out = draw_sample(schema, HELD_OUT_SEED, HELD_OUT_ROWS)
    (folder / "coefficients.json").write_bytes(artifact)
    (folder / "model.json").write_text(_written(declaration), encoding="utf-8")
    (folder / "README.md").write_text(_card(held_out, scorer.score(held_out.frame)), encoding="utf-8")


def draw_sample(schema: Schema, seed: int, count: int) -> Sample:
    """Customers of a seed, and by the throw of a die what became of them."""
    customers: list[Customer] = list(itertools.islice(churn_customers(seed), count))
    parsed = EventParser(schema).parse([json.dumps(customer.event).encode() for customer in customers])
    if parsed.rejections:
        raise AssertionError(f"a made-up customer does not fit the model: {parsed.rejections[0]}")
    events = [
        {name: value for name, value in customer.event.items() if name != "event_id"}
        for customer in customers
    ]
    probabilities = sigmoid(np.array([customer.churn_logit for customer in customers]))
    die = random.Random(f"churn {seed}").random  # noqa: S311 - nothing here is a secret
    churned = np.array([die() < probability for probability in probabilities.tolist()], np.float64)
    return Sample(events, parsed.frame, probabilities, churned)


def fit(schema: Schema, sample: Sample) -> Coefficients:
    """Logistic regression by Newton's method, the weights rounded so that no machine's last digits show."""
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


def area_under_curve(scores: Floats, churned: Floats) -> float:
    """The chance that of a customer who churned and one who stayed, the first has the higher score."""
    order = np.unique(scores, return_inverse=True, return_counts=True)
    counts = order[2]
    middle_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks = middle_ranks[order[1]]
    left = churned.sum()
    stayed = len(churned) - left
    return float((ranks[churned == 1].sum() - left * (left + 1) / 2) / (left * stayed))


def _figures(scores: Floats, churned: Floats) -> tuple[float, float, float]:
    accuracy = float(((scores > THRESHOLD) == (churned == 1)).mean())
    log_loss = float(-np.log(np.where(churned == 1, scores, 1 - scores)).mean())
    return area_under_curve(scores, churned), accuracy, log_loss


def _written(declaration: Mapping[str, Any]) -> str:
    """JSON with one line an input and a golden row, so that a change shows as a change of its line."""
    lines = []
    for name, value in declaration.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            items = ",\n".join(f"    {json.dumps(item)}" for item in value)
            lines.append(f"  {json.dumps(name)}: [\n{items}\n  ]")
        else:
            lines.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _card(held_out: Sample, scores: Floats) -> str:
    share = 100 * held_out.churned.mean()
    constant = np.full(len(scores), held_out.churned.mean())
    rows = (
        ("this model", _figures(scores, held_out.churned)),
        (
            "the best possible: each customer's own probability",
            _figures(held_out.probabilities, held_out.churned),
        ),
        ("the same score for everybody", _figures(constant, held_out.churned)),
    )
    table = "\n".join(
        f"| {name} | {auc:.3f} | {100 * accuracy:.1f} % | {loss:.3f} |"
        for name, (auc, accuracy, loss) in rows
    )
    return f"""# churn@1: a linear churn model

Logistic regression over the 19 inputs of the public IBM Telco churn table: `customerID` names the customer,
`score` is the estimated probability that the customer churns, and `churn` is true above {THRESHOLD}.
`coefficients.json` can be read: an intercept, a weight for each number and one for each category.

This file, `model.json` and `coefficients.json` are written by `python models/make.py`; change them there.

## Data

{FIT_ROWS:,} made-up customers (`producer/generate.py`, seed {FIT_SEED}), no real ones. They have the
columns and categories of the public table, shares and prices much like its own, and a probability of
churning that is computed from {len(CHURN_WEIGHTS)} of their inputs; a die with that probability decided who
churned.

## How good it is

On {HELD_OUT_ROWS:,} other made-up customers (seed {HELD_OUT_SEED}), of whom {share:.1f} % churned:

| scores | area under the ROC curve | accuracy | log loss |
|---|---|---|---|
{table}

Measured once on real customers too, 4,922 rows of the public IBM Telco table, on which it was not fitted:
area under the curve 0.840, accuracy 79.4 % (73.5 % of them stayed).

## Limits

- It shows how Tandem works; it says nothing about customers of yours. Train on your own data and declare the
  result as in docs/models.md.
- Where the data came from is linear in the inputs, so that a linear model cannot but fit. Real data is not.
- `gender`, `SeniorCitizen`, `Partner` and `Dependents` are inputs because the public table has them. Whether
  a decision about a person may rest on them is a question that this model does not answer.
- A blank `TotalCharges`, which the public table has for new customers, rejects the row as `missing_field`.
"""


if __name__ == "__main__":
    make(FOLDER)
    print(f"wrote {FOLDER}")
