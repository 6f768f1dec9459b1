"""Events of one partition to the records that must be written for them. Pure but for `Sizer`; no clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.dead_letters import Origin, headers_for, stub_of
from shared.kafka.columns import NewRecords, RecordColumns
from shared.ledger import check_balance
from shared.predict import Outcome, Predictor
from shared.predictions import PredictionEncoder, position_prefix
from shared.schema import Reason, Rejection


class Sizer(Protocol):
    """What the scorer needs of a writer (shared/kafka/writer.py)."""

    def too_large(self, records: NewRecords) -> Sequence[int]:
        """The records, by index, that their topic does not take."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Events of one partition and what became of them.

    Attributes:
        events: What was read.
        outcome: A score or a rejection for each.
        records: What to write: predictions, and dead letters when there are any.
    """

    events: RecordColumns
    outcome: Outcome
    records: tuple[NewRecords, ...]


def place_of(events: RecordColumns) -> str:
    """What the ledger calls a partition."""
    return f"{events.topic}/{events.partition}"


class StreamScorer:
    """Scores events and forms their predictions and dead letters, each of which fits its topic.

    Args:
        predictor: The model.
        output_topic: Where predictions go.
        dead_letter_topic: Where rejections go.
        sizer: Tells what a topic does not take. A compressed event may be larger than any uncompressed one
            that its topic takes, and the topics for output are no larger than that.
    """

    def __init__(self, predictor: Predictor, output_topic: str, dead_letter_topic: str, sizer: Sizer) -> None:
        self._predictor = predictor
        self._encoder = PredictionEncoder(predictor.model)
        self._output_topic = output_topic
        self._dead_letter_topic = dead_letter_topic
        self._sizer = sizer

    def score(self, batch: Sequence[RecordColumns], now: int) -> list[Scored]:
        """Scores a batch, all of it with one model.

        Args:
            batch: What was read, one entry a partition.
            now: The timestamp of the records to write, in milliseconds since the epoch.

        Raises:
            LedgerError: An event was lost or made twice.
            RecoverableError, ConfigurationError: The limits of a topic are not known and cannot be read.
        """
        return [self._scored(events, now) for events in batch]

    def _scored(self, events: RecordColumns, now: int) -> Scored:
        outcome = self._predictor.score_json(events.values)
        check_balance(place_of(events), len(events), outcome)
        predictions = self._predictions(events, outcome, now)
        if large := self._sizer.too_large(predictions):
            # Its key is what makes it large.
            detail = f"the prediction, with the event's key, is larger than topic {self._output_topic} takes"
            outcome = outcome.without(
                [Rejection(int(outcome.rows[row]), Reason.TOO_LARGE, None, detail) for row in large]
            )
            predictions = self._predictions(events, outcome, now)
        letters = self._letters(events, outcome, now)
        return Scored(events, outcome, tuple(records for records in (predictions, letters) if len(records)))

    def _predictions(self, events: RecordColumns, outcome: Outcome, now: int) -> NewRecords:
        keys, offsets = events.keys, events.offsets
        if outcome.rejections:
            rows = outcome.rows.tolist()
            keys, offsets = [keys[row] for row in rows], [offsets[row] for row in rows]
        values = self._encoder.encode(outcome, position_prefix(events.topic, events.partition), offsets)
        return NewRecords(self._output_topic, events.partition, keys, values, now)

    def _letters(self, events: RecordColumns, outcome: Outcome, now: int) -> NewRecords:
        rows = [rejection.row for rejection in outcome.rejections]
        headers = [
            headers_for(
                rejection,
                Origin(events.topic, events.partition, events.offsets[row], events.timestamps[row]),
                self._predictor.model.id,
                events.headers.get(row, ()),
            )
            for row, rejection in zip(rows, outcome.rejections, strict=True)
        ]
        keys, values = [events.keys[row] for row in rows], [events.values[row] for row in rows]
        letters = NewRecords(self._dead_letter_topic, events.partition, keys, values, now, headers)
        for row in self._sizer.too_large(letters):
            keys[row], headers[row] = stub_of(keys[row], values[row], headers[row])
            values[row] = None
        return letters
