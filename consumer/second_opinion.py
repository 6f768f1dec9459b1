"""Events that the stream has answered, scored again by columns: where do the two disagree?

Pure: no I/O, no clock. The second score shares the model with the first, and nothing else: the events are
read anew from their bytes, by pydantic alone, which defines what is accepted, and not by the quick decoder
that the stream lets go first; they become rows of typed columns, which are validated and scored as the batch
path does. What comes out is written as predictions, and must be, byte for byte, what was published, as must
the dead letters be those of these events (consumer/written.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from consumer.scoring import Given, Scored, place_of
from consumer.written import Written, written_for
from shared.columnar import score_by_columns, valid_rows
from shared.events import MAX_EVENT_BYTES
from shared.explanations import Explanations
from shared.frame import Column, IdValues
from shared.kafka.columns import RecordColumns
from shared.models.directory import Model
from shared.position import position_prefix
from shared.predict import Outcome, Predictor
from shared.predictions import PredictionEncoder, as_list
from shared.schema import EVENT_ID, Reason, Rejection

Rows = npt.NDArray[np.int64]


class Kind(StrEnum):
    """In what the two disagree; of several the first is told, as it explains those that follow."""

    REJECTION = "rejection"
    INPUT = "input"
    DECISION = "decision"
    BITS = "bits"
    EXPLANATION = "explanation"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An event of which the two say different things. It holds nothing of the event's content.

    Attributes:
        kind: In what.
        position: `topic/partition/offset`.
        stream: What the stream said: a score in hexadecimal, which shows every bit, and the decision, or why
            the event is rejected.
        columns: What came out by columns.
        field: The first input or id that is another; None where none is.
    """

    kind: Kind
    position: str
    stream: str
    columns: str
    field: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """Some events of one partition, and what the stream made of them.

    Attributes:
        events: The events, without their headers.
        outcome: What became of them, by their index here.
        written: What was written for each, its prediction or its dead letter; None: nothing.
        given: Which of them the model was given, and as what.
    """

    events: RecordColumns
    outcome: Outcome
    written: Sequence[Written | None]
    given: Given

    @classmethod
    def of(cls, scored: Scored, given: Given, rows: Rows, topic: str, dead_letter_topic: str) -> Self:
        """Takes some events out of those of a batch.

        Args:
            scored: The events of one partition.
            given: What the model was given of them.
            rows: The index of those to take, ascending.
            topic: Where predictions are published; a shadow's go elsewhere.
            dead_letter_topic: Where rejections are.
        """
        was_scored, places = _found(rows, scored.outcome.rows)
        was_given, in_frame = _found(rows, given.rows)
        return cls(
            _events_at(scored.events, rows.tolist()),
            _taken(scored.outcome, rows, was_scored, places),
            written_for(scored, rows, topic, dead_letter_topic),
            Given(given.model, given.frame.take(in_frame), was_given),
        )

    def __len__(self) -> int:
        return len(self.events)

    @property
    def size(self) -> int:
        """The bytes of the events, with their keys."""
        return sum(size_of(self.events, row) for row in range(len(self)))


def size_of(events: RecordColumns, row: int) -> int:
    """The bytes of an event, with its key."""
    return len(events.values[row] or b"") + len(events.keys[row] or b"")


def _events_at(events: RecordColumns, rows: Sequence[int]) -> RecordColumns:
    return RecordColumns(
        events.topic,
        events.partition,
        [events.offsets[row] for row in rows],
        [events.timestamps[row] for row in rows],
        [events.keys[row] for row in rows],
        [events.values[row] for row in rows],
        next_offset=events.next_offset,
    )


def _found(wanted: Rows, among: Rows) -> tuple[Rows, Rows]:
    """Which of some rows are among others, by their index, and where there; both ascending."""
    places = np.searchsorted(among, wanted)
    there = np.flatnonzero(places < len(among))
    here = there[among[places[there]] == wanted[there]]
    return here, places[here]


