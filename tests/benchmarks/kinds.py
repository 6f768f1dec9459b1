"""Each kind of model: rows/s of its library alone on a ready matrix, and through both paths.

What a path takes beyond the library is the framework's own: reading and checking events or columns, making
the matrix, the link and the decisions.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pyarrow as pa
import xgboost
from rich.console import Console
from rich.table import Table

from shared.models.features import FeatureMatrix
from shared.models.shipped import shipped_model
from shared.predict import Predictor
from tests.support.trained import (
    Training,
    lightgbm_model,
    made_up_customers,
    onnx_model,
    train_lightgbm,
    train_xgboost,
    xgboost_model,
)

_SIZES = (1, 100, 5000)
_TREES = 200
_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Contender:
    """A model with its library's own way to score.

    Attributes:
        kind: The model's.
        predictor: The model in this framework.
        alone: Scores the first rows of a ready matrix.
    """

    kind: str
    predictor: Predictor
    alone: Callable[[int], Any]


def contenders(folder: Path, training: Training) -> list[Contender]:
    """A model of every kind that is trained, and the shipped linear one."""
    boosted = train_xgboost(training, rounds=_TREES, max_depth=6)
    leafwise = train_lightgbm(training, rounds=_TREES, num_leaves=31)
    predictors = {
        "xgboost": Predictor.load(xgboost_model(folder / "x", training, booster=boosted)),
        "lightgbm": Predictor.load(lightgbm_model(folder / "l", training, booster=leafwise)),
        "onnx": Predictor.load(onnx_model(folder / "o", training, booster=boosted)),
        "linear": Predictor.load(shipped_model("churn-linear")),
    }
    single = FeatureMatrix(training.schema, np.float32).build(training.frame)
    double = FeatureMatrix(training.schema, np.float64).build(training.frame)
    xgb = xgboost.Booster(params={"nthread": 1})
    xgb.load_model(bytearray(boosted.save_raw("ubj")))
    xgb.set_param({"nthread": 1})
    lgb = lightgbm.Booster(model_str=leafwise.model_to_string())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = (folder / "o" / "model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    linear, frame = predictors["linear"].model.scorer, training.frame
    alone: dict[str, Callable[[int], Any]] = {
        "xgboost": lambda size: xgb.inplace_predict(single[:size]),
        "lightgbm": lambda size: lgb.predict(double[:size], num_threads=1),
        "onnx": lambda size: session.run(None, {"x": single[:size]}),
        "linear": lambda size: linear.score(frame.slice(0, size)),
    }
    return [Contender(kind, predictor, alone[kind]) for kind, predictor in predictors.items()]


def medians(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Median seconds of each call, made in turn for about a second and a half (5 times at least)."""
    taken: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    ends = time.perf_counter() + _SECONDS
    while len(taken[0]) < 5 or time.perf_counter() < ends:
        for call, times in zip(calls, taken, strict=True):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
    return [median(times) for times in taken]


def measure(sizes: Sequence[int]) -> list[tuple[str, int, float, float, float]]:
    """(kind, rows in a call, and the seconds of a call: alone, from JSON, from columns)."""
    inputs = json.loads((shipped_model("churn") / "model.json").read_bytes())["inputs"]
    customers = made_up_customers(inputs, count=max(sizes))
    # Nothing is missing, as the linear model needs it; XGBoost is then quicker, by a third.
    rows = [{"TotalCharges": 0.0, **row} for row in customers.rows]
    training = Training(inputs, rows, customers.labels, customers.key)
    values = [json.dumps(row).encode() for row in rows]
    table = pa.RecordBatch.from_pylist(rows)
    found = []
    with tempfile.TemporaryDirectory() as name:
        for one in contenders(Path(name), training):
            for size in sizes:
                events, batch = values[:size], table.slice(0, size)
                calls: list[Callable[[], object]] = [
                    lambda one=one, size=size: one.alone(size),  # type: ignore[misc]
                    lambda one=one, events=events: one.predictor.score_json(events),  # type: ignore[misc]
                    lambda one=one, batch=batch: one.predictor.score_table(batch),  # type: ignore[misc]
                ]
                alone, stream, columns = medians(calls)
                found.append((one.kind, size, alone, stream, columns))
    return found


def main() -> None:
    """Measures and prints."""
    title = f"Rows/s, and how many times the library's own time ({_TREES} trees)"
    shown = Table(title=title)
    for heading in ("kind", "rows a call", "alone", "JSON", "times", "columns", "times"):
        shown.add_column(heading, justify="left" if heading == "kind" else "right")
    for kind, size, alone, stream, columns in measure(_SIZES):
        figures = [f"{size / alone:,.0f}"]
        for path in (stream, columns):
            figures += [f"{size / path:,.0f}", f"{path / alone:.2f}"]
        shown.add_row(kind, f"{size:,}", *figures)
    Console().print(shown)
