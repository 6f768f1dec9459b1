"""Folding fixed rows into a folder of results: which rows they are, and what becomes of its files."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.fixed import Kind
from batch.folder import Folder
from batch.held_rows import POSITION, REASON, lines_of, object_of, read_held
from batch.manifest import Counts, PartFile, Predictions
from batch.outputs import OutputFormat, lines_table
from batch.quarantine import Quarantine
from batch.results import read_predictions
from batch.selection.partitions import values_in
from batch.sources import REJECTED_SCHEMA
from shared.errors import InputError
from shared.files import format_of, read_file
from shared.schema import Reason
from shared.storage import StoredFile, stored_file

_SHOWN: Final = "Leave the row out, or restore its position: every other value may be changed."
_KINDS: Final = {"csv": Kind.CELLS, "ndjson": Kind.EVENTS}


@dataclass(frozen=True, slots=True)
class FixedFile:
    """A fixed file.

    Attributes:
        file: The file.
        name: Its name.
        positions: The position of each of its rows.
    """

    file: StoredFile
    name: str
    positions: list[str]


def read_fixed(texts: Sequence[str], delimiter: str) -> list[FixedFile]:
    """The fixed files, each row of them once.

    Args:
        texts: The files.
        delimiter: What separates the fields of those that are CSV.

    Raises:
        InputError: One cannot be read, a position is there twice, or there is no row at all.
    """
    found, seen = [], dict[str, str]()
    for text in texts:
        file = stored_file(text)
        positions: list[str] = []
        for held in read_held(file, delimiter):
            positions += held.said.column(POSITION).to_pylist()
        for row, position in enumerate(positions):
            if not position:
                raise InputError(f"{file}: row {row} has no {POSITION}", hint=_SHOWN)
            if position in seen:
                other = "" if seen[position] == text else f", and in {seen[position]}"
                raise InputError(
                    f"{file}: {position} is there twice{other}", hint="Leave one of the two rows out."
                )
            seen[position] = text
        found.append(FixedFile(file, PurePath(text).name, positions))
    if not seen:
        raise InputError(f"{texts[0]}: there is no row to score", hint="Give a file with fixed rows.")
    return found


def reasons_of(folder: Folder, parts: Sequence[PartFile]) -> Iterator[tuple[str, str]]:
    """The position and the reason of each rejected row."""
    for part in parts:
        for held in read_held(folder.file(part.file)):
            yield from zip(*(held.said.column(name).to_pylist() for name in (POSITION, REASON)), strict=True)


def waiting(folder: Folder, manifest: Predictions, fixed: Sequence[FixedFile]) -> dict[str, str]:
    """The reason for which each fixed row was rejected.

    Raises:
        InputError: One was not, or is scored already.
    """
    wanted = {position for one in fixed for position in one.positions}
    reasons = {
        position: reason for position, reason in reasons_of(folder, manifest.rejected) if position in wanted
    }
    for one in fixed:
        missing = next((position for position in one.positions if position not in reasons), None)
        if missing is not None:
            told = "is scored already" if _is_scored(folder, manifest, missing) else "was not rejected there"
            raise InputError(f"{one.file}: {missing} {told} ({folder.address})", hint=_SHOWN)
    return reasons


def _is_scored(folder: Folder, manifest: Predictions, position: str) -> bool:
    for part in manifest.parts:
        named = values_in(part.file)
        for table in read_predictions(
            folder.file(part.file), "prediction_id", manifest.model.decision, named
        ):
            if pc.index(table.column("id"), position).as_py() >= 0:
                return True
    return False


def place_of(position: str, ledger: Mapping[str, Counts]) -> str:
    """What the ledger knows a position's row by: a row id of a table may hold a slash itself."""
    place = position
    while place not in ledger:
        place, slash, _ = place.rpartition("/")
        if not slash:
            raise InputError(f"{position}: the manifest's ledger knows no such place")
    return place


