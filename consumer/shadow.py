"""A challenger that scores beside the champion, to a topic of its own, and decides nothing.

The edge of the shadow is `Shadowed.score`: whatever fails in the challenger ends there, and a challenger that
fails again and again, or takes too long, is switched off until another one takes over from it.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final, Protocol

import numpy as np

from consumer.comparison import compare
from consumer.scoring import Models, Scored, Serving, Sizer, StreamScorer, fitting_predictions, place_of
from shared.deadline import Deadline
from shared.kafka.columns import RecordColumns
from shared.ledger import check_balance
from shared.predict import Outcome
from shared.schema import Reason

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
    """What is told of the challenger (consumer/telemetry.py)."""

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
        self._begin(challengers.newest)
        self._warned = -_WARN_SECONDS

    def _begin(self, challenger: Serving) -> None:
        self._challenger = challenger
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
        began = time.monotonic()
        scored = self._champion.score(batch, now)
        if (newest := self._challengers.newest) is not self._challenger:
            self._begin(newest)
        if self._failures >= MOST_FAILURES:
            return scored
        most = max(self._seconds, MOST_TIMES * (time.monotonic() - began))
        try:
            beside = self._beside(scored, now, most)
        except Exception as error:  # noqa: BLE001 - nothing of the challenger harms the champion
            self._failed(error)
            return scored
        self._failures = 0
        return beside

    def _beside(self, scored: Sequence[Scored], now: int, most: float) -> list[Scored]:
        deadline = Deadline.after(most)
        beside = []
        for one in scored:
            outcome = self._outcome(one.events, deadline, most)
            check_balance(place_of(one.events), len(one.events), outcome)
            outcome, predictions = fitting_predictions(
                self._challenger, one.events, outcome, self._topic, self._sizer, now
            )
            records = (*one.records, predictions) if len(predictions) else one.records
            beside.append(replace(one, records=records, comparison=compare(one.outcome, outcome)))
        return beside

    def _outcome(self, events: RecordColumns, deadline: Deadline, most: float) -> Outcome:
        """What the challenger makes of events.

        Raises:
            ShadowError: It fails for all of them, or takes too long.
        """
        outcomes, start = [], 0
        while start < len(events):
            began = time.monotonic()
            values = events.values[start : start + self._chunk]
            outcomes.append(self._challenger.predictor.score_json(values))
            _check_worth(outcomes[-1])
            if deadline.passed:
                done = start + len(values)
                raise ShadowError(f"it took more than {most:.3g} s for {done:,} events")
            start += len(values)
            if len(values) == self._chunk:
                quick = time.monotonic() - began < _QUICK_SECONDS
                self._chunk = min(_MOST, self._chunk * 4) if quick else max(_FEWEST, self._chunk // 2)
        return _joined(outcomes)

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


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of all events, which were scored in parts."""
    if len(outcomes) == 1:
        return outcomes[0]
    starts = [0, *accumulate(outcome.total for outcome in outcomes)]
    parts = list(zip(starts, outcomes, strict=False))
    event_ids = None
    if any(outcome.event_ids is not None for outcome in outcomes):
        event_ids = [
            event_id for outcome in outcomes for event_id in outcome.event_ids or [None] * len(outcome.rows)
        ]
    return Outcome(
        starts[-1],
        np.concatenate([start + outcome.rows for start, outcome in parts]),
        [customer for outcome in outcomes for customer in outcome.customer_ids],
        event_ids,
        np.concatenate([outcome.scores for outcome in outcomes]),
        np.concatenate([outcome.decisions for outcome in outcomes]),
        tuple(
            replace(rejection, row=start + rejection.row)
            for start, outcome in parts
            for rejection in outcome.rejections
        ),
    )
