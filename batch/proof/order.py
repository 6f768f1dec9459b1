"""Whether the events of a key were answered in turn.

An event is out of order when its prediction stands before that of an earlier event of its key. Only
predictions on the partition of the same number can be told apart so; of several for an event the first one
counts. Events without a key have no order, and neither have those whose dead letter was replayed: their
prediction comes late on purpose.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Places = npt.NDArray[np.int64]

# Kibibytes that SQLite keeps in memory, as its own negative numbers say it.
_CACHE: Final = "PRAGMA cache_size = -16384"
#: Stands for a prediction that does not count.
NOWHERE: Final = -1


class KeyOrder:
    """Finds the events of a partition that are out of order, window by window.

    Kept in mind are only the keys of events whose prediction stands after one of a later window: none, where
    the stream kept the order.
    """

    def __init__(self) -> None:
        self._kept = _Kept()

    def check(self, keys: pa.ChunkedArray, places: Places, later: int | None) -> npt.NDArray[np.bool_]:
        """Which of the next events are out of order.

        Args:
            keys: Of the events, by offset.
            places: Where the prediction of each stands, or NOWHERE.
            later: The least place of any event after these; None when there is none.
        """
        found = np.zeros(len(places), np.bool_)
        rows = np.flatnonzero(places != NOWHERE)
        before = np.maximum.accumulate(np.concatenate([[self._kept.largest], places[rows]]))
        # Where each stands after all before it, no key need be looked at.
        if (places[rows] < before[:-1]).any() or (later is not None and before[-1] > later):
            found[self._by_key(keys.to_pylist(), rows.tolist(), places[rows].tolist(), later)] = True
        self._kept.forget(later)
        return found

    def _by_key(
        self, keys: list[bytes | None], rows: list[int], places: list[int], later: int | None
    ) -> list[int]:
        last: dict[bytes, int] = {}
        found = []
        for row, place in zip(rows, places, strict=True):
            key = keys[row]
            if key is None:
                continue
            reached = last[key] if key in last else self._kept.place(key)
            if place < reached:
                found.append(row)
            last[key] = max(place, reached)
        if later is not None:
            self._kept.keep((key, place) for key, place in last.items() if place > later)
        return found


class _Kept:
    """The furthest place by key, in a temporary file where they are many: the memory it needs is bounded."""

    def __init__(self) -> None:
        self._places: sqlite3.Connection | None = None
        self.largest = NOWHERE

    def place(self, key: bytes) -> int:
        if self._places is None:
            return NOWHERE
        found = self._places.execute("SELECT place FROM kept WHERE key = ?", (key,)).fetchone()
        return NOWHERE if found is None else int(found[0])

    def keep(self, places: Iterable[tuple[bytes, int]]) -> None:
        if self._places is None:
            # A file of SQLite's own, which is gone when this process is.
            self._places = sqlite3.connect("", isolation_level=None)
            self._places.execute("PRAGMA journal_mode = OFF")
            self._places.execute(_CACHE)
            self._places.execute("CREATE TABLE kept (key BLOB PRIMARY KEY, place INTEGER) WITHOUT ROWID")
            self._places.execute("CREATE INDEX by_place ON kept (place)")
        self._places.execute("BEGIN")
        self._places.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", places)
        self._places.execute("COMMIT")
        self._find_largest()

    def forget(self, later: int | None) -> None:
        """Drops the places that no event after these stands before."""
        if self._places is None:
            return
        if later is not None:
            self._places.execute("DELETE FROM kept WHERE place <= ?", (later,))
            self._find_largest()
        if later is None or self.largest == NOWHERE:
            self._places.close()
            self._places, self.largest = None, NOWHERE

    def _find_largest(self) -> None:
        if self._places is not None:
            (found,) = self._places.execute("SELECT max(place) FROM kept").fetchone()
            self.largest = NOWHERE if found is None else int(found)
