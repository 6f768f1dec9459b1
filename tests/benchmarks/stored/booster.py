"""XGBoost's booster as the contenders call it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import lean

# As in Tandem's own command: scikit-learn, which XGBoost loads where it is installed, is nobody's work.
lean.start()
with lean.left_out("pandas", "sklearn"):
    import xgboost

Scores = npt.NDArray[np.float64]


def load(path: Path, threads: int) -> Callable[[npt.NDArray[Any]], Scores]:
    """What gives each row of a float32 matrix its score, as float64.

    Args:
        path: XGBoost's own file.
        threads: How many of its threads score a matrix.
    """
    booster = xgboost.Booster(params={"nthread": threads})
    booster.load_model(path)
    booster.set_param({"nthread": threads})

    def predict(matrix: npt.NDArray[Any]) -> Scores:
        margins = booster.inplace_predict(matrix, predict_type="margin").astype(np.float64)
        scores: Scores = 1.0 / (1.0 + np.exp(-margins))
        return scores

    return predict
