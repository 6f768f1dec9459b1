"""Reading rejected files back: what was said of each row, and all that it holds."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from batch.rejected_rows import RAW_BASE64, as_cells, own_name
from batch.sources import REJECTED_SCHEMA
from shared.errors import InputError
from shared.files import format_of, read_file
from shared.formats.base import RAW
from shared.formats.content import Content
from shared.storage import StoredFile

POSITION: Final = REJECTED_SCHEMA.names[0]
REASON: Final = REJECTED_SCHEMA.names[1]
_BLOCK_BYTES: Final = 4 << 20
_HINT: Final = "Give a file rejected-... of a folder of results, with the values of some of its rows fixed."


@dataclass(slots=True)
class Held:
    """Rows of a rejected file.

    Attributes:
        said: The columns POSITION and REASON.
        own: The columns of the input, under their own names.
        raw: The column RAW; None where there is none.
        coded: The column RAW_BASE64 likewise.
        text: Whether every value is text, as in CSV.
        objects: The same as `own`, as lines of JSON have it; None for files of columns.
    """

    said: pa.RecordBatch
    own: pa.RecordBatch
    raw: pa.Array | None
    coded: pa.Array | None
    text: bool = False
    objects: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, batch: pa.RecordBatch, *, text: bool, objects: list[dict[str, Any]] | None = None) -> "Held":
        """The rows of a rejected file.

        Args:
            batch: All its columns.
            text: Whether every value is text, as in CSV.
            objects: The objects of lines of JSON.
        """
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        own = {kept: name for kept in columns if (name := own_name(kept)) is not None}
        if objects is not None:
            objects = [{own[kept]: value for kept, value in row.items() if kept in own} for row in objects]
        said = [columns[POSITION].cast(pa.string()), columns[REASON].cast(pa.string())]
        return cls(
            pa.RecordBatch.from_arrays(said, [POSITION, REASON]),
            # A batch without columns would have no rows either.
            pa.RecordBatch.from_struct_array(
                pa.StructArray.from_arrays([columns[kept] for kept in own], list(own.values()))
            )
            if own
            else pa.RecordBatch.from_arrays([], []),
            columns.get(RAW),
            columns.get(RAW_BASE64),
            text,
            objects,
        )

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.said)

    def raws(self, file: StoredFile) -> list[bytes | None]:
        """What each row stood as; None where it had columns, or where that text was emptied.

        Args:
            file: Where the rows are, for the message.

        Raises:
            InputError: What should be base64 is not.
        """
        texts, codes = (
            [None] * self.count if column is None else column.to_pylist() for column in (self.raw, self.coded)
        )
        try:
            return [
                text.encode() if text else base64.b64decode(code, validate=True) if code else None
                for text, code in zip(texts, codes, strict=True)
            ]
        except ValueError as error:
            raise InputError(
                f"{file}: a value of {RAW_BASE64} is not base64",
                hint=f"Empty it, and write the text to {RAW}.",
            ) from error

    def cells(self) -> list[pa.Array]:
        """The columns as cells of CSV; one without a value is empty."""
        return [pc.fill_null(column.cast(pa.string()), "") for column in as_cells(self.own).columns]

    def originals(self, file: StoredFile, *, raw: bool) -> pa.RecordBatch:
        """The rows as their input would give them; see batch.rejected_rows.kept_rows.

        Args:
            file: Where the rows are, for the message.
            raw: Whether their last column is RAW.
        """
        if not raw:
            return self.own
        return pa.RecordBatch.from_arrays(
            [*self.own.columns, pa.array(self.raws(file), pa.binary())], [*self.own.schema.names, RAW]
        )


def read_held(file: StoredFile, delimiter: str = ",", batch_rows: int = 65_536) -> Iterator[Held]:
    """The rows of a rejected file, some at a time.

    Args:
        file: The file.
        delimiter: What separates its fields, if it is CSV.
        batch_rows: How many rows to read at once.

    Raises:
        InputError: It cannot be read, or is no rejected file.
    """
    form = format_of(file)
    if form.events:
        for lines in lines_of(file):
            objects = [object_of(file, line) for line in lines]
            yield Held.of(_as_columns(objects), text=False, objects=objects)
        return
    required = [POSITION, REASON]
    for chunk in read_file(file, delimiter=delimiter, batch_rows=batch_rows, required=required):
        if chunk.rejections:
            bad = chunk.rejections[0]
            raise InputError(f"{file}: row {bad.row}: {bad.detail}", hint="Mend the row, or remove it.")
        batch: Any = chunk.batch
        yield Held.of(batch, text=form.text)


def lines_of(file: StoredFile) -> Iterator[list[bytes]]:
    """Lines of any length: what an event stood as makes a line longer than an event may be."""
    rest = b""
    try:
        with Content(file) as content:
            while block := content.read(_BLOCK_BYTES):
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                if whole := [line for line in lines if line.strip()]:
                    yield whole
    except OSError as error:
        raise file.refusal(error) or InputError(f"{file}: the file is damaged: {error}") from error
    if rest.strip():
        yield [rest]


def object_of(file: StoredFile, line: bytes) -> dict[str, Any]:
    """What a line of a rejected file holds.

    Raises:
        InputError: It is no line of one.
    """
    try:
        found = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InputError(f"{file}: a line is no JSON object: {error}", hint=_HINT) from error
    if not isinstance(found.get(POSITION), str) or not isinstance(found.get(REASON), str):
        raise InputError(f"{file}: a line has no {POSITION} or no {REASON}", hint=_HINT)
    return found


def _as_columns(objects: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Objects as columns; one whose values have no type in common holds texts and JSON."""
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(name for row in objects for name in row):
        values = [row.get(name) for row in objects]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError):
            texts = [
                value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()
                for value in values
            ]
            columns[name] = pa.array(texts, pa.string())
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
