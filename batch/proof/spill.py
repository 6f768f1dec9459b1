"""Answers on the disk, by the window of their events: so any order of them is joined in little memory."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from pydantic import Field, ValidationError

from batch.folder import LocalFolder
from batch.proof.answers import ANSWERS, PREDICTION
from batch.proof.result import Frozen
from batch.proof.window import WINDOW_OFFSETS
from batch.sinks import ArrowSink
from shared.errors import InputError

#: Written last: the answers of a partition count once it is there.
BOOKS_FILE: Final = "books.json"
#: Bytes of answers that wait in memory to be written.
WAITING_BYTES: Final = 64 << 20


class SpilledWindow(Frozen):
    """The answers of one window that one partition of a topic of answers holds.

    Attributes:
        partition: The events' partition.
        window: The window, see batch/proof/window.py.
        answers: How many there are.
        files: In how many files.
        least: Where the first prediction of them stands, on the partition of the same number; else None.
    """

    partition: int
    window: int
    answers: int
    files: int
    least: int | None = None


class Books(Frozen):
    """What one partition of a topic of answers held.

    Attributes:
        records: How many records.
        windows: The answers that were spilled.
        outside: By partition, answers of events that the plan does not cover.
        behind: By partition, those of them whose event stands after the last one that is covered.
        beyond: By partition, those of them that are of no event, since it was not written yet.
        replayed: By partition, dead letters that were replayed since.
        elsewhere: Answers of another input topic's events.
        foreign: Records that are no answers.
        first_foreign: The first of them: its place, and what is wrong with it.
        first: The offset of the first event that was answered here by no replay; None: no such answer is
            left.
    """

    records: int = 0
    windows: list[SpilledWindow] = Field(default_factory=list)
    outside: dict[int, int] = Field(default_factory=dict)
    behind: dict[int, int] = Field(default_factory=dict)
    beyond: dict[int, int] = Field(default_factory=dict)
    replayed: dict[int, int] = Field(default_factory=dict)
    elsewhere: int = 0
    foreign: int = 0
    first_foreign: str | None = None
    first: int | None = None


def books_in(folder: Path) -> Books | None:
    """The books of a partition that is done; None when it is not.

    Raises:
        InputError: They are damaged.
    """
    path = folder / BOOKS_FILE
    try:
        return Books.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path}: cannot be read: {error}", hint="Begin the proof anew in a new --work-folder."
        ) from error


class Spill:
    """Writes answers to a file of their window whenever too many of them wait.

    Args:
        folder: Where to; files that a run which was ended left there are replaced.
        most: Bytes that may wait.
    """

    def __init__(self, folder: LocalFolder, most: int = WAITING_BYTES) -> None:
        self._folder, self._most = folder, most
        self._waiting: dict[tuple[int, int], list[pa.Table]] = defaultdict(list)
        self._bytes: dict[tuple[int, int], int] = defaultdict(int)
        self._windows: dict[tuple[int, int], SpilledWindow] = {}

    def add(self, answers: pa.Table) -> None:
        """Takes answers of any windows, in any order.

        Raises:
            InputError: The disk is full, say.
        """
        if not answers.num_rows:
            return
        partitions = answers.column("partition").to_numpy().astype(np.int64)
        windows = answers.column("offset").to_numpy() // WINDOW_OFFSETS
        order = np.lexsort((windows, partitions))
        partitions, windows = partitions[order], windows[order]
        changes = np.flatnonzero((np.diff(partitions) != 0) | (np.diff(windows) != 0)) + 1
        for start, stop in pairwise([0, *changes.tolist(), len(order)]):
            key = int(partitions[start]), int(windows[start])
            # Copied, since a slice would keep all the others in memory for as long as it waits.
            self._keep(key, answers.take(pa.array(order[start:stop])) if len(changes) else answers)
        if sum(self._bytes.values()) > self._most:
            self._shrink(self._most // 2)

    def _keep(self, key: tuple[int, int], answers: pa.Table) -> None:
        self._waiting[key].append(answers)
        self._bytes[key] += answers.nbytes
        predictions = answers.column("kind").to_numpy() == PREDICTION
        at_home = predictions & (answers.column("at_partition").to_numpy() == key[0])
        places = answers.column("at_offset").to_numpy()[at_home]
        known = self._windows.get(key)
        least = [int(places.min())] if len(places) else []
        if known is not None and known.least is not None:
            least.append(known.least)
        self._windows[key] = SpilledWindow(
            partition=key[0],
            window=key[1],
            answers=answers.num_rows + (0 if known is None else known.answers),
            files=0 if known is None else known.files,
            least=min(least, default=None),
        )

    def _shrink(self, to: int) -> None:
        """Writes the windows of which most waits, until no more than `to` bytes wait."""
        left = sum(self._bytes.values())
        for key in sorted(self._bytes, key=lambda key: (-self._bytes[key], key)):
            if left <= to:
                return
            left -= self._bytes[key]
            self._write(key)

    def _write(self, key: tuple[int, int]) -> None:
        window = self._windows[key]
        tables = self._waiting.pop(key)
        del self._bytes[key]
        with self._folder.new_file(file_name(*key, window.files)) as file:
            sink = ArrowSink(file, ANSWERS)
            sink.write(pa.concat_tables(tables))
            sink.close()
        self._windows[key] = window.model_copy(update={"files": window.files + 1})

    def finish(self) -> list[SpilledWindow]:
        """Writes what still waits.

        Returns:
            All windows, by partition and number.

        Raises:
            InputError: The disk is full, say.
        """
        self._shrink(0)
        return [self._windows[key] for key in sorted(self._windows)]


def write_books(folder: LocalFolder, books: Books) -> None:
    """Writes the books: from here on the partition is done."""
    with folder.new_file(BOOKS_FILE) as file:
        file.write(books.model_dump_json(indent=1).encode() + b"\n")


def file_name(partition: int, window: int, number: int) -> str:
    """The name of a file of answers."""
    return f"{partition}-{window}-{number}.arrow"


class Spilled:
    """Finds the answers of a window again.

    Args:
        books: By folder, the books of all partitions of the topics of answers.
    """

    def __init__(self, books: Mapping[Path, Books]) -> None:
        self._places: dict[int, dict[int, list[tuple[Path, SpilledWindow]]]] = {}
        for folder, one in books.items():
            for window in one.windows:
                self._places.setdefault(window.partition, {}).setdefault(window.window, []).append(
                    (folder, window)
                )

    def windows(self, partition: int) -> list[int]:
        """The windows of a partition that have answers, rising."""
        return sorted(self._places.get(partition, {}))

    def answers(self, partition: int, window: int) -> pa.Table:
        """The answers of a window by offset, kind and where they stand.

        Raises:
            InputError: A file is missing or damaged.
        """
        places = self._of(partition, window)
        files = [
            folder / file_name(partition, window, number)
            for folder, one in places
            for number in range(one.files)
        ]
        answers = pa.concat_tables([ANSWERS.empty_table(), *map(_read, files)]).combine_chunks()
        if answers.num_rows != sum(one.answers for _, one in places):
            raise InputError(
                f"{places[0][0]}: the answers of window {window} of partition {partition} are not all there",
                hint="Begin the proof anew in a new --work-folder.",
            )
        keys = [answers.column(name).to_numpy() for name in ("at_offset", "at_partition", "kind", "offset")]
        order = np.lexsort(keys)
        if np.array_equal(order, np.arange(len(order))):
            return answers
        return answers.take(pa.array(order))

    def count(self, partition: int, window: int) -> int:
        """How many answers a window has."""
        return sum(one.answers for _, one in self._of(partition, window))

    def least(self, partition: int, window: int) -> int | None:
        """Where the first prediction of a window stands on the partition of the same number; else None."""
        found = (one.least for _, one in self._of(partition, window) if one.least is not None)
        return min(found, default=None)

    def _of(self, partition: int, window: int) -> list[tuple[Path, SpilledWindow]]:
        return self._places.get(partition, {}).get(window, [])


def _read(path: Path) -> pa.Table:
    try:
        with pa.OSFile(str(path)) as file:
            return pa.ipc.open_file(file).read_all()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: cannot be read: {error}", hint="Begin the proof anew in a new --work-folder."
        ) from error
