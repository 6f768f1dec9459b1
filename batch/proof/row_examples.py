"""Events on which a proof against a table failed, with their rows and the first input that differs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from batch.proof.classes import AGREEING, CLASSES, CODES, Found
from batch.proof.fields import bits_of, text_of
from batch.proof.input_parity import SAME
from batch.proof.judged import FALSE, REJECTED, TRUE
from batch.proof.result import Answer, Example
from batch.proof.row_pairs import Codes, Events, Pairs
from shared.position import position_of
from shared.visible import visible
from shared.wording import counted

#: So many bytes of an event are told.
_MOST_BYTES: Final = 2000
_DECISIONS: Final = {TRUE: True, FALSE: False}


class RowExamples:
    """The first events of each class in which the rows show something wrong, by partition and offset.

    Args:
        topic: The events' topic.
        on: The field by which events and rows are joined.
        most: How many of each class.
    """

    def __init__(self, topic: str, on: str, most: int) -> None:
        self._topic, self._on, self._most = topic, on, most
        self._found: dict[Found, dict[tuple[int, int], Example]] = {
            found: {} for found in CLASSES if found not in AGREEING
        }

    def add(self, events: Events, pairs: Pairs, codes: Codes, fields: Sequence[str]) -> None:
        """Takes in events.

        Args:
            events: The events.
            pairs: Those of them that have a row.
            codes: The class of each, where that comes from the rows.
            fields: What the fields of pairs are called.
        """
        offsets = events.offsets
        for found, examples in self._found.items():
            rows = np.flatnonzero(codes == CODES[found])
            for row in rows[np.argsort(offsets[rows], kind="stable")][: self._most].tolist():
                place = events.partition, int(offsets[row])
                if len(examples) < self._most or place < max(examples):
                    examples[place] = self._example(found, events, pairs, row, fields)
            for place in sorted(examples)[self._most :]:
                del examples[place]

    @property
    def all(self) -> list[Example]:
        """They, by class and position."""
        return [examples[place] for examples in self._found.values() for place in sorted(examples)]

    def _example(
        self, found: Found, events: Events, pairs: Pairs, row: int, fields: Sequence[str]
    ) -> Example:
        event: dict[str, Any] = events.columns.slice(row, 1).to_pylist()[0]
        place = pairs.place_of(row)
        first = SAME if place is None else int(pairs.first[place])
        field = stream_value = batch_value = None
        if place is not None and first != SAME:
            field = fields[first]
            stream_value = events.inputs.shown(row, field)
            batch_value = pairs.inputs.shown(place, field)
        return Example(
            found=found,
            position=position_of(self._topic, events.partition, event["offset"]),
            event=None if event["value"] is None else visible(event["value"], _MOST_BYTES),
            stream=[] if event["at"] is None else [_stream_answer(event)],
            batch=None if place is None else _batch_answer(pairs, place),
            field=field,
            stream_value=None if stream_value is None else text_of(stream_value),
            batch_value=None if batch_value is None else text_of(batch_value),
            detail=self._of_id(event, events, row) if place is None else _of_pair(event, pairs, place, field),
        )

    def _of_id(self, event: Mapping[str, Any], events: Events, row: int) -> str:
        """What is wrong with an event that is beside no row."""
        if event["id"] is None:
            return f"the event has no {self._on} by which to find its row"
        known_by = f"the {self._on} {text_of(event['id'])}"
        if not events.rows[row]:
            return f"no row has {known_by}"
        told = counted(events.same_id[row], "event"), counted(events.rows[row], "row")
        return f"{' and '.join(told)} have {known_by}"


def _stream_answer(event: Mapping[str, Any]) -> Answer:
    score = event["score"]
    return Answer(
        score=score,
        bits=None if score is None else bits_of(score),
        decision=_DECISIONS.get(event["said"]),
        reason=event["reason"],
        model=event["model"],
        position=event["at"],
    )


def _batch_answer(pairs: Pairs, place: int) -> Answer:
    score = None if pairs.said[place] == REJECTED else float(pairs.scores[place])
    model = pairs.models[int(pairs.scored_by[place])]
    return Answer(
        score=score,
        bits=None if score is None else bits_of(score),
        decision=_DECISIONS.get(int(pairs.said[place])),
        reason=pairs.reasons[place].as_py(),
        model=f"{model.id} {model.short_sha256}",
        position=pairs.rows.column("position")[place].as_py(),
    )


def _of_pair(event: Mapping[str, Any], pairs: Pairs, place: int, field: str | None) -> str:
    """What is wrong with an event beside its row."""
    row = f"the row {pairs.rows.column('position')[place]}"
    reason, refused = pairs.reasons[place].as_py(), event["reason"]
    told = pairs.rows.column("detail")[place].as_py() or reason
    match Found(list(CLASSES)[pairs.codes[place]]):
        case Found.REJECTED_OTHERWISE:
            return f"the stream rejected the event as {refused}, the batch path {row} as {reason}"
        case _ if reason is not None:
            return f"the batch path rejects {row}: {told}"
        case _ if refused is not None:
            return f"the stream rejected the event as {refused}, the batch path scored {row}"
        case Found.OTHER_INPUT:
            return f"{row} has another {field}"
        case Found.OTHER_DECISION:
            return f"{row} has the same inputs, and the decision is another"
        case _:
            return f"{row} has the same inputs, and the score has other bits"
