"""The classes of the events of one window: the batch path's answers laid beside the stream's."""

import hashlib
import operator
from itertools import compress
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.proof.assigned import PLAIN, UNKNOWN, Assigned, contributions_of
from batch.proof.classes import CODES, Found
from batch.proof.fields import Difference, decision_of, decoded, difference, text_of
from batch.proof.judged import FALSE, REJECTED, SEVERAL, TRUE, UNREADABLE, Judged, Scored
from batch.proof.matching import Integers, Matched
from batch.proof.models import Models
from batch.sources import ids_of_events
from shared.columnar import inputs_column, score_rows
from shared.position import position_prefix
from shared.predict import Predictor
from shared.predictions import PredictionEncoder
from shared.schema import Reason, Rejection

# So many events at once are scored quickest: their objects stay in the processor's caches.
_PIECE: Final = 2048
_UNDECIDED: Final = -1


class WindowVerdicts:
    """Judges the events of one window, but for their order.

    Args:
        models: The models at hand.
        matched: The window with its answers.
        assigned: The model of each event.
        drawn: By event, whether it is in the sample that is scored.
    """

    def __init__(
        self, models: Models, matched: Matched, assigned: Assigned, drawn: npt.NDArray[np.bool_]
    ) -> None:
        self._models, self._matched, self._assigned, self._drawn = models, matched, assigned, drawn
        answers, events = matched.answers, len(matched.offsets)
        self._answers = answers
        self._prefix = position_prefix(matched.window.topic, matched.window.partition)
        single = answers.counts == 1
        alone = single[answers.rows]
        self._predicted, self._letter = (np.zeros(events, np.bool_) for _ in range(2))
        self._predicted[answers.rows[alone & answers.is_prediction]] = True
        self._letter[answers.rows[alone & ~answers.is_prediction]] = True
        rows = np.flatnonzero(self._letter)
        letters = answers.table.take(pa.array(answers.first[rows])).to_pylist()
        self._letters: dict[int, dict[str, Any]] = dict(zip(rows.tolist(), letters, strict=True))
        self._judged = Judged.empty(matched)
        self._codes = self._judged.codes

    def judge(self) -> Judged:
        """The classes of all events, none of them out of order."""
        self._count_answers()
        self._check_letters()
        wanted = self._drawn & (self._assigned.of_event != UNKNOWN)
        explained = self._contributions(wanted)
        groups = self._assigned.of_event * (explained.max(initial=PLAIN) + 2) + explained - PLAIN
        for group in np.unique(groups[wanted]).tolist():
            rows = np.flatnonzero(wanted & (groups == group))
            model = self._assigned.models[int(self._assigned.of_event[rows[0]])]
            count = int(explained[rows[0]])
            predictor = self._models.predictor(model, None if count == PLAIN else count)
            for start in range(0, len(rows), _PIECE):
                self._score(predictor, rows[start : start + _PIECE])
        self._try_others()
        self._stream_said()
        return self._judged

    def _count_answers(self) -> None:
        counts, codes = self._answers.counts, self._codes
        codes[counts == 0] = CODES[Found.MISSING]
        codes[counts > 1] = CODES[Found.DUPLICATED]
        codes[(counts == 1) & (self._assigned.of_event == UNKNOWN)] = CODES[Found.UNKNOWN_MODEL]
        codes[(codes == _UNDECIDED) & ~self._drawn] = CODES[Found.NOT_SAMPLED]

    def _check_letters(self) -> None:
        """Whether dead letters hold the bytes of their events, or what they say of the bytes is true."""
        for row, letter in self._letters.items():
            if self._codes[row] != _UNDECIDED:
                continue
            value = self._matched.values[row]
            if letter["sha256"] is None:
                same, told = letter["value"] == value, letter["value"]
            else:
                whole = value or b""
                told = f"{letter['bytes']} bytes, sha256 {letter['sha256']}"
                same = (letter["bytes"], letter["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())
            if not same:
                detail = "the dead letter is of other bytes than the event's"
                shown = None if told is None else text_of(told)
                batch = None if value is None else text_of(value)
                self._differs(row, Difference(Found.OTHER_INPUT, detail, None, shown, batch))

    def _contributions(self, wanted: npt.NDArray[np.bool_]) -> Integers:
        """By event how many contributions its prediction has; PLAIN where none, or where it is not wanted.

        No more than its model has inputs: no stream of it wrote more.
        """
        found = np.full(len(wanted), PLAIN, np.int64)
        rows = np.flatnonzero(wanted & self._predicted)
        values = self._answers.values
        found[rows] = [contributions_of(values[place]) for place in self._answers.first[rows].tolist()]
        inputs = np.array([len(model.schema.features) for model in self._assigned.models])
        told: Integers = np.minimum(found, inputs[self._assigned.of_event])
        return told

    def _score(self, predictor: Predictor, rows: Integers) -> None:
        """Scores events and decides what is left to decide of them."""
        judged, schema = self._judged, predictor.model.schema
        values = [self._matched.values[row] for row in rows.tolist()]
        inputs = inputs_column(schema, predictor.parse_json(values))
        outcome = score_rows(predictor, pa.array(values, pa.binary()), inputs)
        judged.scored.append(Scored(predictor, rows, inputs, outcome))
        judged.predictors[rows] = self._number(predictor)
        scored = rows[outcome.rows]
        judged.batch[scored] = np.where(outcome.decisions, TRUE, FALSE)
        judged.scores[scored] = outcome.scores
        undecided, letter = self._codes[scored] == _UNDECIDED, self._letter[scored]
        self._codes[scored[undecided & letter]] = CODES[Found.REJECTED_ON_ONE]
        predicted = undecided & ~letter
        encoder = PredictionEncoder(predictor.model)
        expected = encoder.encode(outcome, self._prefix, self._matched.offsets[scored].tolist())
        expected = list(compress(expected, predicted.tolist()))
        self._compare(predictor, scored[predicted], expected)
        for rejection in outcome.rejections:
            self._rejected(predictor, int(rows[rejection.row]), rejection)

    def _number(self, predictor: Predictor) -> int:
        """Which of the used ones a predictor is."""
        used = self._judged.used
        if predictor not in used:
            used.append(predictor)
        return used.index(predictor)

    def _compare(self, predictor: Predictor, rows: Integers, expected: list[bytes]) -> None:
        """Lays predictions beside what they should be: bytes first, and fields only where bytes differ."""
        answers = self._answers
        given = [answers.values[place] for place in answers.first[rows].tolist()]
        equal = np.fromiter(map(operator.eq, given, expected), np.bool_, len(expected))
        self._codes[rows] = CODES[Found.IDENTICAL]
        for place in np.flatnonzero(~equal).tolist():
            found = difference(given[place], expected[place], predictor.model.decision_name)
            if found is not None:
                self._differs(int(rows[place]), found)

    def _rejected(self, predictor: Predictor, row: int, rejection: Rejection) -> None:
        judged = self._judged
        judged.batch[row], judged.reasons[row] = REJECTED, rejection
        if self._codes[row] != _UNDECIDED:
            return
        if self._letter[row]:
            alike = self._letters[row]["reason"] == rejection.reason
            self._codes[row] = CODES[Found.REJECTED_ALIKE if alike else Found.REJECTED_OTHERWISE]
        elif (other := self._other_event(predictor, row)) is not None:
            self._differs(row, other)
        else:
            self._codes[row] = CODES[Found.REJECTED_ON_ONE]

    def _other_event(self, predictor: Predictor, row: int) -> Difference | None:
        """What shows that a prediction is of another event than this one, which the batch path rejects."""
        prediction = decoded(self._answers.values[int(self._answers.first[row])]) or {}
        ((customer, event),) = ids_of_events([self._matched.values[row]], predictor.model.schema.key)
        for name, ours in (("customer_id", customer), ("event_id", event)):
            theirs = prediction.get(name)
            if theirs is not None and ours is not None and str(theirs) != ours:
                detail = f"the prediction is of another event: its {name} is not the event's"
                return Difference(Found.OTHER_INPUT, detail, name, text_of(theirs), text_of(ours))
        return None

    def _try_others(self) -> None:
        """Scores rejected events again with whatever else may have rejected them."""
        unlike = [CODES[Found.REJECTED_ON_ONE], CODES[Found.REJECTED_OTHERWISE]]
        for row in np.flatnonzero(self._letter & np.isin(self._codes, unlike)).tolist():
            reason = self._letters[row]["reason"]
            for predictor in self._others(row, reason):
                rejections = predictor.score_json([self._matched.values[row]]).rejections
                if rejections and rejections[0].reason == reason:
                    self._judged.scores[row] = np.nan
                    self._judged.predictors[row] = self._number(predictor)
                    self._codes[row] = _UNDECIDED
                    self._rejected(predictor, row, rejections[0])
                    break

    def _others(self, row: int, reason: str) -> list[Predictor]:
        """The other models of a dead letter's id; a stream that explains rejects what it cannot explain."""
        models = self._assigned.of_stamp[int(self._answers.stamped[int(self._answers.first[row])])]
        found = [self._models.predictor(model) for model in models[1:]]
        if reason == Reason.MODEL_ERROR:
            found += [self._models.predictor(model, 1) for model in models]
        return found

    def _stream_said(self) -> None:
        stream, counts = self._judged.stream, self._answers.counts
        stream[counts > 1] = SEVERAL
        stream[self._letter] = REJECTED
        same = self._codes == CODES[Found.IDENTICAL]
        stream[same] = self._judged.batch[same]
        rows = np.flatnonzero(self._predicted & ~same)
        said = {None: UNREADABLE, True: TRUE, False: FALSE}
        stream[rows] = [said[self._decision(row)] for row in rows.tolist()]

    def _decision(self, row: int) -> bool | None:
        value = self._answers.values[int(self._answers.first[row])] or b""
        number = int(self._assigned.of_event[row])
        name = None if number == UNKNOWN else self._assigned.models[number].decision_name
        if name is not None and self._codes[row] == CODES[Found.NOT_SAMPLED]:
            # In a text of JSON no quote stands as it is, so that this is no part of any.
            for decision, text in ((False, "false"), (True, "true")):
                if f'"{name}":{text}'.encode() in value:
                    return decision
        return decision_of(decoded(value), name)

    def _differs(self, row: int, found: Difference) -> None:
        self._codes[row] = CODES[found.found]
        self._judged.differences[row] = found
