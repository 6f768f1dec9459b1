"""Boosted trees by XGBoost, for models/churn.

The same bytes come out every time: one thread, fixed bins, no sampling, and gradients from this project's
own sigmoid, because XGBoost's uses the C library's exp, whose last digit differs between machines.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xgboost

from models.customers import INPUTS_WITH_MISSING, KEY, Sample
from shared.models.features import FeatureMatrix
from shared.models.numerics import sigmoid
from shared.schema import Schema

TREES: Final = 120
DEPTH: Final = 3
_SETTINGS: Final[dict[str, Any]] = {
    "objective": "binary:logistic",
    # About the share that churns: where the first tree begins.
    "base_score": 0.25,
    "max_depth": DEPTH,
    "eta": 0.12,
    "min_child_weight": 30,
    "tree_method": "hist",
    "max_bin": 64,
    "nthread": 1,
    "seed": 1,
    "verbosity": 0,
}


def fit(sample: Sample) -> bytes:
    """The booster as XGBoost's JSON."""
    matrix = FeatureMatrix(Schema.model_validate({"key": KEY, "inputs": INPUTS_WITH_MISSING}), np.float32)
    data = xgboost.DMatrix(
        matrix.build(sample.frame), sample.churned, feature_names=list(matrix.names), nthread=1
    )
    booster = xgboost.train(_SETTINGS, data, TREES, obj=_log_loss)
    return bytes(booster.save_raw("json"))


def _log_loss(
    margins: npt.NDArray[np.float32], data: xgboost.DMatrix
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The first and second derivative of the log loss by the margin."""
    probabilities = sigmoid(margins.astype(np.float64))
    first, second = probabilities - data.get_label(), probabilities * (1 - probabilities)
    return first.astype(np.float32), second.astype(np.float32)
