"""The summary of all that a model was given and of what it said of it."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from shared.frame import Frame
from shared.schema import Input, Schema
from shared.sketches.feature import FeatureSketch, State
from shared.sketches.number import NumberSketch, NumberState
from shared.sketches.sample import Sample
from shared.sketches.values import BOOLEANS, TextSpread, TextState, ValueCounts, ValuesState

_VERSION: Final = 1


class _AllStates(State):
    version: Literal[1] = _VERSION
    rows: int
    features: dict[str, Annotated[NumberState | ValuesState | TextState, Field(discriminator="type")]]
    score: NumberState
    decision: ValuesState


@dataclass(slots=True)
class Sketches:
    """Summaries of a model's features, of its scores and of its decisions.

    They are a pure function of the rows in their order, however these were cut into batches; merging those of
    consecutive pieces in order gives always the same, too. Counts and bounds are exact.

    Attributes:
        rows: How many valid rows it has seen.
        features: By name.
        score: Of the rows that were scored.
        decision: Of the same.
    """

    rows: int
    features: dict[str, FeatureSketch]
    score: NumberSketch
    decision: ValueCounts
    _sample: Sample = field(default_factory=Sample)
    _scored: Sample = field(default_factory=Sample)

    @classmethod
    def of(cls, schema: Schema) -> Self:
        """Empty ones for the inputs that a model declares."""
        features = {feature.name: _sketch_for(feature) for feature in schema.features}
        return cls(0, features, NumberSketch("number"), ValueCounts(BOOLEANS))

    def add(
        self,
        frame: Frame,
        scores: npt.NDArray[np.float64] | None = None,
        decisions: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Takes in further rows.

        Args:
            frame: Valid rows.
            scores: Of those of them that were scored; None: nothing was.
            decisions: Of the same.
        """
        picked = self._sample.extend(frame.count)
        for name, sketch in self.features.items():
            sketch.add(frame.columns[name], picked, self._sample.level)
        if scores is not None and decisions is not None:
            picked = self._scored.extend(len(scores))
            self.score.add(scores, picked, self._scored.level)
            self.decision.add(decisions, picked, self._scored.level)
        self.rows += frame.count

    def merge(self, other: "Sketches") -> None:
        """Takes in what another has seen, whose rows come after those seen here.

        Raises:
            ValueError: They are not of the same inputs.
        """
        if list(self.features) != list(other.features):
            raise ValueError("they do not have the same features")
        pairs = [(self.features[name], sketch) for name, sketch in other.features.items()]
        pairs += [(self.score, other.score), (self.decision, other.decision)]
        if any(type(mine) is not type(theirs) for mine, theirs in pairs):
            raise ValueError("a feature of the same name has another type")
        for mine, theirs in pairs:
            mine.merge(theirs)
        self.rows += other.rows
        self._sample, self._scored = Sample(), Sample()

    def to_json(self) -> dict[str, Any]:
        """All that they hold, with what people want to know beside what the next merge needs."""
        return {
            "version": _VERSION,
            "rows": self.rows,
            "features": {name: sketch.to_json() for name, sketch in self.features.items()},
            "score": self.score.to_json(),
            "decision": self.decision.to_json(),
        }

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """What `to_json` gave.

        Raises:
            ValueError: It is something else; pydantic's ValidationError is one.
        """
        states = _AllStates.model_validate(found)
        features: dict[str, FeatureSketch] = {name: state.sketch() for name, state in states.features.items()}
        return cls(states.rows, features, states.score.sketch(), states.decision.sketch())


def _sketch_for(feature: Input) -> FeatureSketch:
    match feature.type:
        case "number" | "integer":
            return NumberSketch(feature.type)
        case "boolean":
            return ValueCounts(BOOLEANS)
        case "category":
            return ValueCounts(feature.values or ())
        case _:
            return TextSpread()
