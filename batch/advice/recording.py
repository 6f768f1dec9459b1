"""Reads recorded events, scores them by the batch path, and keeps of each its customer, time and decision.

That is 17 bytes an event. Putting them in order and following them through the cadences takes up to about 120
bytes an event for a while: a million events need some 120 MB beside what the program itself takes.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.advice.cadences import History
from batch.advice.runs import Times
from batch.advice.times import NO_TIME, record_times, times_of
from batch.pieces import rows_of
from batch.snapshots import RecordRows
from batch.sources import Scorable
from shared.errors import InputError
from shared.formats.base import Chunk
from shared.frame import IdValues
from shared.predict import Predictor
from shared.progress import Meter

#: Events that are kept to measure with.
SAMPLED: Final = 50_000
#: So many events without a time, and none with one, are enough to refuse a source.
_ENOUGH: Final = 100_000
_DAY: Final = 86_400_000
#: Within a week of the ends of the calendar no run can be put before or after an event.
_CALENDAR: Final = [
    round(datetime(*day, tzinfo=UTC).timestamp()) * 1_000 for day in ((1, 1, 8), (9999, 12, 24))
]
#: An offset fits below, a partition above: together they are one number.
_OFFSET_BITS: Final = 48

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows as they were read, to measure with.

    Attributes:
        source: What they are of.
        chunk: The rows.
    """

    source: Scorable
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was read.

    Attributes:
        history: The events of the drawn customers.
        read: All events, those that were rejected and those of customers who were not drawn included.
        rejected: How many of them were rejected.
        timeless: How many were scored, yet nothing says when they happened.
        strays: How many were scored, yet lie so far from the others in time that their clock must be wrong.
        sample: Some of them.
        topics: The topics whose records they are, when they are.
        positions: Where each scored event with a record stands, as `position_key` has it, ascending; empty
            unless they were asked for.
        stamped: The timestamp of each of these records.
    """

    history: History
    read: int
    rejected: int
    timeless: int
    strays: int
    sample: Sequence[Piece]
    topics: frozenset[str]
    positions: npt.NDArray[np.int64]
    stamped: Times


def record(
    sources: Sequence[Scorable], predictor: Predictor, meter: Meter, share: float = 1.0, *, positions: bool
) -> Recorded:
    """Reads and scores events.

    Args:
        sources: Where they are.
        predictor: What scores them.
        meter: Is told of progress.
        share: The share of customers to keep, drawn by the hash of their ids: their histories stay whole.
        positions: Whether to keep where the records stand, and their timestamps.

    Raises:
        InputError: A source cannot be read, or nothing says of any event when it happened.
    """
    recorder = _Recorder(predictor, share, positions=positions)
    for number, source in enumerate(sources):
        source.check(predictor)
        for chunk in source.chunks(predictor):
            recorder.add(source, chunk)
            meter.add(rows_of(chunk), source.name, (number + chunk.done) / len(sources))
    return recorder.recorded()


def position_key(partition: int, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Positions on a topic as numbers: those of one partition are together, in order."""
    return np.int64(partition << _OFFSET_BITS) + offsets


def hashes_of(ids: IdValues) -> Hashes:
    """64 bits for each customer's id: an integer and its text are two customers."""
    if isinstance(ids, pa.Array):
        encoded = ids.dictionary_encode()
        places: Any = encoded.indices.to_numpy()
        distinct: Iterable[Any] = encoded.dictionary.to_pylist()
    else:
        numbers: dict[Any, int] = {}
        places = np.array([numbers.setdefault(value, len(numbers)) for value in ids], np.int64)
        distinct = numbers
    texts = (f"{'i' if isinstance(value, int) else 's'}{value}" for value in distinct)
    digests = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts
    )
    found: Hashes = np.frombuffer(digests, ">u8").astype(np.uint64)[places]
    return found


