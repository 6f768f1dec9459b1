"""Events of one partition to the records that must be written for them. Pure but for `Sizer`; no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from consumer.models.comparison import Comparison
from consumer.models.recent import Recent
from consumer.trace import handed_on
from shared.dead_letters import Origin, headers_for, stub_of
from shared.frame import Frame, Parsed
from shared.kafka.columns import Header, NewRecords, RecordColumns
from shared.ledger import check_balance
from shared.models.directory import Model
from shared.position import position_prefix
from shared.predict import Outcome, Predictor
from shared.predictions import PredictionEncoder
from shared.schema import Reason, Rejection, Schema


class Sizer(Protocol):
    """What the scorer needs of a writer (shared/kafka/writer.py)."""

    def too_large(self, records: NewRecords) -> Sequence[int]:
        """The records, by index, that their topic does not take."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a model was given of the events of one partition.

    Attributes:
        model: The model.
        frame: The valid events.
        rows: The index of each of them among the partition's events, ascending.
    """

    model: Model
    frame: Frame
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Events of one partition and what became of them.

    Attributes:
        events: What was read.
        outcome: A score or a rejection for each.
        records: What to write: predictions, dead letters when there are any, and a shadow's predictions.
        comparison: What the shadow said of the same events; None without a shadow, or when it failed.
        given: What was scored; None unless the scorer is told to keep it.
    """

    events: RecordColumns
    outcome: Outcome
    records: tuple[NewRecords, ...]
    comparison: Comparison | None = None
    given: Given | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What was read in the events of a batch, for another model that declares the same inputs.

    Attributes:
        schema: The inputs by which it was read.
        parsed: The events, all partitions' together.
    """

    schema: Schema
    parsed: Parsed


class Serving:
    """A model that is ready to score, with what writes its predictions."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._encoder = PredictionEncoder(predictor.model)

    @property
    def newest(self) -> "Serving":
        """Itself: a model that nothing replaces."""
        return self

    def predictions(
        self,
        topic: str,
        events: RecordColumns,
        outcome: Outcome,
        trace: Mapping[int, Sequence[Header]],
        now: int,
    ) -> NewRecords:
        """The predictions of an outcome, under their events' keys and partition number.

        Args:
            topic: Where they go.
            events: What was scored.
            outcome: What became of it.
            trace: By row, the headers that an event hands on to its prediction.
            now: The records' timestamp, in milliseconds since the epoch.
        """
        keys, offsets, rows = events.keys, events.offsets, range(len(events))
        if outcome.rejections:
            rows = outcome.rows.tolist()
            keys, offsets = [keys[row] for row in rows], [offsets[row] for row in rows]
        values = self._encoder.encode(outcome, position_prefix(events.topic, events.partition), offsets)
        headers = [trace.get(row, ()) for row in rows] if trace else None
        return NewRecords(topic, events.partition, keys, values, now, headers)


class Models(Protocol):
    """Where the model comes from that scores the next batch (`Serving`, or consumer/models/watch.py)."""

    @property
    def newest(self) -> Serving:
        """The newest one that is ready."""


def fitting_predictions(
    serving: Serving, events: RecordColumns, outcome: Outcome, topic: str, sizer: Sizer, now: int
) -> tuple[Outcome, NewRecords]:
    """The predictions that their topic takes, and the outcome with a rejection for each other one.

    Args:
        serving: The model that scored.
        events: What was scored.
        outcome: What became of it.
        topic: Where the predictions go.
        sizer: Tells what it does not take.
        now: The records' timestamp, in milliseconds since the epoch.
    """
    trace = handed_on(events.headers)
    predictions = serving.predictions(topic, events, outcome, trace, now)
    large = sizer.too_large(predictions)
    if large and trace:
        # Better a prediction without its trace context than none.
        for place in large:
            trace.pop(int(outcome.rows[place]), None)
        predictions = serving.predictions(topic, events, outcome, trace, now)
        large = sizer.too_large(predictions)
    if large:
        # Its key is what makes it large.
        detail = f"the prediction, with the event's key, is larger than topic {topic} takes"
        outcome = outcome.without(
            [Rejection(int(outcome.rows[place]), Reason.TOO_LARGE, None, detail) for place in large]
        )
        predictions = serving.predictions(topic, events, outcome, trace, now)
    return outcome, predictions


