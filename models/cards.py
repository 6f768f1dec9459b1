"""The model cards: what the README of each trained model says."""

from typing import Final

import numpy as np

from models.customers import Floats, Sample
from models.measures import Figures, calibration
from models.trees import DEPTH, TREES
from producer.generate import CHURN_WEIGHTS

FIT_SEED: Final = 1
HELD_OUT_SEED: Final = 2
GOLDEN_SEED: Final = 3
FIT_ROWS: Final = 40_000
HELD_OUT_ROWS: Final = 20_000
GOLDEN_ROWS: Final = 20
THRESHOLD: Final = 0.5

_DATA: Final = f"""{FIT_ROWS:,} made-up customers (`producer/generate.py`, seed {FIT_SEED}), no real ones. They have the
columns and categories of the public table, shares and prices much like its own, and a probability of
churning that is computed from {len(CHURN_WEIGHTS)} of their inputs; a die with that probability decided who
churned."""  # noqa: E501 - a line of the text, which is shorter
_PEOPLE: Final = """- It shows how Tandem works; it says nothing about customers of yours. Train on your own
  data and declare the result as in docs/models.md.
- `gender`, `SeniorCitizen`, `Partner` and `Dependents` are inputs because the public table has them. Whether
  a decision about a person may rest on them is a question that this model does not answer."""


def trees_card(held_out: Sample, scores: Floats) -> str:
    """The card of models/churn."""
    return f"""# churn@2: boosted trees for churn

{TREES} trees of depth {DEPTH} by XGBoost over the 19 inputs of the public IBM Telco churn table: `customerID`
names the customer, `score` is the estimated probability that the customer churns, and `churn` is true above
{THRESHOLD}. Categories are their place in the declared values. `TotalCharges` may be missing, as it is for
customers before their first bill.

This file, `model.json` and `booster.json` are written by `make train`, from `models/*.py`; change them there.
One version of XGBoost, which `model.json` names under `provenance`, writes the same bytes every time.

## Data

{_DATA} `TotalCharges` was left out for those in their first month.

## How good it is

{_measured(held_out, scores)}

Measured once on real customers too, 4,930 rows of the public IBM Telco table, on which it was not trained:
area under the curve 0.838, accuracy 79.0 % (73.5 % of them stayed).

Of the made-up customers by score, in ten groups of the same size:

{_groups(scores, held_out.churned)}

## Limits

{_PEOPLE}
- Where the data came from is linear in the inputs: [churn-linear](../churn-linear/README.md) comes closer to
  it, as a model of the right form must. Real data is not like that.
- Trees know nothing beyond what they saw: a tenure of 200 months scores as one of 72.
"""


def linear_card(held_out: Sample, scores: Floats) -> str:
    """The card of models/churn-linear."""
    return f"""# churn-linear@1: a linear churn model

Logistic regression over the 19 inputs of the public IBM Telco churn table: `customerID` names the customer,
`score` is the estimated probability that the customer churns, and `churn` is true above {THRESHOLD}.
`coefficients.json` can be read: an intercept, a weight for each number and one for each category.

This file, `model.json` and `coefficients.json` are written by `make train`, from `models/*.py`; change them
there.

## Data

{_DATA}

## How good it is

{_measured(held_out, scores)}

Measured once on real customers too, 4,922 rows of the public IBM Telco table, on which it was not fitted:
area under the curve 0.840, accuracy 79.4 % (73.5 % of them stayed).

## Limits

{_PEOPLE}
- Where the data came from is linear in the inputs, so that a linear model cannot but fit. Real data is not.
- A blank `TotalCharges`, which the public table has for new customers, rejects the row as `missing_field`.
"""


def _measured(held_out: Sample, scores: Floats) -> str:
    share = held_out.churned.mean()
    rows = (
        ("this model", scores),
        ("the best possible: each customer's own probability", held_out.probabilities),
        ("the same score for everybody", np.full(len(scores), share)),
    )
    table = "\n".join(
        _row(name, Figures.of(column, held_out.churned, held_out.probabilities, THRESHOLD))
        for name, column in rows
    )
    asked = f"On {HELD_OUT_ROWS:,} other made-up customers (seed {HELD_OUT_SEED})"
    return f"""{asked}, of whom {100 * share:.1f} % churned:

| scores | area under the ROC curve | log loss | accuracy | calibration error | distance |
|---|---|---|---|---|---|
{table}

Calibration error: how far the mean score of a tenth of the customers, by score, is from the share of them
that churned, on average. Distance: how far a score is from the probability by which the die was thrown, on
average."""


def _row(name: str, figures: Figures) -> str:
    return (
        f"| {name} | {figures.area:.3f} | {figures.log_loss:.3f} | {100 * figures.accuracy:.1f} %"
        f" | {figures.calibration:.3f} | {figures.distance:.3f} |"
    )


def _groups(scores: Floats, churned: Floats) -> str:
    groups = calibration(scores, churned)
    told = " | ".join(f"{mean:.3f}" for mean, _ in groups)
    seen = " | ".join(f"{share:.3f}" for _, share in groups)
    return f"| mean score | {told} |\n|---|{'---|' * len(groups)}\n| share that churned | {seen} |"
