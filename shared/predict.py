"""The shared predict module: the lesson's `predict`, and the Predictor that both paths call."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.errors import ModelError
from shared.events import EventParser
from shared.frame import Frame, IdValues, Parsed
from shared.models.directory import Model, read_model
from shared.schema import Reason, Rejection
from shared.tables import TableParser

# Golden rows are scored at these batch sizes at every load; 50 and 51 fall on both sides of a SIMD width.
_GOLDEN_SIZES: Final = (1, 2, 7, 50, 51)


def predict(feature: float, threshold: float = 0.6) -> bool:
    """The lesson's rule: True when the feature is strictly above the threshold."""
    return feature > threshold


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes out of a batch: for each row that went in, a score or a rejection.

    Attributes:
        total: How many rows went in; `len(rows) + len(rejections)`.
        rows: The index in the batch of each scored row, ascending.
        customer_ids: The key of each scored row.
        event_ids: The event id of each scored row (None where it has none); None when no row has one.
        scores: float64, one a scored row.
        decisions: Whether the score is strictly above the model's threshold.
        rejections: The other rows, ascending.
    """

    total: int
    rows: npt.NDArray[np.int64]
    customer_ids: IdValues
    event_ids: IdValues | None
    scores: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.bool_]
    rejections: tuple[Rejection, ...]

    def without(self, refused: Sequence[Rejection]) -> "Outcome":
        """The same outcome, but for scored rows that are rejected after all.

        Args:
            refused: One rejection a row; each names a scored row.
        """
        if not refused:
            return self
        keep = ~np.isin(self.rows, [rejection.row for rejection in refused])
        return Outcome(
            self.total,
            self.rows[keep],
            select(self.customer_ids, keep),
            None if self.event_ids is None else select(self.event_ids, keep),
            self.scores[keep],
            self.decisions[keep],
            tuple(sorted([*self.rejections, *refused], key=lambda rejection: rejection.row)),
        )


class Predictor:
    """Scores events and rows with one model. Pure: no I/O after loading, no clock, no state."""

    def __init__(self, model: Model, *, quick: bool = True) -> None:
        """Use `load` to read a model directory with its golden rows checked.

        Args:
            model: The model to score with.
            quick: Whether events may be read by the quick decoder first (see shared/events.py).
        """
        self.model = model
        self._events = EventParser(model.schema, quick=quick)
        self._tables = TableParser(model.schema)

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """Reads a model directory and scores its golden rows at several batch sizes.

        Raises:
            ModelError: The directory is not a valid model, or a golden row does not get its score.
        """
        predictor = cls(read_model(Path(directory)))
        predictor.check_golden_rows()
        return predictor

    def score_json(self, values: Sequence[bytes | None]) -> Outcome:
        """Scores events.

        Args:
            values: One JSON object each; None is a tombstone and is rejected as such.
        """
        return self._outcome(self._events.parse(values))

    def score_table(self, batch: pa.RecordBatch, *, text: bool = False) -> Outcome:
        """Scores rows.

        Args:
            batch: The rows; columns that the model does not declare are ignored unless it is strict.
            text: Whether the columns hold text that was never typed, as those of a CSV file.
        """
        return self._outcome(self._tables.parse(batch, text=text))

    def score_one(self, event: Mapping[str, Any] | bytes) -> Outcome:
        """Scores a single event, as a batch of one.

        Args:
            event: The event's bytes, or a mapping that is written as JSON first.
        """
        value = event if isinstance(event, bytes) else json.dumps(event).encode()
        return self.score_json([value])

    def parse_json(self, values: Sequence[bytes | None]) -> Parsed:
        """Validates events without scoring them, for a snapshot's parsed inputs."""
        return self._events.parse(values)

    def check_golden_rows(self) -> None:
        """Scores the golden rows at several batch sizes, as events.

        Raises:
            ModelError: Naming the golden row, its expected and its actual score.
        """
        golden = self.model.declaration.golden
        values = [json.dumps(row.event).encode() for row in golden]
        for size in (*_GOLDEN_SIZES, len(golden)):
            padded = [values[place % len(values)] for place in range(max(size, len(values)))]
            for start in range(0, len(padded), size):
                outcome = self.score_json(padded[start : start + size])
                self._compare_golden(outcome, start, size)

    def _compare_golden(self, outcome: Outcome, start: int, size: int) -> None:
        golden = self.model.declaration.golden
        hint = "The model, its inputs or this machine's arithmetic is not what it was certified with."
        for rejection in outcome.rejections:
            row = (start + rejection.row) % len(golden)
            raise ModelError(f"{self.model.id}: golden row {row} is rejected: {rejection.detail}", hint=hint)
        for index, actual in zip(outcome.rows.tolist(), outcome.scores.tolist(), strict=True):
            row = (start + index) % len(golden)
            expected = golden[row].score
            if actual != expected:
                raise ModelError(
                    f"{self.model.id}: golden row {row} scores {actual!r} in batches of {size},"
                    f" not {expected!r}",
                    hint=hint,
                )

    def _outcome(self, parsed: Parsed) -> Outcome:
        scores, failed = self._score(parsed.frame)
        failures = [
            Rejection(int(parsed.rows[index]), Reason.MODEL_ERROR, None, detail)
            for index, detail in failed.items()
        ]
        return Outcome(
            parsed.total,
            parsed.rows,
            parsed.customer_ids,
            parsed.event_ids,
            scores,
            scores > self.model.threshold,
            parsed.rejections,
        ).without(failures)

    def _score(self, frame: Frame) -> tuple[npt.NDArray[np.float64], dict[int, str]]:
        """The scores of a frame, and by index the rows that the model cannot score.

        When the model raises, the frame is halved until the offending rows are found.
        """
        try:
            scores = self.model.scorer.score(frame)
        except Exception as error:  # noqa: BLE001 - a model may raise anything; its row is rejected
            if frame.count <= 1:
                detail = f"the model failed: {type(error).__name__}: {error}"
                return np.zeros(frame.count), dict.fromkeys(range(frame.count), detail)
            middle = frame.count // 2
            left, left_failed = self._score(frame.slice(0, middle))
            right, right_failed = self._score(frame.slice(middle, frame.count))
            failed = left_failed | {middle + index: detail for index, detail in right_failed.items()}
            return np.concatenate([left, right]), failed
        finite = np.isfinite(scores)
        if finite.all():
            return scores, {}
        detail = "the model's score is not a finite number"
        return scores, dict.fromkeys(np.flatnonzero(~finite).tolist(), detail)


def select(ids: IdValues, keep: npt.NDArray[np.bool_]) -> IdValues:
    """The ids that a mask keeps."""
    if isinstance(ids, pa.Array):
        return ids.filter(pa.array(keep))
    return [value for value, kept in zip(ids, keep.tolist(), strict=True) if kept]
