"""The contract of a model kind: a new kind is one new file and one line in KINDS (directory.py)."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from shared.frame import Frame
from shared.schema import Schema

# Scores, and columns of numbers.
Floats = npt.NDArray[np.float64]


class Scorer(ABC):
    """Turns a frame into scores.

    A scorer is a pure function of the frame: it does no I/O, reads no clock and keeps no state, and a
    row's score has the same bits whatever other rows stand beside it. The conformance suite in
    tests/conformance runs every kind through these laws.
    """

    kind: ClassVar[str]
    #: Whether the model directory must hold an artifact file for this kind.
    needs_artifact: ClassVar[bool]

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

    @abstractmethod
    def score(self, frame: Frame) -> Floats:
        """One float64 a row of the frame; an empty frame gives an empty array."""
