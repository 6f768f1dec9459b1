"""LightGBM's trees, from its own text; the sigmoid is this project's."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np

from shared.errors import ModelError
from shared.frame import Frame
from shared.lean import left_out
from shared.models.base import Contributions, Floats, Scorer
from shared.models.features import FeatureMatrix
from shared.models.libraries import first_line, library
from shared.models.lightgbm_file import DamagedError, ModelText, read_text
from shared.models.numerics import sigmoid
from shared.schema import Schema

_IDENTITY: Final = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
#: The names that LightGBM gives to features that have none.
_UNNAMED: Final = re.compile(r"Column_\d+")
_HINT: Final = "The file is damaged, or not LightGBM's: save the model again with booster.save_model(...)."


class LightGBMScorer(Scorer):
    """The raw score of a booster with one output, all its trees counted, on one thread.

    Each row's leaves are added in float64 in the trees' order, whatever rows stand beside it.
    """

    kind: ClassVar[str] = "lightgbm"
    needs_artifact: ClassVar[bool] = True
    tolerance: ClassVar[float] = 1e-9

    def __init__(self, booster: Any, matrix: FeatureMatrix, steepness: float | None) -> None:
        self._booster = booster
        self._matrix = matrix
        self._steepness = steepness

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> Self:
        """Reads the booster, which must fit the inputs by count, name and category."""
        with left_out("pandas", "sklearn"):
            lightgbm = library("lightgbm", extra=cls.kind)
        matrix = FeatureMatrix(schema, np.float64)
        try:
            model = read_text(artifact)
            booster = lightgbm.Booster(model_str=model.text)
        except (DamagedError, lightgbm.basic.LightGBMError, ValueError) as error:
            raise ModelError(
                f"artifact: it is not a whole LightGBM model in text form: {first_line(error)}", hint=_HINT
            ) from error
        if model.linear:
            raise ModelError(
                "artifact: its leaves are linear models, whose contributions LightGBM cannot tell",
                hint="Train it without linear_tree.",
            )
        steepness = _read_objective(model.header)
        names = booster.feature_name()
        matrix.check(booster.num_feature(), None if all(map(_UNNAMED.fullmatch, names)) else names)
        _check_categories(model, matrix)
        return cls(booster, matrix, steepness)

    def raw(self, frame: Frame) -> Floats:
        """The sum of the leaves: log-odds, over the sigmoid's steepness, for a binary objective."""
        return self._predict(frame, raw_score=True) if frame.count else np.empty(0)

    def link(self, raw: Floats) -> Floats:
        """The raw score, through the objective's sigmoid when it is binary."""
        return raw if self._steepness is None else sigmoid(raw * self._steepness)

    def explain(self, frame: Frame) -> Contributions:
        """LightGBM's own contributions (SHAP values of the trees)."""
        found = np.empty((0, self._matrix.width + 1))
        if frame.count:
            found = self._predict(frame, pred_contrib=True)
        return self._matrix.contributions(found[:, :-1], found[:, -1])

    def _predict(self, frame: Frame, **what: bool) -> Floats:
        found: Floats = self._booster.predict(self._matrix.build(frame), num_threads=1, **what)
        return found


def _read_objective(header: Mapping[str, str]) -> float | None:
    """The steepness of the objective's sigmoid; None when the raw score is the score."""
    if header.get("num_tree_per_iteration", "1") != "1":
        raise ModelError(
            "artifact: it has several outputs, and a score is one number",
            hint="Train a model with one output, such as objective binary.",
        )
    if "average_output" in header:
        raise ModelError(
            "artifact: it is a random forest, whose raw score LightGBM does not average",
            hint="Train it with boosting gbdt, goss or dart.",
        )
    objective = header.get("objective", "none")
    name, *settings = objective.split()
    match name, settings:
        case "binary", [str(setting)] if setting.startswith("sigmoid:"):
            return _read_number(setting.removeprefix("sigmoid:"))
        case "cross_entropy", []:
            return 1.0
        case known, _ if known in _IDENTITY and "sqrt" not in settings:
            return None
    raise ModelError(
        f"artifact: its objective {objective!r} is not one of:"
        f" binary, cross_entropy, {', '.join(_IDENTITY)} (without reg_sqrt)",
        hint="Train it with one of these.",
    )


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ModelError(f"artifact: its objective's sigmoid is {text!r}, no number", hint=_HINT) from None


def _check_categories(model: ModelText, matrix: FeatureMatrix) -> None:
    """Inputs that were trained as categories must be declared with the same ones, in the same order."""
    infos = model.header["feature_infos"].split()
    for column, values in model.values().items():
        # One that never varied has no effect.
        if infos[column] != "none" or column in model.split_by_category:
            matrix.check_categories(column, values)
