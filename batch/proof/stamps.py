"""What a prediction says of itself, and a dead letter of its event: as answers, without reading all of it."""

import hashlib
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.proof.answers import ANSWERS, LETTER, PREDICTION
from shared.dead_letters import LeftOut, Told, told_by
from shared.position import position_of, position_prefix
from shared.replay_log import Replayed, Standing

_POSITION: Final = re.compile(r"([^/]+)/(0|[1-9][0-9]{0,8})/(0|[1-9][0-9]{0,17})")
# A letter's value may be a megabyte; of a longer one than this its digest is kept.
_LONG: Final = 4096
# Kibibytes that SQLite keeps in memory, as its own negative numbers say it.
_CACHE: Final = "PRAGMA cache_size = -8192"
_OFFSET: Final = "^(0|[1-9][0-9]{0,17})$"


class _Stamp(msgspec.Struct, gc=False):
    prediction_id: str
    model: str
    model_sha256: str


_decode: Final[Callable[[bytes], _Stamp]] = msgspec.json.Decoder(_Stamp).decode


@dataclass(slots=True)
class Read:
    """What a batch of records gives.

    Attributes:
        answers: Rows of ANSWERS, for events of the input topic's partitions.
        elsewhere: Records that speak of another input topic.
        replayed: By partition, letters that were replayed since.
        foreign: How many records are no answers at all.
        first_foreign: The offset of the first of them, and what is wrong.
        first: The offset of the first event that a record speaks of which no replay has written, on the
            event's own partition number.
    """

    answers: pa.Table
    elsewhere: int = 0
    replayed: Counter[int] = field(default_factory=Counter)
    foreign: int = 0
    first_foreign: tuple[int, str] | None = None
    first: int | None = None

    def refuse(self, offset: int, why: str) -> None:
        """Counts a record that is no answer."""
        self.foreign += 1
        if self.first_foreign is None:
            self.first_foreign = (offset, why)


class Met:
    """Which attempts at which events have been met, in a temporary file: its memory does not grow."""

    def __init__(self) -> None:
        self._met: sqlite3.Connection | None = None

    def first(self, told: Told) -> bool:
        """Whether no letter of this attempt at this event was met before; from now on one was."""
        if self._met is None:
            # A file of SQLite's own, which is gone when this process is.
            self._met = sqlite3.connect("", isolation_level=None)
            self._met.execute("PRAGMA journal_mode = OFF")
            self._met.execute(_CACHE)
            self._met.execute("CREATE TABLE met (letter TEXT PRIMARY KEY) WITHOUT ROWID")
        letter = f"{told.origin.position}@{told.origin.timestamp}#{told.attempt}"
        return self._met.execute("INSERT OR IGNORE INTO met VALUES (?)", (letter,)).rowcount == 1


