"""XGBoost's trees, from its own UBJ or JSON; the sigmoid is this project's, in float64."""

import json
from typing import Any, ClassVar, Final, Self

import numpy as np

from shared.errors import ModelError
from shared.frame import Frame
from shared.lean import left_out
from shared.models.base import Contributions, Floats, Scorer
from shared.models.features import FeatureMatrix
from shared.models.libraries import first_line, library
from shared.models.numerics import sigmoid
from shared.models.xgboost_file import check_file
from shared.schema import Schema

_SIGMOID: Final = ("binary:logistic", "reg:logistic")
_IDENTITY: Final = (
    "binary:logitraw",
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
)


class XGBoostScorer(Scorer):
    """The margin of a booster with one output, all its trees counted, on one thread.

    Each row's leaves are added in float32 in the trees' order, whatever rows stand beside it.
    """

    kind: ClassVar[str] = "xgboost"
    needs_artifact: ClassVar[bool] = True
    #: Contributions and margins are sums of float32.
    tolerance: ClassVar[float] = 1e-5

    def __init__(self, xgboost: Any, booster: Any, matrix: FeatureMatrix, *, logistic: bool) -> None:
        self._xgboost = xgboost
        self._booster = booster
        self._matrix = matrix
        self._logistic = logistic

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> Self:
        """Reads the booster, which must fit the inputs by count, name and category."""
        with left_out("pandas", "sklearn"):
            xgboost = library("xgboost", extra=cls.kind)
        matrix = FeatureMatrix(schema, np.float32)
        booster = xgboost.Booster(params={"nthread": 1, "device": "cpu"})
        # Else XGBoost looks for a format of old, and for a file.
        if not artifact.startswith(b"{"):
            raise ModelError(
                "artifact: it is neither XGBoost's UBJ nor its JSON",
                hint='Save the model with booster.save_model("model.ubj").',
            )
        try:
            check_file(artifact)
            booster.load_model(bytearray(artifact))
            # Once loaded, as XGBoost itself writes it: of either format, and of any version that it reads.
            content = json.loads(bytes(booster.save_raw("json")))["learner"]
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise ModelError(
                f"artifact: it is not a whole XGBoost model: {first_line(error)}",
                hint="The file is damaged, or not XGBoost's: save the model again.",
            ) from error
        booster.set_param({"nthread": 1, "device": "cpu"})
        _check_learner(content, booster)
        matrix.check(booster.num_features(), booster.feature_names)
        _check_categories(content, booster, matrix)
        return cls(xgboost, booster, matrix, logistic=content["objective"]["name"] in _SIGMOID)

    def raw(self, frame: Frame) -> Floats:
        """The margin: log-odds for a logistic objective."""
        if not frame.count:
            return np.empty(0)
        matrix = self._matrix.build(frame)
        margin = self._booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
        result: Floats = margin.astype(np.float64)
        return result

    def link(self, raw: Floats) -> Floats:
        """The margin, through a sigmoid when the objective is logistic."""
        return sigmoid(raw) if self._logistic else raw

    def explain(self, frame: Frame) -> Contributions:
        """XGBoost's own contributions (SHAP values of the trees)."""
        if not frame.count:
            return self._matrix.contributions(np.empty((0, self._matrix.width)), np.empty(0))
        data = self._xgboost.DMatrix(self._matrix.build(frame), nthread=1)
        found = self._booster.predict(data, pred_contribs=True, validate_features=False)
        return self._matrix.contributions(found[:, :-1], found[:, -1])


def _check_learner(content: dict[str, Any], booster: Any) -> None:
    learner = content["learner_model_param"]
    objective, trees = content["objective"]["name"], content["gradient_booster"]["name"]
    if trees == "gblinear":
        raise ModelError(
            "artifact: it is a gblinear model, which has no trees",
            hint='Declare its coefficients as a model of kind "linear".',
        )
    outputs = max(int(learner["num_class"]), int(learner["num_target"]))
    if outputs > 1:
        raise ModelError(
            f"artifact: it has {outputs} outputs, and a score is one number",
            hint="Train a model with one output, such as binary:logistic.",
        )
    if objective not in (*_SIGMOID, *_IDENTITY):
        raise ModelError(
            f"artifact: its objective {objective} is not one of: {', '.join((*_SIGMOID, *_IDENTITY))}",
            hint="Train it with one of these.",
        )
    best, rounds = content["attributes"].get("best_iteration"), booster.num_boosted_rounds()
    if best is not None and int(best) + 1 < rounds:
        raise ModelError(
            f"artifact: it stopped early: of its {rounds} rounds the first {int(best) + 1} are best;"
            " XGBoost's own interfaces differ in how many they count",
            hint="Save the ones that you mean: booster[: booster.best_iteration + 1].save_model(...).",
        )


def _check_categories(content: dict[str, Any], booster: Any, matrix: FeatureMatrix) -> None:
    """Inputs that the trees split by category must be declared with the same ones, in the same order."""
    body = content["gradient_booster"]
    trees = body["model"]["trees"] if "model" in body else body["gbtree"]["model"]["trees"]
    split = {
        index
        for tree in trees
        for index, kind in zip(tree["split_indices"], tree["split_type"], strict=True)
        if kind == 1
    }
    stored: dict[str, Any] = {}
    if split and booster.feature_names:
        stored = dict(booster.get_categories(export_to_arrow=True).to_arrow() or ())
    for column in sorted(split):
        values = stored.get(booster.feature_names[column]) if booster.feature_names else None
        matrix.check_categories(column, None if values is None else values.to_pylist())
