"""The contract of a model kind: a new kind is one new file and one line in KINDS (directory.py)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from shared.errors import ModelError
from shared.frame import Frame
from shared.schema import Schema

# Scores, and columns of numbers.
Floats = npt.NDArray[np.float64]


class NotExplainableError(ModelError):
    """The model's kind cannot say what each input contributed to a score."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each input added to the raw score of each row.

    Attributes:
        values: float64, one row a row of the frame and one column a feature of the schema, in declared
            order. A one-hot input's columns are summed to one.
        base: float64, one a row: what the raw score is before any input is looked at. The base plus a
            row's values, added in declared order, is the row's raw score within `Scorer.tolerance`.
    """

    values: Floats
    base: Floats

    def totals(self) -> Floats:
        """The base plus the values, added in declared order: the same bits at every batch size."""
        total = self.base.copy()
        for place in range(self.values.shape[1]):
            total += self.values[:, place]
        return total


class Scorer(ABC):
    """Turns a frame into scores.

    A scorer is a pure function of the frame: it does no I/O, reads no clock and keeps no state, and a
    row's score has the same bits whatever other rows stand beside it. The conformance suite in
    tests/conformance runs every kind through these laws. A scorer that cannot keep the last one says why
    in `unstable`; the model must then declare that rows are scored one at a time.
    """

    kind: ClassVar[str]
    #: Whether the model directory must hold an artifact file for this kind.
    needs_artifact: ClassVar[bool]
    #: How far the contributions' total may be from the raw score, for each 1 of the sum of their sizes.
    tolerance: ClassVar[float] = 1e-12

    @classmethod
    @abstractmethod
    def load(cls, schema: Schema, artifact: bytes) -> "Scorer":
        """Reads the artifact.

        Args:
            schema: The declared inputs, which the artifact must fit.
            artifact: The artifact's bytes; empty when the kind needs none.

        Raises:
            ModelError: The artifact is damaged or does not fit the inputs.
        """

    @property
    def unstable(self) -> str | None:
        """Why a row's bits may depend on the rows beside it; None when they do not."""
        return None

    @abstractmethod
    def raw(self, frame: Frame) -> Floats:
        """The score before the link (a sum, a margin, log-odds), one float64 a row of the frame."""

    def link(self, raw: Floats) -> Floats:
        """What makes a score of a raw score; without one they are the same."""
        return raw

    def score(self, frame: Frame) -> Floats:
        """One float64 a row of the frame; an empty frame gives an empty array."""
        return self.link(self.raw(frame))

    def explain(self, frame: Frame) -> Contributions:  # noqa: ARG002 - for the kinds that can
        """What each input added to the raw score.

        Raises:
            NotExplainableError: The kind cannot say.
        """
        raise NotExplainableError(
            f"a model of kind {self.kind} cannot say what each input contributed",
            hint="Score without explanations; linear models, XGBoost's and LightGBM's can say.",
        )
