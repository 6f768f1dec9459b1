"""Rows of files, for the batch scorer and the producer: CSV, NDJSON, Parquet and Arrow in bounded memory."""

import glob
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

from shared.errors import InputError
from shared.formats.arrow_ipc import ArrowIpc
from shared.formats.base import Chunk, Format, Rows, Split, Wanted
from shared.formats.csv_text import CsvText
from shared.formats.ndjson import Ndjson
from shared.formats.parquet import Parquet
from shared.storage import LocalFile, StoredFile, stored_file
from shared.stores.address import has_scheme, shown_address

__all__ = [
    "FORMATS",
    "Chunk",
    "Source",
    "Split",
    "check_file",
    "find_sources",
    "format_of",
    "original_rows",
    "read_file",
    "split_file",
]

FORMATS: Final[tuple[Format, ...]] = (CsvText(), Ndjson(), Parquet(), ArrowIpc())
_BY_SUFFIX: Final = {suffix: form for form in FORMATS for suffix in form.suffixes}
_DAMAGE: Final = (OSError, pa.ArrowException, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read.

    Attributes:
        file: Where it is.
        name: What its rows are known by: its path below the folder that was given, or its file name;
            no two sources of one run have the same.
    """

    file: StoredFile | Path
    name: str


def read_file(  # noqa: PLR0913 - each of them is optional
    file: StoredFile | Path,
    *,
    split: Split | None = None,
    skip: int = 0,
    columns: Collection[str] | None = None,
    others: bool = False,
    required: Collection[str] = (),
    categories: Collection[str] = (),
    ignore_case: bool = False,
    delimiter: str = ",",
    batch_rows: int = 65_536,
    names: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Chunk]:
    """Reads a file in bounded pieces, in order.

    A NDJSON file's lines are handed on whole: all but `batch_rows` concerns files of columns only.

    Args:
        file: A file with a known suffix.
        split: A piece of the file, as split_file gives it; None reads it whole.
        skip: How many of the first rows to pass over, rejected ones included; the others keep their numbers.
        columns: The names to read when they are there; None reads everything.
        others: Whether to read all other columns too.
        required: The names without which a file of columns is refused.
        categories: Names whose texts repeat, to be read as dictionaries where the format can.
        ignore_case: Whether a column matches a wanted name in another case; it then gets that name.
        delimiter: What separates the fields of a CSV file: one character.
        batch_rows: The most rows of a piece.
        names: By name, the column that it is read from where that is called otherwise.

    Yields:
        Pieces of the file. Rows that the format itself refuses are rejections of a piece.

    Raises:
        InputError: The file cannot be read, is damaged, or lacks a required column.
    """
    wanted = Wanted(columns, others, required, categories, ignore_case, delimiter, batch_rows, names)
    stored = stored_file(file)
    seen = 0
    try:
        for chunk in format_of(stored).read(stored, wanted, split, skip):
            seen += len(chunk.rows) + len(chunk.rejections)
            yield chunk
    except _DAMAGE as error:
        raise _unreadable(stored, error) from error
    if split is not None and split.rows is not None and seen != max(0, split.rows - skip):
        raise InputError(
            f"{stored}: the file was changed while it was read: rows are no longer where they were",
            hint="Score it again once it is whole.",
        )


def check_file(file: StoredFile | Path, **wanted: Any) -> None:
    """Sees that a file can be opened and has what is required, without reading it all.

    Args:
        file: A file with a known suffix.
        wanted: As for read_file.

    Raises:
        InputError: As read_file would, for all that shows at the file's beginning or end.
    """
    stored = stored_file(file)
    try:
        format_of(stored).check(stored, Wanted(**wanted))
    except _DAMAGE as error:
        raise _unreadable(stored, error) from error


def split_file(file: StoredFile | Path, rows: int, **wanted: Any) -> list[Split]:
    """The pieces of a file that read_file can read by themselves, in order; together they are the file.

    Args:
        file: A file with a known suffix.
        rows: The most rows of a piece, in a file that says how many each of its smallest pieces has.
        wanted: As for read_file.

    Raises:
        InputError: The file cannot be read, or is damaged.
    """
    stored = stored_file(file)
    try:
        return format_of(stored).splits(stored, Wanted(**wanted), rows)
    except _DAMAGE as error:
        raise _unreadable(stored, error) from error


def original_rows(
    file: StoredFile | Path, rows: Rows, split: Split | None = None, **wanted: Any
) -> Iterator[pa.RecordBatch]:
    """Rows of a file of typed columns as they stand there; a file of text has them in its chunks.

    Args:
        file: A file with a known suffix.
        rows: The row numbers in the file, ascending.
        split: The piece of the file that they are in; None where they may be anywhere.
        wanted: As for read_file; which columns it names does not matter.

    Yields:
        The rows in order, with all columns of the file under its own names; texts may be no UTF-8.

    Raises:
        InputError: The file cannot be read, or is damaged.
    """
    stored = stored_file(file)
    try:
        yield from format_of(stored).originals(stored, Wanted(**wanted), rows, split)
    except _DAMAGE as error:
        raise _unreadable(stored, error) from error


def format_of(file: StoredFile | Path) -> Format:
    """The format of a file, by its suffix.

    Raises:
        InputError: The suffix is unknown, or the name is not UTF-8.
    """
    _check_name(str(file))
    suffixes = stored_file(file).suffixes
    form = _known_format(suffixes)
    if form is None:
        suffix = "".join(suffixes[-1:])
        ending = f"ends in {suffix}" if suffix else "has no suffix"
        raise InputError(f"{file}: the format is unknown: the name {ending}", hint=f"Known: {_known()}.")
    return form


def find_sources(inputs: Sequence[str]) -> list[Source]:
    """The files that names of files, folders and glob patterns stand for.

    A folder gives its files of known suffix, those in its subfolders included, sorted by path; names that
    begin with a dot or an underscore are passed over. A file that is given twice is read once.

    Raises:
        InputError: Nothing is there or it is no regular file, a suffix is unknown, a name is not UTF-8, or a
            folder cannot be read.
    """
    found: dict[str, Source] = {}
    for text in inputs:
        for source in _expand_address(text) if has_scheme(text) else _expand(text):
            format_of(source.file)
            _check_regular(stored_file(source.file))
            found.setdefault(str(_real(source)), source)
    sources = _with_unique_names(list(found.values()))
    for source in sources:
        _check_name(source.name)
    return sources


def _check_regular(file: StoredFile) -> None:
    """Refuses what waits for a writer, and can be read only once: a named pipe, say."""
    if file.path is None:
        return
    try:
        mode = file.path.stat().st_mode
    except OSError as error:
        raise _unreadable(file, error) from error
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{file}: cannot be read: it is no regular file",
            hint="Write what comes through it to a file first: inputs are read from any place, and again.",
        )


def _check_name(name: str) -> None:
    """Refuses a name that no prediction id could hold: a row is known by its file's name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="backslashreplace")
        raise InputError(f"{shown}: the name is not UTF-8", hint="Give the file another name.") from None


def _expand(text: str) -> list[Source]:
    path = Path(text)
    try:
        if path.is_dir():
            return _files_below(path)
        if path.exists():
            return [Source(path, path.name)]
    except OSError as error:
        raise _unreadable(LocalFile(path), error) from error
    if not glob.has_magic(text):
        raise InputError(f"{path}: there is no such file or folder", hint="Check the name.")
    # Names are relative to the part of the pattern before its first wildcard.
    fixed = Path(*_before_wildcard(path.parts))
    matches = sorted(Path(match) for match in glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns
    files = [match for match in matches if match.is_file() and not match.name.startswith(("_", "."))]
    if not files:
        raise InputError(f"{text}: no file matches", hint="Check the pattern, and quote it for the shell.")
    return [Source(file, file.relative_to(fixed).as_posix()) for file in files]


def _expand_address(text: str) -> list[Source]:
    from shared.stores.listing import list_at  # noqa: PLC0415 - a run over local files has no use for it

    listed = list_at(text)
    # Of a folder, files of other kinds are passed over; a pattern or a name means what it says.
    if any(found.in_folder for found in listed):
        listed = [found for found in listed if _known_format(found.file.suffixes)]
        if not listed:
            raise _nothing_known(shown_address(text))
    return [Source(found.file, found.name) for found in listed]


def _before_wildcard(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _files_below(folder: Path) -> list[Source]:
    def refuse(error: OSError) -> None:
        raise _unreadable(LocalFile(Path(error.filename or folder)), error) from error

    paths = []
    for here, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(("_", "."))]
        paths += [Path(here, name) for name in files if not name.startswith(("_", "."))]
    paths = sorted(path for path in paths if _known_format(LocalFile(path).suffixes))
    if not paths:
        raise _nothing_known(str(folder))
    return [Source(path, path.relative_to(folder).as_posix()) for path in paths]


def _with_unique_names(sources: list[Source]) -> list[Source]:
    """The sources, with folders before those names that are not unique, as many as tell them apart."""
    depth = 1
    while True:
        times = Counter(source.name for source in sources)
        if len(times) == len(sources):
            return sources
        depth += 1
        sources = [
            Source(source.file, "/".join(_real(source).parts[-depth:]).removeprefix("//"))
            if times[source.name] > 1
            else source
            for source in sources
        ]


def _real(source: Source) -> PurePath:
    """Where a source really is: another one for each file."""
    path = stored_file(source.file).path
    return PurePosixPath(str(source.file)) if path is None else path.resolve()


def _known_format(suffixes: Sequence[str]) -> Format | None:
    """The format that the endings of a name stand for: the last, or the last two of a compressed file."""
    return _BY_SUFFIX.get("".join(suffixes[-2:])) or _BY_SUFFIX.get("".join(suffixes[-1:]))


def _known() -> str:
    return ", ".join(_BY_SUFFIX)


def _nothing_known(folder: str) -> InputError:
    return InputError(f"{folder}: no file with a known suffix is in it", hint=f"Known: {_known()}.")


def _unreadable(file: StoredFile, error: Exception) -> InputError:
    refusal = file.refusal(error) if isinstance(error, OSError) else None
    if refusal is not None:
        return refusal
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{file}: the file is damaged: {first}", hint="Make it anew, or leave it out.")