def _taken(outcome: Outcome, rows: Rows, scored: Rows, places: Rows) -> Outcome:
    """The outcome of some events alone.

    Args:
        outcome: That of all.
        rows: The index of those events.
        scored: Which of `rows` have a score.
        places: Where these scores stand.
    """
    index = {row: place for place, row in enumerate(rows.tolist())}
    return Outcome(
        len(rows),
        scored,
        _ids_at(outcome.customer_ids, places),
        None if outcome.event_ids is None else _ids_at(outcome.event_ids, places),
        outcome.scores[places],
        outcome.decisions[places],
        tuple(
            Rejection(index[refused.row], refused.reason, refused.field, refused.detail)
            for refused in outcome.rejections
            if refused.row in index
        ),
        None if outcome.explanations is None else outcome.explanations.take(places),
    )


def _ids_at(ids: IdValues, places: Rows) -> Sequence[Any]:
    known = as_list(ids)
    return [known[place] for place in places.tolist()]


class SecondOpinion:
    """Scores events by columns with one model.

    Args:
        model: The model that the stream scored them with.
        explain: How many contributions each of its predictions has; None: it explains none.
    """

    def __init__(self, model: Model, explain: int | None) -> None:
        self.model = model
        self._predictor = Predictor(model, quick=False, explain=explain)
        self._encoder = PredictionEncoder(model)

    @classmethod
    def on(cls, answered: Answered) -> Self:
        """One that can judge an answer."""
        explanations = answered.outcome.explanations
        return cls(answered.given.model, None if explanations is None else explanations.inputs.shape[1])

    def disagreements(self, several: Sequence[Answered]) -> list[Disagreement]:
        """Scores events again, and says where that is not what the stream said.

        Args:
            several: Events, all of which were scored with this model.

        Raises:
            Exception: Whatever goes wrong in it; that says nothing of the stream's answers.
        """
        whole = score_by_columns(self._predictor, [value for one in several for value in one.events.values])
        sizes = [len(one) for one in several]
        begins = np.cumsum([0, *sizes])
        rows = valid_rows(whole)
        cuts = np.searchsorted(rows, begins).tolist()
        found: list[Disagreement] = []
        for number, (one, again) in enumerate(zip(several, whole.parts(sizes), strict=True)):
            start, stop = cuts[number : number + 2]
            other_input: dict[int, str] = {}
            if whole.frame is not None:
                theirs = Given(self.model, whole.frame.slice(start, stop), rows[start:stop] - begins[number])
                other_input = _other_inputs(one.given, theirs)
            numbers = [one.events.offsets[row] for row in again.rows.tolist()]
            prefix = position_prefix(one.events.topic, one.events.partition)
            expected = self._encoder.encode(again, prefix, numbers)
            found += _Comparison(one, again, expected, other_input).disagreements()
        return found


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The two answers of some events of one partition.

    Attributes:
        ours: The stream's.
        again: What came out by columns.
        expected: That as predictions, as they should have been published.
        other_input: By row, the first input that the model was not given alike.
    """

    ours: Answered
    again: Outcome
    expected: Sequence[bytes]
    other_input: Mapping[int, str]

    def disagreements(self) -> list[Disagreement]:
        """Each event of which they say different things."""
        ours, again = _by_row(self.ours.outcome), _by_row(self.again)
        if (
            not self.other_input
            and ours == again
            and all(self._is_written(row, ours[row], again[row]) for row in range(len(self.ours)))
        ):
            return []
        found = []
        for row in range(len(self.ours)):
            kind, field = self._kind(row, ours[row], again[row])
            if kind is not None:
                position = f"{place_of(self.ours.events)}/{self.ours.events.offsets[row]}"
                stream, columns = _said(self.ours.outcome, ours[row]), _said(self.again, again[row])
                found.append(Disagreement(kind, position, stream, columns, field))
        return found

    def _kind(self, row: int, mine: int | Reason, other: int | Reason) -> tuple[Kind | None, str | None]:
        """In what the two disagree, if they do, and the field at fault.

        Args:
            row: The event.
            mine: Where the stream's score stands, or why it rejected the event.
            other: The same by columns.
        """
        if isinstance(mine, Reason) or isinstance(other, Reason):
            return self._kind_of_rejection(row, mine, other), None
        field = self.other_input.get(row) or self._other_id(mine, other)
        if field is not None:
            return Kind.INPUT, field
        if self._is_written(row, mine, other):
            return None, None
        stream, columns = self.ours.outcome, self.again
        if stream.decisions[mine] != columns.decisions[other]:
            return Kind.DECISION, None
        if float(stream.scores[mine]).hex() != float(columns.scores[other]).hex():
            return Kind.BITS, None
        explained = stream.explanations, columns.explanations
        return (Kind.PUBLISHED if _alike(*explained, mine, other) else Kind.EXPLANATION), None

    def _kind_of_rejection(self, row: int, mine: int | Reason, other: int | Reason) -> Kind | None:
        if mine != other and not self._only_its_topic_refused(row, mine, other):
            return Kind.REJECTION
        return None if self._is_written(row, mine, other) else Kind.PUBLISHED

    def _is_written(self, row: int, mine: int | Reason, other: int | Reason) -> bool:
        """Whether what was written for an event is what must be, as the two agree on what became of it."""
        written, events = self.ours.written[row], self.ours.events
        if written is None:
            return False
        if isinstance(mine, Reason):
            return written.is_letter(events, row, mine, self.ours.given.model.id)
        return isinstance(other, int) and written.is_prediction(events, row, self.expected[other])

    def _only_its_topic_refused(self, row: int, mine: int | Reason, other: int | Reason) -> bool:
        """Whether an event has a score on both paths, and a prediction that is too large for its topic."""
        value = self.ours.events.values[row]
        readable = value is not None and len(value) <= MAX_EVENT_BYTES
        return mine == Reason.TOO_LARGE and readable and isinstance(other, int)

    def _other_id(self, mine: int, other: int) -> str | None:
        stream, columns = self.ours.outcome, self.again
        for name, ids, others in (
            (self.ours.given.model.schema.key, stream.customer_ids, columns.customer_ids),
            (EVENT_ID, stream.event_ids, columns.event_ids),
        ):
            if _at(ids, mine) != _at(others, other):
                return name
        return None


def _by_row(outcome: Outcome) -> dict[int, int | Reason]:
    """By row, where its score stands, or why it is rejected."""
    scored = {row: place for place, row in enumerate(outcome.rows.tolist())}
    return scored | {rejection.row: rejection.reason for rejection in outcome.rejections}


def _said(outcome: Outcome, answer: int | Reason) -> str:
    if isinstance(answer, Reason):
        return f"rejected: {answer}"
    decision = "true" if outcome.decisions[answer] else "false"
    return f"{float(outcome.scores[answer]).hex()} ({decision})"


def _at(ids: IdValues | None, place: int) -> Any:
    """An id with its type, since 1 is another id than True."""
    value = None if ids is None else ids[place]
    value = value.as_py() if isinstance(value, pa.Scalar) else value
    return type(value), value


def _alike(ours: Explanations | None, theirs: Explanations | None, mine: int, other: int) -> bool:
    """Whether both explain a score alike."""
    if ours is None or theirs is None:
        return ours is theirs
    return all(
        one[mine].tobytes() == again[other].tobytes()
        for one, again in (
            (ours.base, theirs.base),
            (ours.inputs, theirs.inputs),
            (ours.contributions, theirs.contributions),
        )
    )


def _other_inputs(ours: Given, theirs: Given) -> dict[int, str]:
    """By row the first input that the model was not given alike, of those that it was given by both."""
    here, there = _found(ours.rows, theirs.rows)
    found: dict[int, str] = {}
    for name, column in ours.frame.columns.items():
        for place in np.flatnonzero(_differ(column[here], theirs.frame.columns[name][there])).tolist():
            found.setdefault(int(ours.rows[here[place]]), name)
    return found


def _differ(ours: Column, theirs: Column) -> npt.NDArray[np.bool_]:
    """Where two columns differ; NaN, which stands for a missing value, is like NaN."""
    nan = (ours != ours) & (theirs != theirs)  # noqa: PLR0124 - only NaN is not itself
    found: npt.NDArray[np.bool_] = (ours != theirs) & ~nan
    return found