class _Recorder:
    """Takes in chunk after chunk."""

    def __init__(self, predictor: Predictor, share: float, *, positions: bool) -> None:
        self._predictor, self._positions = predictor, positions
        self._below = None if share >= 1 else np.uint64(int(share * 2**64))
        self._customers: list[Hashes] = [np.empty(0, np.uint64)]
        self._times: list[Times] = [np.empty(0, np.int64)]
        self._decisions: list[npt.NDArray[np.bool_]] = [np.empty(0, np.bool_)]
        self._keys: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._stamped: list[Times] = [np.empty(0, np.int64)]
        self._sample: list[Piece] = []
        self._read = self._rejected = self._timeless = self._sampled = 0
        self._source = self._reason = ""
        self._topics: set[str] = set()

    def add(self, source: Scorable, chunk: Chunk) -> None:
        """Scores a chunk."""
        outcome = source.score(self._predictor, chunk).outcome
        self._read += outcome.total
        self._source = self._source or source.name
        self._rejected += len(outcome.rejections)
        if outcome.rejections and not self._reason:
            self._reason = outcome.rejections[0].detail
        self._keep(source, chunk)
        rows = source.indices(chunk, outcome)
        records = isinstance(source, RecordRows)
        times = times_of(chunk, rows, records=records)
        customers = hashes_of(outcome.customer_ids)
        timed = times != NO_TIME
        self._timeless += int((~timed).sum())
        if not timed.any() and self._timeless >= _ENOUGH and not any(map(len, self._times)):
            raise self._nothing()
        if self._below is not None:
            timed &= customers < self._below
        self._customers.append(customers[timed])
        self._times.append(times[timed])
        self._decisions.append(outcome.decisions[timed])
        if self._positions and records:
            topic, _, partition = source.place.rpartition("/")
            self._topics.add(topic)
            self._keys.append(position_key(int(partition), source.numbers(chunk)[rows]))
            self._stamped.append(record_times(chunk, rows))

    def recorded(self) -> Recorded:
        """All of it, in order."""
        if not any(map(len, self._times)):
            raise self._nothing()
        customers, times = _emptied(self._customers), _emptied(self._times)
        decisions = _emptied(self._decisions)
        near = self._near(times)
        strays = len(near) - int(near.sum())
        if strays:
            customers, times, decisions = customers[near], times[near], decisions[near]
        keys, stamped = _emptied(self._keys), _emptied(self._stamped)
        order = np.argsort(keys, kind="stable")
        return Recorded(
            _history(customers, times, decisions),
            self._read,
            self._rejected,
            self._timeless,
            strays,
            self._sample,
            frozenset(self._topics),
            keys[order],
            stamped[order],
        )

    def _near(self, times: Times) -> npt.NDArray[np.bool_]:
        """Which times are near the others, and in the calendar."""
        first, last = _CALENDAR
        near: npt.NDArray[np.bool_] = (times >= first) & (times <= last)
        if not near.any():
            raise InputError(
                f"{self._source}: all {len(times):,} events lie at the ends of the calendar or outside it",
                hint="Give each the occurred_at at which it happened; the timestamp of a record is in"
                " milliseconds since 1970.",
            )
        near[near] = _near(times[near])
        return near

    def _keep(self, source: Scorable, chunk: Chunk) -> None:
        wanted = SAMPLED - self._sampled
        if wanted <= 0 or not len(chunk.rows):
            return
        piece = Piece(source, chunk_part(chunk, 0, wanted))
        self._sample.append(piece)
        self._sampled += len(piece.chunk.rows)

    def _nothing(self) -> InputError:
        if not self._read:
            return InputError("there are no events", hint="Name a source that holds some.")
        if self._timeless:
            return InputError(
                f"{self._source}: nothing says of any event when it happened",
                hint="Give each its occurred_at, an RFC 3339 time; or name a topic, or a snapshot of one:"
                " records have a timestamp.",
            )
        if self._rejected == self._read:
            return InputError(
                f"all {self._read:,} events are rejected by {self._predictor.model.id}, the first because"
                f" {self._reason}",
                hint="python -m batch score says of each why; see that it is the right --model.",
            )
        return InputError(
            "no customer is in the sample", hint="Draw more of them: a larger --sample, or none at all."
        )


def chunk_part(chunk: Chunk, begin: int, end: int) -> Chunk:
    """Some consecutive rows of a chunk, without those that the file's format refused."""
    batch = None if chunk.batch is None else chunk.batch.slice(begin, end - begin)
    values = None if chunk.values is None else chunk.values[begin:end]
    return replace(
        chunk, rows=chunk.rows[begin:end], batch=batch, values=values, rejections=[], originals=None
    )


def _near(times: Times) -> npt.NDArray[np.bool_]:
    """Which times are near the others.

    A single event with a wrong clock would stretch the recorded time to years. So the span from the 1st to
    the 99th percentile may be exceeded by its own length on either side, or by a day, and by no more.
    """
    last = len(times) - 1
    places = [last // 100, last - last // 100]
    low, high = np.partition(times, places)[places].tolist()
    margin = max(high - low, _DAY)
    near: npt.NDArray[np.bool_] = (times >= low - margin) & (times <= high + margin)
    return near


def _emptied(parts: list[Any]) -> Any:
    """The parts as one array; they are let go of."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _history(customers: Hashes, times: Times, decisions: npt.NDArray[np.bool_]) -> History:
    # Events of one customer and time stay in the order in which they came: sorting is stable.
    order = np.lexsort((times, customers))
    customers = customers[order]
    first = np.ones(len(customers), np.bool_)
    first[1:] = customers[1:] != customers[:-1]
    return History(np.flatnonzero(first).astype(np.int64), times[order], decisions[order])
