"""Two decisions of each event of history: the one that was, and the one that would be."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.replaying.decided import Decided
from batch.sources import Scorable, Scored
from shared.columnar import valid_rows
from shared.files import Chunk
from shared.frame import Column, Frame, IdValues, Parsed
from shared.predict import Outcome, Predictor

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A piece of history; the arrays have an entry for each event with both decisions.

    Attributes:
        place: The file or partition.
        read: Events read.
        numbers: The events' numbers there, ascending.
        positions: Their positions.
        customers: Their customers' ids.
        columns: The inputs of either model, as its frame has them.
        before: The scores that were.
        after: The scores that would be.
        raised: Where the decision becomes true.
        lowered: Where it becomes false.
        newly_rejected: The rejections by the tried model alone, by reason and field.
        newly_scored: How many events only the tried model scores.
    """

    place: str
    read: int
    numbers: Ints
    positions: pa.StringArray
    customers: IdValues
    columns: Mapping[str, Column]
    before: Floats
    after: Floats
    raised: Mask
    lowered: Mask
    newly_rejected: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    newly_scored: int = 0

    def __len__(self) -> int:
        return len(self.before)

    @property
    def flipped(self) -> Mask:
        """Where the decision is another one."""
        return self.raised | self.lowered


class Pairing(ABC):
    """What decided, beside the model that is tried."""

    @abstractmethod
    def pairs(self, source: Scorable, chunk: Chunk) -> Pairs:
        """Both decisions of the events of a chunk.

        Args:
            source: What the chunk was read from.
            chunk: The events.
        """


class WithModel(Pairing):
    """A model decided: it scores the same events again.

    Args:
        before: The model that decided.
        after: The model that is tried.
    """

    def __init__(self, before: Predictor, after: Predictor) -> None:
        self._before, self._after = before, after
        self._alike = before.model.schema.as_read() == after.model.schema.as_read()

    def pairs(self, source: Scorable, chunk: Chunk) -> Pairs:
        """Both decisions of the events of a chunk; read once where both models read alike."""
        was = source.score(self._before, chunk)
        ours = was.outcome
        theirs = self._again(ours) if self._alike else source.score(self._after, chunk).outcome
        _, mine, other = np.intersect1d(ours.rows, theirs.rows, assume_unique=True, return_indices=True)
        refused = {rejection.row: rejection for rejection in theirs.rejections}
        lost = ours.rows[np.isin(ours.rows, list(refused))].tolist()
        return Pairs(
            was.place,
            was.read,
            source.numbers(chunk)[source.indices(chunk, ours)][mine],
            was.ids.take(pa.array(mine)),
            taken(ours.customer_ids, mine),
            {**_columns(theirs, other), **_columns(ours, mine)},
            ours.scores[mine],
            theirs.scores[other],
            *_flips(ours.decisions[mine], theirs.decisions[other]),
            Counter((str(refused[row].reason), refused[row].field) for row in lost),
            len(theirs.rows) - len(other),
        )

    def _again(self, outcome: Outcome) -> Outcome:
        """What the tried model makes of events whose inputs are read already."""
        rows, frame = valid_rows(outcome), _frame(outcome)
        # The rows stand for the customers, whom nobody asks the second outcome for.
        return self._after.score_parsed(Parsed(frame.count, rows, pa.array(rows), None, frame, ()))


class WithPredictions(Pairing):
    """Predictions were made, and say what was decided.

    Args:
        decided: The predictions.
        after: The model that is tried.
    """

    def __init__(self, decided: Decided, after: Predictor) -> None:
        self._decided, self._after = decided, after

    def pairs(self, source: Scorable, chunk: Chunk) -> Pairs:
        """Both decisions of the events of a chunk."""
        would = source.score(self._after, chunk)
        outcome = would.outcome
        known, scores, decisions = self._decided.of(would.place, would.ids)
        other = np.flatnonzero(known)
        return Pairs(
            would.place,
            would.read,
            source.numbers(chunk)[source.indices(chunk, outcome)][other],
            would.ids.take(pa.array(other)),
            taken(outcome.customer_ids, other),
            _columns(outcome, other),
            scores[other],
            outcome.scores[other],
            *_flips(decisions[other], outcome.decisions[other]),
            self._lost(would),
            len(known) - len(other),
        )

    def _lost(self, would: Scored) -> Counter[tuple[str, str | None]]:
        """The rejections of events that have a prediction."""
        if not would.outcome.rejections:
            return Counter()
        known, _, _ = self._decided.of(would.place, would.rejected.column("position"))
        pairs = zip(would.outcome.rejections, known.tolist(), strict=True)
        return Counter((str(one.reason), one.field) for one, was_decided in pairs if was_decided)


def named(predictor: Predictor) -> str:
    """A model as `name@version digest`."""
    return f"{predictor.model.id} {predictor.model.short_sha256}"


def taken(ids: IdValues, places: Ints) -> IdValues:
    """Some of the ids."""
    if isinstance(ids, pa.Array):
        return ids.take(pa.array(places))
    return [ids[place] for place in places.tolist()]


def _flips(before: Mask, after: Mask) -> tuple[Mask, Mask]:
    return ~before & after, before & ~after


def _columns(outcome: Outcome, places: Ints) -> Mapping[str, Column]:
    """The inputs of some of the scored rows."""
    rows = np.searchsorted(valid_rows(outcome), outcome.rows[places])
    return _frame(outcome).take(rows).columns


def _frame(outcome: Outcome) -> Frame:
    if outcome.frame is None:
        raise ValueError("the outcome is a piece of a batch's")
    return outcome.frame
