"""The lesson's model: the score is the one feature itself."""

from typing import ClassVar, Self

import numpy as np

from shared.errors import ModelError
from shared.frame import Frame
from shared.models.base import Contributions, Floats, Scorer
from shared.schema import Schema


class ThresholdScorer(Scorer):
    """Passes the only feature through; the decision compares it with the model's threshold."""

    kind: ClassVar[str] = "threshold"
    needs_artifact: ClassVar[bool] = False

    def __init__(self, feature: str) -> None:
        self._feature = feature

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> Self:  # noqa: ARG003 - the kind has no artifact
        """Takes the one declared feature, which must be numeric."""
        if len(schema.features) != 1 or not schema.features[0].numeric:
            declared = ", ".join(f"{feature.name} ({feature.type})" for feature in schema.features)
            raise ModelError(
                f"a threshold model takes exactly one numeric input, not {declared}",
                hint="Declare one input of type number or integer besides the key.",
            )
        return cls(schema.features[0].name)

    def raw(self, frame: Frame) -> Floats:
        """The feature's values."""
        return frame.columns[self._feature]

    def explain(self, frame: Frame) -> Contributions:
        """The feature contributes all of the score."""
        return Contributions(self.raw(frame)[:, np.newaxis].copy(), np.zeros(frame.count))
