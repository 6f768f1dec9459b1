"""A bucket of events beside the rows of their ids: the class of each event, and how inputs compare."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.proof.buckets import ID, read_bucket
from batch.proof.classes import AGREEING, CODES, Found
from batch.proof.explaining import Explainer
from batch.proof.input_parity import SAME, InputParity, Inputs
from batch.proof.judged import FALSE, NOT_SCORED, REJECTED, TRUE
from batch.proof.models import Models
from batch.proof.row_examples import RowExamples
from batch.proof.row_pairs import NO_CLASS, Codes, Events, Integers, Pairs
from batch.proof.row_sides import Sides, inputs_of, rows_schema
from batch.proof.rows_laid import name_of
from shared.columnar import score_rows
from shared.models.directory import Model

_WELL: Final = [CODES[found] for found in AGREEING]
_NOWHERE: Final = -1
#: So many rows without an event are told.
_STRAYS: Final = 3
#: More than what either path can say of an event, so that both make one number.
_SAYINGS: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class _Beside:
    """The rows of a bucket that events have the ids of.

    Attributes:
        known: The ids of the events, each once.
        events: By id, how many events have it.
        rows: By id, how many rows have it.
        place: By id, where its first row is in `table`.
        table: The first row of each id.
    """

    known: pa.StringArray
    events: Integers
    rows: Integers
    place: Integers
    table: pa.Table


@dataclass(slots=True)
class Counts:
    """What was counted.

    Attributes:
        classes: Events, by CODES.
        matrix: Events, by what the stream said of them and the batch path.
        rows: Rows that were read.
        without_event: Rows that no event has the id of.
        strays: The positions of a few of them.
        unidentified: Events that the stream rejected, and of which no id can be read.
        otherwise: Pairs scored by another model than answered the event, since that declares other inputs.
    """

    classes: Counter[int] = field(default_factory=Counter)
    matrix: Counter[tuple[int, int]] = field(default_factory=Counter)
    rows: int = 0
    without_event: int = 0
    strays: list[str] = field(default_factory=list)
    unidentified: int = 0
    otherwise: int = 0


class RowsJoin:
    """Joins bucket by bucket, and counts.

    Args:
        models: The models at hand.
        reading: The one by whose inputs the rows were read.
        on: The field by which events and rows are joined.
        examples: Takes in what is not well.

    Attributes:
        counts: What was counted.
        parity: How inputs compare.
        explainer: What differences have in common.
    """

    def __init__(self, models: Models, reading: Model, on: str, examples: RowExamples) -> None:
        self._models, self._reading = models, reading
        self._by_name = {name_of(model): model for model in models}
        self._sides = Sides(models.predictor(reading), on)
        self._examples = examples
        self.counts = Counts()
        self.parity = InputParity(reading.schema, joined_by_key=on == reading.schema.key)
        self.explainer = Explainer()

    def join(self, events: Mapping[int, Path], rows: Path) -> None:
        """Joins the buckets of one number.

        Args:
            events: By partition, its bucket of events.
            rows: The bucket of rows.

        Raises:
            InputError: A file is damaged.
        """
        ids = [batch.column(0).drop_null() for file in events.values() for batch in read_bucket(file, [0])]
        beside = self._beside(pa.concat_arrays([pa.array([], pa.string()), *ids]), rows)
        for partition, file in events.items():
            for columns in read_bucket(file):
                self._join(partition, columns, beside)

    def _beside(self, ids: pa.StringArray, rows: Path) -> _Beside:
        counted = ids.value_counts()
        known, events = counted.field(0), counted.field(1).to_numpy()
        times, place = np.zeros(len(known), np.int64), np.full(len(known), _NOWHERE, np.int64)
        kept: list[pa.RecordBatch] = []
        held = 0
        for batch in read_bucket(rows):
            found = _places(batch.column(ID), known)
            self._count_rows(batch, found)
            hits = np.flatnonzero(found != _NOWHERE)
            times += np.bincount(found[hits], minlength=len(known))
            # Of each id only its first row is kept: one of which there are several is compared with none.
            new, firsts = np.unique(found[hits], return_index=True)
            unseen = place[new] == _NOWHERE
            kept.append(batch.take(pa.array(hits[firsts[unseen]])))
            place[new[unseen]] = held + np.arange(kept[-1].num_rows)
            held += kept[-1].num_rows
        table = pa.Table.from_batches(kept, rows_schema(self._reading.schema))
        return _Beside(known, events, times, place, table.combine_chunks())

    def _count_rows(self, batch: pa.RecordBatch, found: Integers) -> None:
        counts = self.counts
        strays = np.flatnonzero(found == _NOWHERE)
        counts.rows += len(found)
        counts.without_event += len(strays)
        some = strays[: _STRAYS - len(counts.strays)]
        counts.strays += batch.column("position").take(pa.array(some)).to_pylist()

    def _join(self, partition: int, columns: pa.RecordBatch, beside: _Beside) -> None:
        place = _places(columns.column(ID), beside.known)
        # What has no id is the last of both, where nothing is counted.
        same_id, rows = (np.append(count, 0)[place] for count in (beside.events, beside.rows))
        inputs = self._sides.events(columns.column("value").to_pylist())
        events = Events(partition, columns, inputs, same_id, rows)
        pairs = self._compare(events, beside.table.take(pa.array(beside.place[place[events.paired]])))
        found = events.codes_of_ids()
        found[pairs.events] = pairs.codes
        topic = events.topic_codes
        # What is wrong on the topic alone stands, unless the rows show what comes before it in CLASSES.
        codes = np.where((found != NO_CLASS) & np.isin(topic, _WELL), found, np.minimum(topic, found))
        self._count(events, pairs, codes)
        models = [name and name.partition(" ")[0] for name in columns.column("model").to_pylist()]
        schema = self._reading.schema
        self.explainer.add(schema, partition, events.offsets, codes, inputs.values, models)
        self._examples.add(events, pairs, np.where(codes == found, codes, NO_CLASS), self.parity.fields)

    def _count(self, events: Events, pairs: Pairs, codes: Codes) -> None:
        counts = self.counts
        counts.unidentified += int(np.count_nonzero(events.unidentified))
        for code, times in zip(*np.unique(codes, return_counts=True), strict=True):
            counts.classes[int(code)] += int(times)
        batch = np.full(len(codes), NOT_SCORED, np.int64)
        batch[pairs.events] = pairs.said
        sayings = events.said.astype(np.int64) * _SAYINGS + batch
        for both, times in zip(*np.unique(sayings, return_counts=True), strict=True):
            counts.matrix[divmod(int(both), _SAYINGS)] += int(times)

    def _compare(self, events: Events, rows: pa.Table) -> Pairs:
        """The classes of events beside their rows."""
        paired = events.paired
        ours, theirs = events.inputs.take(paired), inputs_of(rows)
        stream = events.columns.take(pa.array(paired))
        first = self.parity.compare(ours, theirs)
        models, scored_by = self._models_of(stream.column("model"))
        said, scores, reasons = self._score(models, scored_by, theirs)
        answered = stream.column("said").to_numpy()
        bits = stream.column("score").to_numpy(zero_copy_only=False).view(np.int64)
        same_reason = pc.fill_null(pc.equal(stream.column("reason"), reasons), False)
        rejected = [side == REJECTED for side in (answered, said)]
        # From what is told last to what is told first.
        codes = np.full(len(paired), CODES[Found.IDENTICAL], np.int8)
        codes[bits != scores.view(np.int64)] = CODES[Found.OTHER_BITS]
        codes[answered != said] = CODES[Found.OTHER_DECISION]
        both = rejected[0] & rejected[1]
        alike = both & same_reason.to_numpy(zero_copy_only=False)
        codes[both], codes[alike] = CODES[Found.REJECTED_OTHERWISE], CODES[Found.REJECTED_ALIKE]
        codes[rejected[0] ^ rejected[1]] = CODES[Found.REJECTED_ON_ONE]
        codes[first != SAME] = CODES[Found.OTHER_INPUT]
        return Pairs(paired, rows, theirs, first, said, scores, reasons, models, scored_by, codes)

    def _models_of(self, names: pa.StringArray) -> tuple[list[Model], Integers]:
        """What scores the rows of events, by the model that answered each: the models, and which of them."""
        encoded = names.dictionary_encode()
        numbers: Integers = pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy().astype(np.int64)
        models = [self._by_name[name] for name in encoded.dictionary.to_pylist()]
        for number, model in enumerate(models):
            if model.schema.as_read() != self._reading.schema.as_read():
                self.counts.otherwise += int(np.count_nonzero(numbers == number))
                models[number] = self._reading
        return [*models, self._reading], numbers

    def _score(
        self, models: Sequence[Model], scored_by: Integers, rows: Inputs
    ) -> tuple[Codes, npt.NDArray[np.float64], pa.StringArray]:
        """What the batch path says of rows, each by its model: decision or rejection, score and reason."""
        count = len(scored_by)
        said, scores = np.full(count, REJECTED, np.int8), np.full(count, np.nan)
        reasons: list[str | None] = rows.reasons.to_pylist()
        valid = rows.values.is_valid().to_numpy(zero_copy_only=False)
        for number in np.unique(scored_by[valid]).tolist():
            places = np.flatnonzero(valid & (scored_by == number))
            predictor = self._models.predictor(models[number])
            # Their events' bytes are not asked for: all of them are valid.
            values = pa.nulls(len(places), pa.binary())
            outcome = score_rows(predictor, values, rows.values.take(pa.array(places)))
            said[places[outcome.rows]] = np.where(outcome.decisions, TRUE, FALSE)
            scores[places[outcome.rows]] = outcome.scores
            for one in outcome.rejections:
                reasons[int(places[one.row])] = str(one.reason)
        return said, scores, pa.array(reasons, pa.string())


def _places(ids: pa.StringArray, known: pa.StringArray) -> Integers:
    """Where each id is among those that are known; _NOWHERE for others and for none."""
    found = pc.fill_null(pc.index_in(ids, value_set=known), _NOWHERE)
    places: Integers = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return places