def kind_of(one: FixedFile, manifest: Predictions) -> tuple[Kind, bool]:
    """How a fixed file's rows are read, and whether they were read from a database.

    Raises:
        InputError: They come from inputs of several kinds.
    """
    formats = {entry.name: entry.format for entry in manifest.inputs}
    found: dict[tuple[Kind, bool], str] = {}
    for position in one.positions:
        form = formats.get(place_of(position, manifest.ledger), "ndjson")  # a topic's records are events
        kind = _KINDS.get(form, Kind.VALUES)
        found.setdefault((kind, form in {"postgresql", "sqlite"}), position)
    if len(found) > 1:
        first, second, *_ = found.values()
        raise InputError(
            f"{one.file}: {first} and {second} come from inputs of different formats",
            hint="Give the rows of each format in a file of their own, as they were rejected.",
        )
    return next(iter(found), (Kind.CELLS, False))


def undecodable(reasons: Mapping[str, str]) -> frozenset[str]:
    """The positions of rows that hold a text which was not UTF-8."""
    return frozenset(position for position, reason in reasons.items() if reason == Reason.INVALID_UTF8)


def write_left(
    folder: Folder,
    form: OutputFormat,
    parts: Sequence[PartFile],
    fixed: Collection[str],
    stem: str,
) -> list[PartFile]:
    """The rejected files without the fixed rows: those that hold none stay as they are.

    Args:
        folder: Where they are.
        form: Their format.
        parts: The files.
        fixed: The positions of the fixed rows.
        stem: What the names of new files begin with.
    """
    left: list[PartFile] = []
    for number, part in enumerate(parts):
        file = folder.file(part.file)
        if not any(position in fixed for position, _ in reasons_of(folder, [part])):
            left.append(part)
            continue
        with Quarantine(folder, f"{stem}kept-{number:05d}", form) as quarantine:
            for rows in _rows_left(file, fixed):
                if rows.num_rows:
                    quarantine.keep(rows)
            left += quarantine.finish()
    return left


def _rows_left(file: StoredFile, fixed: Collection[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a rejected file that are not among the fixed ones, as the file holds them."""
    form = format_of(file)
    if form.events:
        for lines in lines_of(file):
            yield lines_table([line for line in lines if object_of(file, line)[POSITION] not in fixed])
        return
    for chunk in read_file(file):
        batch: Any = chunk.batch
        keep = np.array([position not in fixed for position in batch.column(POSITION).to_pylist()], np.bool_)
        batch = batch.filter(pa.array(keep))
        columns = batch.columns
        if form.text:
            columns = [pc.if_else(pc.equal(one, ""), pa.scalar(None, one.type), one) for one in columns]
        own = [pa.field(name, one.type) for name, one in zip(batch.schema.names, columns, strict=True)]
        fields = [*REJECTED_SCHEMA, *own[len(REJECTED_SCHEMA) :]]
        yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def ledger_after(
    ledger: Mapping[str, Counts], reasons: Mapping[str, str], again: Mapping[str, str]
) -> dict[str, Counts]:
    """The ledger once fixed rows are counted as scored, or as rejected once more.

    Args:
        ledger: As it was.
        reasons: The reason for which each fixed row was rejected.
        again: The same of those that were rejected again.
    """
    before, after = dict[str, Counter[str]](), dict[str, Counter[str]]()
    for counters, rows in ((before, reasons), (after, again)):
        for position, reason in rows.items():
            counters.setdefault(place_of(position, ledger), Counter())[reason] += 1
    changed = dict(ledger)
    for place, gone in before.items():
        new, counts = after.get(place, Counter[str]()), ledger[place]
        rejected = Counter(counts.rejected) - gone + new
        changed[place] = counts.model_copy(
            update={
                "scored": counts.scored + gone.total() - new.total(),
                "rejected": dict(sorted(rejected.items())),
            }
        )
    return changed
