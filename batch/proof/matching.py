"""The answers of a window beside its events: which event each is of, and what is stamped on it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.proof.answers import PREDICTION
from batch.proof.order import NOWHERE
from batch.proof.window import Window
from shared.dead_letters import MAX_STUB_KEY

Integers = npt.NDArray[np.int64]


class Stamp(NamedTuple):
    """What an answer says of the model that gave it.

    Attributes:
        model: `name@version`.
        sha256: 12 hex digits; None on a dead letter.
        is_prediction: Whether the answer is a prediction.
    """

    model: str
    sha256: str | None
    is_prediction: bool


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Answers of events, by offset of the event, kind, and where they stand.

    Attributes:
        rows: Of each answer, the event's row in the window.
        is_prediction: Of each.
        places: Where each stands on the partition of the events' number; NOWHERE for dead letters, for
            predictions on another partition, and for those that a replay has written.
        timestamps: Of each, in milliseconds since the epoch.
        stamped: Of each, which of `stamps` it has.
        stamps: The different ones.
        values: Of each.
        table: All columns.
        counts: By event, how many it has.
        first: By event, its first answer; -1 where it has none.
        misplaced: Of each, whether it stands under another key than its event, or on another partition.
    """

    rows: Integers
    is_prediction: npt.NDArray[np.bool_]
    places: Integers
    timestamps: Integers
    stamped: Integers
    stamps: list[Stamp]
    values: list[bytes | None]
    table: pa.Table
    counts: Integers
    first: Integers
    misplaced: npt.NDArray[np.bool_]

    def of(self, row: int) -> list[dict[str, Any]]:
        """All answers of an event."""
        start = int(self.first[row])
        return self.table.slice(start, int(self.counts[row])).to_pylist() if start >= 0 else []

    def any_misplaced(self) -> npt.NDArray[np.bool_]:
        """By event, whether any of its answers is misplaced."""
        found = np.zeros(len(self.counts), np.bool_)
        found[self.rows[self.misplaced]] = True
        return found

    def first_places(self) -> Integers:
        """By event, where its first prediction stands; NOWHERE where none counts."""
        found = np.full(len(self.counts), NOWHERE, np.int64)
        counted = np.flatnonzero(self.places != NOWHERE)
        # From the last to the first, which is the one that stays.
        found[self.rows[counted][::-1]] = self.places[counted][::-1]
        return found


@dataclass(frozen=True, eq=False)
class Matched:
    """A window with its answers beside its events.

    Attributes:
        window: The window.
        offsets: Of the events, ascending.
        answers: Those of its events.
        of_no_event: How many answers are for offsets at which no event stands.
    """

    window: Window
    offsets: Integers
    answers: Answers
    of_no_event: int

    @cached_property
    def values(self) -> list[bytes | None]:
        """The events' bytes."""
        values: list[bytes | None] = self.window.events.column("value").to_pylist()
        return values

    @cached_property
    def timestamps(self) -> Integers:
        """The events' own, in milliseconds since the epoch."""
        return _integers(self.window.events, "timestamp")


def matched(window: Window) -> Matched:
    """Puts the answers of a window beside its events."""
    offsets, table = _integers(window.events, "offset"), window.answers
    answered = _integers(table, "offset")
    rows = np.searchsorted(offsets, answered)
    of_event = np.zeros(len(rows), np.bool_)
    within = rows < len(offsets)
    of_event[within] = offsets[rows[within]] == answered[within]
    strays = len(rows) - int(np.count_nonzero(of_event))
    if strays:
        table, rows = table.filter(pa.array(of_event)), rows[of_event]
    return Matched(window, offsets, _answers(table, rows, window), strays)


def _answers(table: pa.Table, rows: Integers, window: Window) -> Answers:
    is_prediction = _integers(table, "kind") == PREDICTION
    at_home = _integers(table, "at_partition") == window.partition
    beside = is_prediction & at_home & ~_replayed(table, _integers(window.events, "timestamp")[rows])
    stamped, stamps = _stamps(table, is_prediction)
    counts = np.bincount(rows, minlength=len(window.events))
    return Answers(
        rows,
        is_prediction,
        np.where(beside, _integers(table, "at_offset"), NOWHERE),
        _integers(table, "timestamp"),
        stamped,
        stamps,
        table.column("value").to_pylist(),
        table,
        counts,
        np.where(counts > 0, np.cumsum(counts) - counts, -1),
        ~at_home | _other_keys(table, window.events.column("key").take(pa.array(rows))),
    )


def _replayed(table: pa.Table, timestamps: Integers) -> npt.NDArray[np.bool_]:
    """Which answers a replay may have written: their event itself had a dead letter that was replayed.

    Args:
        table: The answers.
        timestamps: Of the event of each.
    """
    times = table.column("replayed")
    found = np.zeros(len(table), np.bool_)
    for row in np.flatnonzero(times.is_valid().to_numpy()).tolist():
        found[row] = int(timestamps[row]) in times[row].as_py()
    return found


def _other_keys(table: pa.Table, keys: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Which answers stand under another key than their event's.

    Args:
        table: The answers.
        keys: Of the event of each.
    """
    own = table.column("key")
    neither = pc.and_(pc.is_null(own), pc.is_null(keys))
    same = pc.or_(pc.fill_null(pc.equal(own, keys), False), neither)
    stubs = pc.fill_null(table.column("stub"), False)
    may_lack = pc.fill_null(pc.greater(pc.binary_length(keys), MAX_STUB_KEY), False)
    allowed = pc.and_(pc.and_(stubs, may_lack), pc.is_null(own))
    other: npt.NDArray[np.bool_] = pc.invert(pc.or_(same, allowed)).to_numpy()
    return other


def _stamps(table: pa.Table, is_prediction: npt.NDArray[np.bool_]) -> tuple[Integers, list[Stamp]]:
    """Which of the different stamps each answer has, and these."""
    models, model_codes = _codes(table, "model")
    digests, digest_codes = _codes(table, "model_sha256")
    combined = (model_codes * (len(digests) + 1) + digest_codes + 1) * 2 + is_prediction
    different, stamped = np.unique(combined, return_inverse=True)
    stamps = []
    for code in different.tolist():
        rest, prediction = divmod(code, 2)
        model, digest = divmod(rest, len(digests) + 1)
        stamps.append(Stamp(models[model], digests[digest - 1] if digest else None, bool(prediction)))
    return stamped.astype(np.int64), stamps


def _codes(table: pa.Table, name: str) -> tuple[list[str], Integers]:
    """The different texts of a column, and the number of each row's; -1 for none."""
    column = pa.array([], pa.string()) if not len(table) else table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    encoded = column.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return encoded.dictionary.to_pylist(), codes.astype(np.int64)


def _integers(table: pa.Table, name: str) -> Integers:
    found: Integers = table.column(name).cast(pa.int64()).to_numpy()
    return found