@dataclass(frozen=True, slots=True)
class Reading:
    """How records are read.

    Attributes:
        topic: The input topic.
        partitions: Its partitions.
        at_partition: Where the records stand.
        replayed: What has been replayed.
        met: The letters met so far that were replayed since.
    """

    topic: str
    partitions: Collection[int]
    at_partition: int
    replayed: Replayed
    met: Met = field(default_factory=Met)

    def predictions(self, batch: pa.RecordBatch) -> Read:
        """Records of the output topic.

        Args:
            batch: The columns offset, timestamp, key and value.
        """
        read = Read(ANSWERS.empty_table())
        values = batch.column("value").to_pylist()
        try:
            stamps: list[_Stamp | None] = list(map(_decode, values))
        except (msgspec.MsgspecError, TypeError, RecursionError):
            stamps = [self._stamp(read, batch, row, value) for row, value in enumerate(values)]
        rows = [row for row, stamp in enumerate(stamps) if stamp is not None]
        known = [stamp for stamp in stamps if stamp is not None]
        partitions, offsets = self._positions([stamp.prediction_id for stamp in known])
        taken = np.flatnonzero(partitions >= 0)
        for place in np.flatnonzero(partitions < 0).tolist():
            self._unplaced(read, batch, rows[place], known[place].prediction_id)
        chosen = (
            batch.take(pa.array(np.asarray(rows, np.int64)[taken])) if len(taken) < len(values) else batch
        )
        known = [known[place] for place in taken.tolist()] if len(taken) < len(known) else known
        read.answers = self._table(
            chosen,
            PREDICTION,
            partition=partitions[taken],
            offset=offsets[taken],
            model=[stamp.model for stamp in known],
            model_sha256=[stamp.model_sha256 for stamp in known],
            replayed=self._replayed(partitions[taken], offsets[taken]),
        )
        read.first = next(
            (
                int(offset)
                for partition, offset in zip(partitions[taken], offsets[taken], strict=True)
                if partition == self.at_partition
                and not self.replayed.times_of(position_of(self.topic, partition, offset))
            ),
            None,
        )
        return read

    def _replayed(self, partitions: Any, offsets: Any) -> Any:
        """Of each position, the timestamps of its events that were ever replayed; None where none was."""
        if self.replayed.empty:
            return [None] * len(offsets)
        places = zip(partitions.tolist(), offsets.tolist(), strict=True)
        times = (
            self.replayed.times_of(position_of(self.topic, partition, offset)) for partition, offset in places
        )
        return [found or None for found in times]

    def _stamp(self, read: Read, batch: pa.RecordBatch, row: int, value: bytes | None) -> _Stamp | None:
        try:
            return _decode(value or b"")
        except (msgspec.MsgspecError, RecursionError) as error:
            read.refuse(batch.column("offset")[row].as_py(), f"no prediction: {error}")
            return None

    def _positions(self, ids: list[str]) -> tuple[Any, Any]:
        """The partitions and offsets that prediction ids name; -1 where they name none of the topic."""
        texts, prefix = pa.array(ids, pa.string()), position_prefix(self.topic, self.at_partition)
        digits = pc.utf8_slice_codeunits(texts, len(prefix))
        near = pc.and_(pc.starts_with(texts, prefix), pc.match_substring_regex(digits, _OFFSET))
        here = self.at_partition if self.at_partition in self.partitions else -1
        partitions = np.where(near.to_numpy(zero_copy_only=False), here, -1)
        offsets = np.array(pc.if_else(near, digits, "-1").cast(pa.int64()))
        # All others are few, unless somebody has written them in no order at all.
        for row in np.flatnonzero(partitions < 0).tolist():
            named = _POSITION.fullmatch(ids[row])
            if named is not None and named[1] == self.topic and int(named[2]) in self.partitions:
                partitions[row], offsets[row] = int(named[2]), int(named[3])
        return partitions, offsets

    def _unplaced(self, read: Read, batch: pa.RecordBatch, row: int, position: str) -> None:
        named = _POSITION.fullmatch(position)
        if named is not None and named[1] != self.topic:
            read.elsewhere += 1
            return
        why = "no position" if named is None else "the position of no partition of the input topic"
        read.refuse(batch.column("offset")[row].as_py(), f"its prediction_id is {why}: {position[:100]!r}")

    def letters(self, batch: pa.RecordBatch) -> Read:
        """Records of the dead-letter topic.

        Args:
            batch: The columns offset, timestamp, key, value and headers.
        """
        read = Read(ANSWERS.empty_table())
        rows, told = [], []
        for row, headers in enumerate(_headers(batch.column("headers"))):
            try:
                one = told_by(headers)
            except ValueError as error:
                read.refuse(batch.column("offset")[row].as_py(), f"no dead letter: {error}")
                continue
            if self._counts(read, batch, row, one):
                rows.append(row)
                told.append(one)
        letters = batch.take(pa.array(rows, pa.int64()))
        values = letters.column("value").to_pylist()
        # Where bytes are there, they count, whatever the headers say of them.
        stubs = [value is None and one.left_out is not None for one, value in zip(told, values, strict=True)]
        left_out = [
            one.left_out if stub else _shortened(value)
            for one, value, stub in zip(told, values, stubs, strict=True)
        ]
        kept = [value if one is None else None for value, one in zip(values, left_out, strict=True)]
        read.answers = self._table(
            letters,
            LETTER,
            value=kept,
            partition=[one.origin.partition for one in told],
            offset=[one.origin.offset for one in told],
            model=[one.model for one in told],
            reason=[str(one.reason) for one in told],
            bytes=[None if one is None else one.bytes for one in left_out],
            sha256=[None if one is None else one.sha256 for one in left_out],
            stub=stubs,
        )
        return read

    def _counts(self, read: Read, batch: pa.RecordBatch, row: int, told: Told) -> bool:
        """Whether a letter stands for what became of its event."""
        origin = told.origin
        if origin.topic != self.topic:
            read.elsewhere += 1
            return False
        if origin.partition not in self.partitions:
            why = f"its event would be of partition {origin.partition}, which the input topic does not have"
            read.refuse(batch.column("offset")[row].as_py(), why)
            return False
        if read.first is None and told.attempt == 1 and origin.partition == self.at_partition:
            read.first = origin.offset
        if self.replayed.standing(told) is Standing.WAITING:
            return True
        # Each attempt at an event leaves one letter, beside which any other is one answer too many; and no
        # replay takes up a letter on another partition than its event's.
        if origin.partition != self.at_partition or not self.met.first(told):
            return True
        read.replayed[origin.partition] += 1
        return False

    def _table(self, batch: pa.RecordBatch, kind: int, **columns: Any) -> pa.Table:
        """Rows of ANSWERS; columns that are not given are null."""
        count = batch.num_rows
        given = {
            "kind": np.full(count, kind, np.int8),
            "at_partition": np.full(count, self.at_partition, np.int32),
            "at_offset": batch.column("offset"),
            "timestamp": batch.column("timestamp").cast(pa.int64()),
            "key": batch.column("key"),
            "value": batch.column("value"),
            **columns,
        }
        arrays = [
            _as_array(given[field.name], field.type) if field.name in given else pa.nulls(count, field.type)
            for field in ANSWERS
        ]
        return pa.Table.from_arrays(arrays, schema=ANSWERS)


def _shortened(value: bytes | None) -> LeftOut | None:
    """What stands for a letter's long value, as for one that goes without it: what it is of shows as well."""
    if value is None or len(value) <= _LONG:
        return None
    return LeftOut(len(value), hashlib.sha256(value).hexdigest())


def _as_array(values: Any, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)


def _headers(column: pa.ListArray) -> Iterator[list[tuple[str, bytes | None]]]:
    """The headers of each record."""
    names, values = (column.values.field(name).to_pylist() for name in (0, 1))
    bounds, there = column.offsets.to_pylist(), column.is_valid().to_pylist()
    for row, valid in enumerate(there):
        span = slice(bounds[row], bounds[row + 1])
        yield list(zip(names[span], values[span], strict=True)) if valid else []
