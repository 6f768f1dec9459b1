"""The events of a partition, laid by as they are judged, until the rows of the batch side are beside them."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from batch import durable
from batch.folder import LocalFolder
from batch.proof.buckets import BucketWriter, files_of
from batch.proof.classes import CODES, Found
from batch.proof.fields import decoded, number_of
from batch.proof.judged import Judged
from batch.proof.matching import Answers
from batch.proof.result import Frozen
from batch.proof.row_pairs import EVENTS
from batch.proof.row_sides import IdReader
from shared.errors import InputError
from shared.models.directory import Model

#: Written last: what is laid by of a partition counts once it is there.
_LAID_FILE: Final = "laid.json"


class Laid(Frozen):
    """What is laid by of a partition.

    Attributes:
        answered: By model, `name@version digest`, when the last of its answers was given, in milliseconds.
        sizes: The length of each bucket's file; 0 where it has no rows.
    """

    answered: dict[str, int]
    sizes: list[int]


def laid_in(folder: Path, buckets: int) -> Laid | None:
    """What is laid by in a folder; None where that is not whole.

    Args:
        folder: A partition's.
        buckets: How many there are.

    Raises:
        InputError: The folder is damaged.
    """
    path = folder / _LAID_FILE
    try:
        laid = Laid.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path}: cannot be read: {error}", hint="Begin the proof anew in a new --work-folder."
        ) from error
    return laid if laid.sizes == _sizes(folder, buckets) else None


class EventsLaid:
    """Lays the events of a partition by, window by window.

    Args:
        folder: Where to.
        buckets: How many there are.
        ids: Takes the id out of events.
        topics: By role (events, predictions, dead-letters) the topic.
    """

    def __init__(self, folder: Path, buckets: int, ids: IdReader, topics: Mapping[str, str]) -> None:
        self._folder, self._buckets = LocalFolder(folder), buckets
        self._ids, self._topics = ids, topics
        self._folder.create()
        # First, so that what is laid by from here on counts only once it is all there.
        durable.remove(folder / _LAID_FILE)
        self._writer = BucketWriter(folder, EVENTS, buckets)
        self._answered: Counter[str] = Counter()

    def add(self, judged: Judged) -> None:
        """Takes in the next window.

        Raises:
            InputError: The disk is full, say.
        """
        matched = judged.matched
        single = matched.answers.counts == 1
        first = pa.array(matched.answers.first, mask=~single)
        columns = [
            self._ids.ids(matched.values),
            pa.array(judged.offsets),
            pa.array(judged.codes),
            pa.array(judged.stream),
            _scores(judged, single),
            _column(matched.answers, "reason", first),
            self._models(judged, single),
            self._places(matched.answers, first),
            pa.array(matched.values, pa.binary()),
        ]
        self._writer.add(pa.RecordBatch.from_arrays(columns, schema=EVENTS))

    def end(self) -> None:
        """Ends the partition.

        Raises:
            InputError: The disk is full, say.
        """
        self._writer.flush()
        laid = Laid(answered=dict(self._answered), sizes=_sizes(self._folder.path, self._buckets))
        with self._folder.new_file(_LAID_FILE) as file:
            file.write(laid.model_dump_json(indent=1).encode() + b"\n")

    def _models(self, judged: Judged, single: npt.NDArray[np.bool_]) -> pa.StringArray:
        """The model that answered each event, where it is at hand."""
        answers = judged.matched.answers
        known = single & (judged.predictors >= 0)
        names = [name_of(predictor.model) for predictor in judged.used]
        for number, name in enumerate(names):
            if len(given := answers.first[known & (judged.predictors == number)]):
                self._answered[name] = max(self._answered[name], int(answers.timestamps[given].max()))
        numbers = pa.array(judged.predictors.astype(np.int64), mask=~known)
        return pa.array(names, pa.string()).take(numbers)

    def _places(self, answers: Answers, first: pa.Int64Array) -> pa.StringArray:
        """Where the only answer of each event stands."""
        if not len(answers.table):
            return pa.nulls(len(first), pa.string())
        topics = pc.if_else(
            pa.array(answers.is_prediction), self._topics["predictions"], self._topics["dead-letters"]
        )
        numbers = [answers.table.column(name).cast(pa.string()) for name in ("at_partition", "at_offset")]
        places = pc.binary_join_element_wise(topics, *map(_whole, numbers), "/")
        return places.take(first)


def name_of(model: Model) -> str:
    """A model as `name@version digest`."""
    return f"{model.id} {model.short_sha256}"


def _scores(judged: Judged, single: npt.NDArray[np.bool_]) -> pa.DoubleArray:
    """The score in the only prediction of each event; null where there is none."""
    answers = judged.matched.answers
    # Where both are the same to the bit the batch path's need not be read from the prediction again.
    same = judged.codes == CODES[Found.IDENTICAL]
    scores, known = np.where(same, judged.scores, np.nan), same.copy()
    predicted = np.zeros(len(same), np.bool_)
    predicted[answers.rows[answers.is_prediction]] = True
    for row in np.flatnonzero(single & predicted & ~same).tolist():
        score = number_of((decoded(answers.values[int(answers.first[row])]) or {}).get("score"))
        if score is not None:
            scores[row], known[row] = score, True
    return pa.array(scores, mask=~known)


def _column(answers: Answers, name: str, rows: pa.Int64Array) -> pa.Array:
    return _whole(answers.table.column(name)).take(rows)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([pa.array([], column.type), *column.chunks])


def _sizes(folder: Path, buckets: int) -> list[int]:
    return [file.stat().st_size if file.exists() else 0 for file in files_of(folder, buckets)]
