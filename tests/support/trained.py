"""Small trained models of every kind that is trained, made on the spot from fixed seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np
import xgboost

from producer.generate import churn_customers
from shared.events import EventParser
from shared.frame import Frame
from shared.models.base import Floats
from shared.models.features import FeatureMatrix
from shared.models.numerics import sigmoid
from shared.schema import Input, Schema
from tests.support import graphs
from tests.support.models import write_model

Row = dict[str, Any]

#: One input of each type that trees take: two may be missing, one becomes a column for each value.
INPUTS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "tenure", "type": "integer", "minimum": 0, "maximum": 1200},
    {"name": "charges", "type": "number", "missing": "nan"},
    {"name": "partner", "type": "boolean"},
    {"name": "contract", "type": "category", "values": ["monthly", "yearly", "é"], "missing": "nan"},
    {"name": "payment", "type": "category", "values": ["card", "bank", "check"], "encoding": "one-hot"},
)


@dataclass(frozen=True)
class Training:
    """What a model learns from.

    Attributes:
        inputs: As model.json declares them.
        rows: Events.
        labels: 0 or 1, one a row.
        key: The field that holds the customer's id.
    """

    inputs: Sequence[Mapping[str, Any]]
    rows: Sequence[Row]
    labels: Floats
    key: str = "customer_id"

    @property
    def schema(self) -> Schema:
        return Schema.model_validate({"key": self.key, "inputs": self.inputs})

    @property
    def frame(self) -> Frame:
        parsed = EventParser(self.schema).parse([json.dumps(row).encode() for row in self.rows])
        assert not parsed.rejections
        return parsed.frame


def made_up(
    inputs: Sequence[Mapping[str, Any]] = INPUTS, *, count: int = 600, seed: int = 1, effect: float = 1.0
) -> Training:
    """Rows of random values, and labels on which every value has an effect of about that size."""
    random = np.random.default_rng(seed)
    schema = Schema.model_validate({"inputs": inputs})
    rows: list[Row] = [{schema.key: number} for number in range(count)]
    log_odds = np.zeros(count)
    for feature in schema.features:
        values, effects = _drawn(feature, count, random)
        log_odds += effect * (effects - effects.mean())
        for row, value in zip(rows, values, strict=True):
            row[feature.name] = value
    return Training(inputs, rows, (random.random(count) < sigmoid(log_odds)).astype(np.float64))


def _drawn(feature: Input, count: int, random: np.random.Generator) -> tuple[list[Any], Floats]:
    effects = random.normal(size=count)
    if feature.type == "category":
        known = feature.values or ()
        codes = random.integers(0, len(known), count)
        values: list[Any] = [known[code] for code in codes]
        effects = np.linspace(-2, 2, len(known))[(codes * 7 + 1) % len(known)]
    elif feature.type == "boolean":
        truths = random.random(count) < 0.5
        values, effects = truths.tolist(), np.where(truths, 2.0, 0.0)
    else:
        low = -100.0 if feature.lowest is None else max(feature.lowest, -1000.0)
        high = 100.0 if feature.highest is None else min(feature.highest, 1000.0)
        numbers = random.uniform(low, high, count)
        numbers = np.floor(numbers) if feature.type == "integer" else numbers
        values, effects = numbers.tolist(), np.asarray(4 * (numbers - low) / (high - low), np.float64)
    if feature.missing == "nan":
        for place in np.flatnonzero(random.random(count) < 0.15).tolist():
            values[place] = None
            effects[place] = 3.0
    return values, effects


def made_up_customers(inputs: Sequence[Mapping[str, Any]], *, count: int = 1500, seed: int = 5) -> Training:
    """The producer's customers, whose total is missing before the first bill, as the public table's is."""
    random = np.random.default_rng(seed)
    customers = list(islice(churn_customers(seed), count))
    rows = [{k: v for k, v in customer.event.items() if k != "TotalCharges" or v} for customer in customers]
    chances = sigmoid(np.array([customer.churn_logit for customer in customers]))
    labels = (random.random(count) < chances).astype(np.float64)
    return Training(inputs, rows, labels, key="customerID")


def train_xgboost(training: Training, *, rounds: int = 20, **params: Any) -> xgboost.Booster:
    """A booster of `rounds` trees, with the names of the columns."""
    matrix = FeatureMatrix(training.schema, np.float32)
    data = xgboost.DMatrix(
        matrix.build(training.frame), training.labels, feature_names=list(matrix.names), nthread=1
    )
    settings = {"objective": "binary:logistic", "max_depth": 4, "seed": 1, "nthread": 1, "verbosity": 0}
    return xgboost.train(settings | params, data, rounds)


def train_lightgbm(
    training: Training, *, rounds: int = 20, categorical: Sequence[str] = (), **params: Any
) -> lightgbm.Booster:
    """A booster of `rounds` trees, with the columns' names; `categorical` ones are split by category."""
    matrix = FeatureMatrix(training.schema, np.float64)
    data = lightgbm.Dataset(
        matrix.build(training.frame),
        training.labels,
        feature_name=[name.replace(" ", "_") for name in matrix.names],
        categorical_feature=list(categorical) or "auto",
        params={"verbosity": -1},
    )
    settings = {"objective": "binary", "num_leaves": 12, "min_data_in_leaf": 5, "seed": 1, "verbosity": -1}
    fixed = {"deterministic": True, "force_row_wise": True, "num_threads": 1}
    return lightgbm.train(settings | fixed | params, data, rounds)


def xgboost_model(
    directory: Path,
    training: Training | None = None,
    *,
    booster: xgboost.Booster | None = None,
    form: str = "ubj",
    **changes: Any,
) -> Path:
    """A model directory of kind xgboost; `changes` replace parts of the declaration."""
    training = training or made_up()
    booster = booster or train_xgboost(training)
    return _write(directory, "xgboost", training, f"booster.{form}", bytes(booster.save_raw(form)), changes)


def lightgbm_model(
    directory: Path,
    training: Training | None = None,
    *,
    booster: lightgbm.Booster | None = None,
    **changes: Any,
) -> Path:
    """A model directory of kind lightgbm; `changes` replace parts of the declaration."""
    training = training or made_up()
    booster = booster or train_lightgbm(training)
    return _write(directory, "lightgbm", training, "model.txt", booster.model_to_string().encode(), changes)


def onnx_model(
    directory: Path,
    training: Training | None = None,
    *,
    booster: xgboost.Booster | None = None,
    graph: bytes | None = None,
    **changes: Any,
) -> Path:
    """A model directory of kind onnx: the trees of an XGBoost model as a graph, unless one is given."""
    training = training or made_up()
    if graph is None:
        booster = booster or train_xgboost(training, base_score=0.5)
        graph = graphs.trees(booster, FeatureMatrix(training.schema, np.float32).width)
    return _write(directory, "onnx", training, "model.onnx", graph, changes)


def _write(
    directory: Path,
    kind: str,
    training: Training,
    file: str,
    artifact: bytes,
    changes: Mapping[str, Any],
) -> Path:
    declaration = {
        "name": kind,
        "version": "1",
        "kind": kind,
        "key": training.key,
        "inputs": list(training.inputs),
        "threshold": 0.5,
        "outputs": {"decision": "churn"},
        "artifact": {"file": file},
    }
    return write_model(directory, declaration | dict(changes), artifact, golden=list(training.rows[:3]))