def given_of(model: Model, parsed: Parsed, sizes: Sequence[int]) -> list[Given]:
    """What a model was given of consecutive pieces of a batch.

    Args:
        model: The model.
        parsed: What was read in all of the batch.
        sizes: How many events each piece has; together all of the batch.
    """
    begins = np.cumsum([0, *sizes])
    cuts = np.searchsorted(parsed.rows, begins).tolist()
    return [
        Given(model, parsed.frame.slice(start, stop), parsed.rows[start:stop] - begin)
        for (start, stop), begin in zip(pairwise(cuts), begins.tolist(), strict=False)
    ]


def place_of(events: RecordColumns) -> str:
    """What the ledger calls a partition."""
    return f"{events.topic}/{events.partition}"


class StreamScorer:
    """Scores events and forms their predictions and dead letters, each of which fits its topic.

    Args:
        models: The model, or where the newest one is to be had: each batch is scored with one of them.
        output_topic: Where predictions go.
        dead_letter_topic: Where rejections go.
        sizer: Tells what a topic does not take. A compressed event may be larger than any uncompressed one
            that its topic takes, and the topics for output are no larger than that.
        recent: Keeps the last events, for trying a new model on; None: nobody asks.
        keep_given: Whether to hand on what the model was given.
    """

    def __init__(
        self,
        models: Predictor | Models,
        output_topic: str,
        dead_letter_topic: str,
        sizer: Sizer,
        recent: Recent | None = None,
        *,
        keep_given: bool = False,
    ) -> None:
        self._models = Serving(models) if isinstance(models, Predictor) else models
        self._output_topic = output_topic
        self._dead_letter_topic = dead_letter_topic
        self._sizer = sizer
        self._recent = recent
        self._keep_given = keep_given

    def score(self, batch: Sequence[RecordColumns], now: int, attempt: int = 1) -> list[Scored]:
        """Scores a batch, all of it with one model.

        Args:
            batch: What was read, one entry a partition.
            now: The timestamp of the records to write, in milliseconds since the epoch.
            attempt: Which attempt at scoring these events this is, for their dead letters.

        Raises:
            LedgerError: An event was lost or made twice.
            RecoverableError, ConfigurationError: The limits of a topic are not known and cannot be read.
        """
        return self.score_and_keep(batch, now, attempt)[0] if batch else []

    def score_and_keep(
        self, batch: Sequence[RecordColumns], now: int, attempt: int = 1
    ) -> tuple[list[Scored], Kept]:
        """As `score`; also gives what was read in the events, all partitions' together."""
        serving = self._models.newest
        predictor = serving.predictor
        # One call for all partitions: a call costs as much as scoring a dozen events.
        values = [value for events in batch for value in events.values]
        if self._recent is not None:
            self._recent.add(values)
        parsed = predictor.parse_json(values)
        outcome = predictor.score_parsed(parsed)
        sizes = [len(events) for events in batch]
        scored = [
            self._scored(serving, events, part, now, attempt)
            for events, part in zip(batch, outcome.parts(sizes), strict=True)
        ]
        if self._keep_given:
            given = given_of(predictor.model, parsed, sizes)
            scored = [replace(one, given=of_one) for one, of_one in zip(scored, given, strict=True)]
        return scored, Kept(predictor.model.schema, parsed)

    def _scored(
        self, serving: Serving, events: RecordColumns, outcome: Outcome, now: int, attempt: int
    ) -> Scored:
        check_balance(place_of(events), len(events), outcome)
        outcome, predictions = fitting_predictions(
            serving, events, outcome, self._output_topic, self._sizer, now
        )
        letters = self._letters(serving.predictor.model.id, events, outcome, now, attempt)
        return Scored(events, outcome, tuple(records for records in (predictions, letters) if len(records)))

    def _letters(
        self, model: str, events: RecordColumns, outcome: Outcome, now: int, attempt: int
    ) -> NewRecords:
        rows = [rejection.row for rejection in outcome.rejections]
        headers = [
            headers_for(
                rejection,
                Origin(events.topic, events.partition, events.offsets[row], events.timestamps[row]),
                model,
                events.headers.get(row, ()),
                attempt,
            )
            for row, rejection in zip(rows, outcome.rejections, strict=True)
        ]
        keys, values = [events.keys[row] for row in rows], [events.values[row] for row in rows]
        letters = NewRecords(self._dead_letter_topic, events.partition, keys, values, now, headers)
        for row in self._sizer.too_large(letters):
            keys[row], headers[row] = stub_of(keys[row], values[row], headers[row])
            values[row] = None
        return letters
