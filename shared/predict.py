"""The shared predict module: the lesson's `predict`, and the Predictor that both paths call."""

import json
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.errors import ModelError
from shared.events import EventParser
from shared.explanations import Explanations, joined, largest, misfits
from shared.frame import Frame, IdValues, Parsed
from shared.models.base import Contributions
from shared.models.certificate import standing_of
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
        explanations: The largest contributions to each score; None unless the predictor explains.
        frame: The valid rows as the model was given them, those that it failed for included, for their
            sketches; None for pieces of a batch.
    """

    total: int
    rows: npt.NDArray[np.int64]
    customer_ids: IdValues
    event_ids: IdValues | None
    scores: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.bool_]
    rejections: tuple[Rejection, ...]
    explanations: Explanations | None = None
    frame: Frame | None = None

    def parts(self, sizes: Sequence[int]) -> "list[Outcome]":
        """The outcomes of consecutive pieces of the batch, as if each had been scored alone.

        Args:
            sizes: How many rows each piece has; together all of the batch.
        """
        if len(sizes) == 1:
            return [self]
        ends = np.cumsum(sizes)
        cuts = np.searchsorted(self.rows, ends).tolist()
        refused = [rejection.row for rejection in self.rejections]
        parts = []
        first = start = 0
        for size, end, stop in zip(sizes, ends.tolist(), cuts, strict=True):
            last = bisect_left(refused, end, first)
            parts.append(self._part(end - size, size, slice(start, stop), slice(first, last)))
            start, first = stop, last
        return parts

    def _part(self, begin: int, size: int, scored: slice, rejected: slice) -> "Outcome":
        event_ids = None if self.event_ids is None else self.event_ids[scored]
        if isinstance(event_ids, list) and not any(event_id is not None for event_id in event_ids):
            event_ids = None
        return Outcome(
            size,
            self.rows[scored] - begin,
            self.customer_ids[scored],
            event_ids,
            self.scores[scored],
            self.decisions[scored],
            tuple(replace(rejection, row=rejection.row - begin) for rejection in self.rejections[rejected]),
            None if self.explanations is None else self.explanations.take(scored),
        )

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
            None if self.explanations is None else self.explanations.take(keep),
            self.frame,
        )


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the model says of the rows of a frame.

    Attributes:
        scores: One a row; of no meaning where the model failed.
        explanations: One a row likewise; None unless they are wanted.
        failed: By index the rows that the model cannot score or explain, with a sentence each.
    """

    scores: npt.NDArray[np.float64]
    explanations: Explanations | None
    failed: dict[int, str]

    def followed_by(self, others: "_Answers") -> "_Answers":
        """The answers of both, for a frame that was cut in two."""
        before = len(self.scores)
        failed = self.failed | {before + index: detail for index, detail in others.failed.items()}
        return _Answers(
            np.concatenate([self.scores, others.scores]),
            joined(self.explanations, others.explanations),
            failed,
        )


