"""Events of one partition to the records that must be written for them. Pure: no I/O, no clock."""

from dataclasses import dataclass

from shared.dead_letters import Origin, headers_for
from shared.kafka.columns import NewRecords, RecordColumns
from shared.predict import Outcome, Predictor
from shared.predictions import PredictionEncoder, position_prefix


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


class StreamScorer:
    """Scores events and forms their predictions and dead letters.

    Args:
        predictor: The model.
        output_topic: Where predictions go.
        dead_letter_topic: Where rejections go.
    """

    def __init__(self, predictor: Predictor, output_topic: str, dead_letter_topic: str) -> None:
        self._predictor = predictor
        self._encoder = PredictionEncoder(predictor.model)
        self._output_topic = output_topic
        self._dead_letter_topic = dead_letter_topic

    def score(self, events: RecordColumns, now: int) -> Scored:
        """Scores events of one partition.

        Args:
            events: What was read.
            now: The timestamp of the records to write, in milliseconds since the epoch.
        """
        outcome = self._predictor.score_json(events.values)
        predictions, letters = self._predictions(events, outcome, now), self._letters(events, outcome, now)
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
        return NewRecords(
            self._dead_letter_topic,
            events.partition,
            [events.keys[row] for row in rows],
            [events.values[row] for row in rows],
            now,
            headers,
        )
