"""What was found of the events of a window, by columns."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.proof.fields import Difference
from batch.proof.matching import Matched
from shared.predict import Outcome, Predictor
from shared.schema import Rejection

#: What one path said of an event, in arrays; the stream's names first come what both can say.
FALSE, TRUE, REJECTED, NOT_SCORED, SEVERAL, NONE, UNREADABLE = range(7)
#: By what the stream said, its name in the parity matrix; the last one only where it occurs.
STREAM_SAID: Final = {
    TRUE: "true",
    FALSE: "false",
    REJECTED: "rejected",
    SEVERAL: "several",
    NONE: "none",
    UNREADABLE: "unreadable",
}
#: By what the batch path said, its name in the parity matrix.
BATCH_SAID: Final = {TRUE: "true", FALSE: "false", REJECTED: "rejected", NOT_SCORED: "not scored"}


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Some events of a window as the batch path scored them, with one model.

    Attributes:
        predictor: What scored them.
        rows: Their rows in the window, ascending.
        inputs: What the validator read in them, as columns; null for those that it refused.
        outcome: What became of them, by their place in `rows`.
    """

    predictor: Predictor
    rows: npt.NDArray[np.int64]
    inputs: pa.StructArray
    outcome: Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The events of a window and what became of them.

    Attributes:
        matched: The window, with the answers beside the events.
        codes: By event its class, see CODES.
        stream: By event what the stream said, see STREAM_SAID.
        batch: By event what the batch path said, see BATCH_SAID.
        scores: By event the batch path's score; NaN where it has none.
        reasons: By row, the batch path's rejection of an event.
        differences: By row, what differs, where the class alone does not say it.
        predictors: By event, which of `used` scored it; -1 where none did.
        used: Those that scored.
        scored: The events that were scored, in pieces.
    """

    matched: Matched
    codes: npt.NDArray[np.int8]
    stream: npt.NDArray[np.int8]
    batch: npt.NDArray[np.int8]
    scores: npt.NDArray[np.float64]
    reasons: dict[int, Rejection]
    differences: dict[int, Difference]
    predictors: npt.NDArray[np.int16]
    used: list[Predictor]
    scored: list[Scored]

    @classmethod
    def empty(cls, matched: Matched) -> Self:
        """Of events that nobody looked at yet."""
        events = len(matched.offsets)
        codes, stream, batch = (np.full(events, code, np.int8) for code in (-1, NONE, NOT_SCORED))
        nobody = np.full(events, -1, np.int16)
        return cls(matched, codes, stream, batch, np.full(events, np.nan), {}, {}, nobody, [], [])

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Of the events, ascending."""
        return self.matched.offsets

    def models(self, rows: npt.NDArray[np.int64]) -> list[str | None]:
        """The model on the first answer of each event, `name@version`; None without an answer."""
        answers = self.matched.answers
        names = [stamp.model for stamp in answers.stamps]
        return [
            None if first < 0 else names[answers.stamped[first]] for first in answers.first[rows].tolist()
        ]