class Predictor:
    """Scores events and rows with one model. Pure: no I/O after loading, no clock, no state."""

    def __init__(self, model: Model, *, quick: bool = True, explain: int | None = None) -> None:
        """Use `load` to read a model directory with its golden rows checked.

        Args:
            model: The model to score with.
            quick: Whether events may be read by the quick decoder first (see shared/events.py).
            explain: How many of the largest contributions to give with each score; None: no explanations.

        Raises:
            NotExplainableError: Explanations are wanted of a model whose kind has none.
        """
        self.model = model
        self._events = EventParser(model.schema, quick=quick)
        self._tables = TableParser(model.schema)
        self._together = model.declaration.execution.rows == "any"
        self._explain = explain
        if explain is not None:
            self.explain_frame(self._events.parse([]).frame)

    @classmethod
    def load(cls, directory: Path | str, *, explain: int | None = None) -> Self:
        """Reads a model directory and scores its golden rows at several batch sizes.

        Args:
            directory: The model's directory.
            explain: How many of the largest contributions to give with each score; None: no explanations.

        Raises:
            ModelError: The directory is not a valid model, a golden row does not get its score, its own
                certificate says that the model must not run, or explanations are wanted of a model whose
                kind has none.
        """
        model = read_model(Path(directory))
        standing = standing_of(Path(directory), model)
        if standing.state == "refused":
            raise ModelError(
                f"{directory}: {model.id} was found not to score alike on both paths: {standing.detail}",
                hint="Mend the model, and certify it again: python -m batch model certify.",
            )
        predictor = cls(model, explain=explain)
        predictor.check_golden_rows()
        return predictor

    def score_json(self, values: Sequence[bytes | None]) -> Outcome:
        """Scores events.

        Args:
            values: One JSON object each; None is a tombstone and is rejected as such.
        """
        return self.score_parsed(self._events.parse(values))

    def score_table(self, batch: pa.RecordBatch, *, text: bool = False) -> Outcome:
        """Scores rows.

        Args:
            batch: The rows; columns that the model does not declare are ignored unless it is strict.
            text: Whether the columns hold text that was never typed, as those of a CSV file.
        """
        return self.score_parsed(self.parse_table(batch, text=text))

    def score_one(self, event: Mapping[str, Any] | bytes) -> Outcome:
        """Scores a single event, as a batch of one.

        Args:
            event: The event's bytes, or a mapping that is written as JSON first.
        """
        value = event if isinstance(event, bytes) else json.dumps(event).encode()
        return self.score_json([value])

    def parse_json(self, values: Sequence[bytes | None]) -> Parsed:
        """Validates events without scoring them, for a snapshot's parsed inputs or for `score_parsed`."""
        return self._events.parse(values)

    def parse_table(self, batch: pa.RecordBatch, *, text: bool = False) -> Parsed:
        """Validates rows without scoring them: as `score_table` does."""
        return self._tables.parse(batch, text=text)

    def score_parsed(self, parsed: Parsed) -> Outcome:
        """Scores events or rows that are validated already.

        Args:
            parsed: What `parse_json` or `parse_table` made of them, of this predictor or of one with the same
                schema.
        """
        answers = self._answers(parsed.frame)
        failures = [
            Rejection(int(parsed.rows[index]), Reason.MODEL_ERROR, None, detail)
            for index, detail in answers.failed.items()
        ]
        return Outcome(
            parsed.total,
            parsed.rows,
            parsed.customer_ids,
            parsed.event_ids,
            answers.scores,
            answers.scores > self.model.threshold,
            parsed.rejections,
            answers.explanations,
            parsed.frame,
        ).without(failures)

    def score_frame(self, frame: Frame) -> npt.NDArray[np.float64]:
        """Scores valid rows: together, or one at a time when the model declares that.

        Raises:
            Exception: Whatever the model raises for a row that it cannot score.
        """
        return self._run(self.model.scorer.score, frame)

    def explain_frame(self, frame: Frame) -> Contributions:
        """What each feature added to the raw score of valid rows, together or one at a time.

        Raises:
            NotExplainableError: The model's kind cannot say.
        """
        explain = self.model.scorer.explain
        if self._together or frame.count <= 1:
            return explain(frame)
        alone = [explain(frame.slice(row, row + 1)) for row in range(frame.count)]
        return Contributions(
            np.concatenate([row.values for row in alone]),
            np.concatenate([row.base for row in alone]),
        )

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
            if actual.hex() != expected.hex():
                raise ModelError(
                    f"{self.model.id}: golden row {row} scores {actual!r} in batches of {size},"
                    f" not {expected!r}",
                    hint=hint,
                )

    def _answers(self, frame: Frame) -> _Answers:
        """The scores of a frame, and their explanations when they are wanted.

        When the model raises, the frame is halved until the offending rows are found.
        """
        try:
            return self._scored(frame) if self._explain is None else self._explained(frame, self._explain)
        except Exception as error:  # noqa: BLE001 - a model may raise anything; its row is rejected
            if frame.count <= 1:
                detail = f"the model failed: {type(error).__name__}: {error}"
                failed = dict.fromkeys(range(frame.count), detail)
                return _Answers(np.zeros(frame.count), self._no_explanations(frame.count), failed)
            middle = frame.count // 2
            first, second = frame.slice(0, middle), frame.slice(middle, frame.count)
            return self._answers(first).followed_by(self._answers(second))

    def _scored(self, frame: Frame) -> _Answers:
        scores = self.score_frame(frame)
        return _Answers(scores, None, _infinite(scores))

    def _explained(self, frame: Frame, count: int) -> _Answers:
        """Scores with explanations: nothing is given for a row whose contributions do not add up."""
        scorer = self.model.scorer
        raw, contributions = self._run(scorer.raw, frame), self.explain_frame(frame)
        scores = scorer.link(raw)
        failed = misfits(raw, contributions, scorer.tolerance) | _infinite(scores)
        return _Answers(scores, largest(contributions, count), failed)

    def _no_explanations(self, rows: int) -> Explanations | None:
        """Of the form that explanations have, for rows that the model failed for."""
        if self._explain is None:
            return None
        nothing = Contributions(np.zeros((rows, len(self.model.schema.features))), np.zeros(rows))
        return largest(nothing, self._explain)

    def _run(
        self, score: Callable[[Frame], npt.NDArray[np.float64]], frame: Frame
    ) -> npt.NDArray[np.float64]:
        """Runs the model over rows together, or one at a time when it declares that."""
        if self._together or frame.count <= 1:
            return score(frame)
        return np.concatenate([score(frame.slice(row, row + 1)) for row in range(frame.count)])


def _infinite(scores: npt.NDArray[np.float64]) -> dict[int, str]:
    """The rows without a finite score, by index, with a sentence each."""
    finite = np.isfinite(scores)
    if finite.all():
        return {}
    return dict.fromkeys(np.flatnonzero(~finite).tolist(), "the model's score is not a finite number")


def select(ids: IdValues, keep: npt.NDArray[np.bool_]) -> IdValues:
    """The ids that a mask keeps."""
    if isinstance(ids, pa.Array):
        return ids.filter(pa.array(keep))
    return [value for value, kept in zip(ids, keep.tolist(), strict=True) if kept]
