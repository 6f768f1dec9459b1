"""A challenger that scores beside the champion, to a topic of its own, and decides nothing.

The edge of the shadow is `Shadowed.score`: whatever fails in the challenger ends there, and a challenger that
fails again and again, or takes too long, is switched off until another one takes over from it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from consumer.models.comparison import compare
from consumer.scoring import (
    Kept,
    Models,
    Scored,
    Serving,
    Sizer,
    StreamScorer,
    fitting_predictions,
    place_of,
)
from shared.deadline import Deadline
from shared.kafka.columns import RecordColumns
from shared.ledger import check_balance
from shared.predict import Outcome
from shared.schema import Reason, Rejection, Schema

logger = logging.getLogger(__name__)

#: How many times as long as the champion the challenger may take for a batch, where that is more than it may
#: take in any case.
MOST_TIMES: Final = 4
#: After so many batches in a row for which it failed it is switched off.
MOST_FAILURES: Final = 3
# Seconds between two warnings of failures.
_WARN_SECONDS: Final = 30.0
# Events that it is given at once. Its time is looked at in between, so that a slow one begins with few.
_FEWEST, _MOST = 32, 8192
_QUICK_SECONDS: Final = 0.02


class ShadowTelemetry(Protocol):
    """What is told of the challenger (consumer/operations/telemetry.py)."""

    def shadow_running(self, running: bool) -> None:
        """Whether it scores or is switched off."""

    def shadow_failed(self) -> None:
        """It failed for a batch, which has no shadow predictions."""


class ShadowError(Exception):
    """The challenger has no predictions for a batch; with a sentence."""


class Shadowed:
    """Scores with the champion, and beside it with a challenger.

    The challenger's predictions are written in the champion's transaction, under the same prediction ids; its
    rejections are counted and go nowhere. For a batch it has all of its predictions written or none.

    Args:
        champion: What scores.
        challengers: Where the newest challenger is to be had.
        topic: Where its predictions go.
        sizer: Tells what that topic does not take.
        seconds: How long the challenger may take for a batch in any case.
        telemetry: Is told of failures.
    """

    def __init__(
        self,
        champion: StreamScorer,
        challengers: Models,
        topic: str,
        sizer: Sizer,
        seconds: float,
        telemetry: ShadowTelemetry,
    ) -> None:
        self._champion = champion
        self._challengers = challengers
        self._topic = topic
        self._sizer = sizer
        self._seconds = seconds
        self._telemetry = telemetry
        self._schema: Schema | None = None
        self._alike = False
        self._begin(challengers.newest)
        self._warned = -_WARN_SECONDS

    def _begin(self, challenger: Serving) -> None:
        self._challenger = challenger
        self._schema = None
        self._failures = 0
        self._chunk = _FEWEST
        self._telemetry.shadow_running(True)

    def score(self, batch: Sequence[RecordColumns], now: int) -> list[Scored]:
        """Scores a batch with both; whatever the challenger does, the champion's part is as without it.

        Args:
            batch: What was read, one entry a partition.
            now: The timestamp of the records to write, in milliseconds since the epoch.

        Raises:
            LedgerError, RecoverableError, ConfigurationError: As the champion's.
        """
        if not batch:
            return []
        began = time.monotonic()
        scored, kept = self._champion.score_and_keep(batch, now)
        if (newest := self._challengers.newest) is not self._challenger:
            self._begin(newest)
        if self._failures >= MOST_FAILURES:
            return scored
        most = max(self._seconds, MOST_TIMES * (time.monotonic() - began))
        try:
            beside = self._beside(scored, kept, now, most)
        except Exception as error:  # noqa: BLE001 - nothing of the challenger harms the champion
            self._failed(error)
            return scored
        self._failures = 0
        return beside

    def _beside(self, scored: Sequence[Scored], kept: Kept, now: int, most: float) -> list[Scored]:
        outcome = self._outcome(scored, kept, most)
        beside = []
        for one, whole in zip(scored, outcome.parts([len(one.events) for one in scored]), strict=True):
            check_balance(place_of(one.events), len(one.events), whole)
            part, predictions = fitting_predictions(
                self._challenger, one.events, whole, self._topic, self._sizer, now
            )
            records = (*one.records, predictions) if len(predictions) else one.records
            beside.append(replace(one, records=records, comparison=compare(one.outcome, part)))
        return beside

    def _outcome(self, scored: Sequence[Scored], kept: Kept, most: float) -> Outcome:
        """What the challenger makes of a batch, all partitions together.

        Raises:
            ShadowError: It fails for all events, or takes too long.
        """
        deadline, predictor = Deadline.after(most), self._challenger.predictor
        if self._reads_alike(kept.schema):
            parsed = kept.parsed
            parts = self._in_parts(
                lambda start, stop: predictor.score_parsed(parsed.valid(start, stop)),
                parsed.frame.count,
                deadline,
            )
            return _joined(parsed.total, parts, parsed.rejections)
        values = [value for one in scored for value in one.events.values]
        parts = self._in_parts(
            lambda start, stop: _moved(predictor.score_json(values[start:stop]), start),
            len(values),
            deadline,
        )
        return _joined(len(values), parts)

    def _reads_alike(self, schema: Schema) -> bool:
        """Whether it declares the champion's inputs: what the champion has read is then not read again."""
        if schema is not self._schema:
            self._schema = schema
            self._alike = schema == self._challenger.predictor.model.schema
        return self._alike

    def _in_parts(
        self, score: Callable[[int, int], Outcome], count: int, deadline: Deadline
    ) -> list[Outcome]:
        """The outcomes of so many rows, in parts that are as large as the challenger is quick."""
        outcomes: list[Outcome] = []
        start = 0
        while start < count or not outcomes:
            began, stop = time.monotonic(), min(count, start + self._chunk)
            outcomes.append(score(start, stop))
            _check_worth(outcomes[-1])
            if deadline.passed:
                raise ShadowError(f"it took too long: {stop:,} events of {count:,} were done")
            if stop - start == self._chunk:
                quick = time.monotonic() - began < _QUICK_SECONDS
                self._chunk = min(_MOST, self._chunk * 4) if quick else max(_FEWEST, self._chunk // 2)
            start = stop
        return outcomes

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._telemetry.shadow_failed()
        told = str(error) if isinstance(error, ShadowError) else f"{type(error).__name__}: {error}"
        challenger = self._challenger.predictor.model.id
        if self._failures >= MOST_FAILURES:
            self._telemetry.shadow_running(False)
            logger.error(
                "The shadow %s failed for %d batches in a row and is switched off, until another model takes"
                " its place or the consumer is started again: %s",
                challenger,
                self._failures,
                told,
            )
        elif time.monotonic() - self._warned >= _WARN_SECONDS:
            self._warned = time.monotonic()
            logger.warning("The shadow %s failed for a batch: %s", challenger, told)


def _check_worth(outcome: Outcome) -> None:
    """Refuses an outcome in which the challenger raised for everything that it was to score."""
    if not len(outcome.rows):
        for rejection in outcome.rejections:
            if rejection.reason is Reason.MODEL_ERROR:
                raise ShadowError(f"it scores none of {outcome.total:,} events: {rejection.detail}")


def _moved(outcome: Outcome, start: int) -> Outcome:
    """The outcome of events of which the first has another index."""
    rejections = tuple(replace(rejection, row=start + rejection.row) for rejection in outcome.rejections)
    return replace(outcome, rows=outcome.rows + start, rejections=rejections)


def _joined(total: int, parts: Sequence[Outcome], refused: Sequence[Rejection] = ()) -> Outcome:
    """The outcome of all events.

    Args:
        total: How many there are.
        parts: The outcomes of parts of them, whose rows have their index among all.
        refused: Those that are in none of the parts.
    """
    event_ids = None
    if any(part.event_ids is not None for part in parts):
        event_ids = [each for part in parts for each in part.event_ids or [None] * len(part.rows)]
    rejections = [*refused, *(rejection for part in parts for rejection in part.rejections)]
    return Outcome(
        total,
        np.concatenate([part.rows for part in parts]),
        [customer for part in parts for customer in part.customer_ids],
        event_ids,
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.decisions for part in parts]),
        tuple(sorted(rejections, key=lambda rejection: rejection.row)),
    )
