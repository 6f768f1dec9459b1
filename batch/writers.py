"""Results as files: a new output format is one class here and one entry in OUTPUT_FORMATS.

Rows are written in groups and parts of fixed size, so that a file's bytes do not depend on the batches in
which its rows were scored.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import ClassVar, Final, Self

import msgspec
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from batch.folder import Folder, HashedFile
from batch.manifest import PartFile
from shared.models.directory import Model
from shared.predict import Outcome
from shared.predictions import PredictionEncoder, contribution_lists, prediction_schema, predictions_table

ROWS_PER_GROUP: Final = 131_072
ROWS_PER_PART: Final = 4 * ROWS_PER_GROUP

_LINES: Final = pa.schema([pa.field("line", pa.binary(), nullable=False)])


class Sink(ABC):
    """An open file that takes rows."""

    @abstractmethod
    def write(self, rows: pa.Table) -> None:
        """Adds rows."""

    @abstractmethod
    def close(self) -> None:
        """Ends the file; its underlying file stays open."""


class OutputFormat(ABC):
    """How predictions and rejected rows are written to files."""

    name: ClassVar[str]

    def __init__(self, model: Model, *, explained: bool = False) -> None:
        """Makes the format for one run.

        Args:
            model: The model that scores.
            explained: Whether its predictions have contributions.
        """
        self.model = model
        self._explained = explained

    @property
    def schema(self) -> pa.Schema:
        """The columns of a prediction, as `predictions` gives them."""
        return prediction_schema(self.model, explained=self._explained)

    def predictions(self, outcome: Outcome, ids: pa.StringArray) -> pa.RecordBatch:
        """The predictions of an outcome as the rows of a sink.

        Args:
            outcome: What the predictor made of a batch.
            ids: The prediction id of each scored row.
        """
        return predictions_table(self.model, outcome, ids)

    def rejections(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Rejected rows as the rows of a sink."""
        return rows

    @abstractmethod
    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:
        """Begins a file."""


class ParquetOutput(OutputFormat):
    """Parquet, compressed with zstd; only columns of repeated values get a dictionary."""

    name: ClassVar[str] = "parquet"

    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:
        """Begins a Parquet file."""
        return ParquetSink(file, schema)


class CsvOutput(OutputFormat):
    """CSV with a header; numbers in a form that reads back to the same float64, null as nothing.

    A cell holds no list: contributions are the JSON text that the stream would write for them.
    """

    name: ClassVar[str] = "csv"

    @property
    def schema(self) -> pa.Schema:
        """The columns of a prediction, none of them a list."""
        schema = super().schema
        if not self._explained:
            return schema
        place = schema.get_field_index("contributions")
        return schema.set(place, schema.field(place).with_type(pa.string()))

    def predictions(self, outcome: Outcome, ids: pa.StringArray) -> pa.RecordBatch:
        """The predictions, their contributions as text."""
        rows = super().predictions(outcome, ids)
        if outcome.explanations is None:
            return rows
        features = [feature.name for feature in self.model.schema.features]
        texts = map(msgspec.json.encode, contribution_lists(features, outcome.explanations))
        place = rows.schema.get_field_index("contributions")
        column = pa.array([text.decode() for text in texts], pa.string())
        return rows.set_column(place, self.schema.field(place), column)

    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:
        """Begins a CSV file with its header."""
        return _CsvSink(file, schema)


class NdjsonOutput(OutputFormat):
    """One JSON object a line: the very bytes that the stream would write for the prediction."""

    name: ClassVar[str] = "ndjson"

    def __init__(self, model: Model, *, explained: bool = False) -> None:
        super().__init__(model, explained=explained)
        self._encoder = PredictionEncoder(model)

    def predictions(self, outcome: Outcome, ids: pa.StringArray) -> pa.RecordBatch:
        """The predictions as lines."""
        return _lines(self._encoder.encode(outcome, "", ids.to_pylist()))

    def rejections(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rejected rows as lines; a field without a value is left out."""
        objects = [
            {name: value for name, value in row.items() if value is not None} for row in rows.to_pylist()
        ]
        return _lines([msgspec.json.encode(item) for item in objects])

    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:  # noqa: ARG002 - lines have no schema
        """Begins a file of lines."""
        return _LineSink(file)


OUTPUT_FORMATS: Final[dict[str, type[OutputFormat]]] = {
    form.name: form for form in (ParquetOutput, CsvOutput, NdjsonOutput)
}


def _lines(lines: list[bytes]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(lines, pa.binary())], schema=_LINES)


class ParquetSink(Sink):
    """A Parquet file.

    Args:
        file: Where to write.
        schema: Its columns; those that are dictionaries there are written with one.
    """

    def __init__(self, file: HashedFile, schema: pa.Schema) -> None:
        repeated = [
            field.name
            for field in schema
            if pa.types.is_dictionary(field.type) or field.name in ("reason", "threshold")
        ]
        self._writer = pq.ParquetWriter(
            file, schema, compression="zstd", use_dictionary=repeated or False, store_schema=True
        )

    def write(self, rows: pa.Table) -> None:
        """Adds rows as a group of their own."""
        self._writer.write_table(rows, row_group_size=rows.num_rows)

    def close(self) -> None:
        """Writes the footer."""
        self._writer.close()


class _CsvSink(Sink):
    def __init__(self, file: HashedFile, schema: pa.Schema) -> None:
        plain = pa.schema(
            [
                field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
                for field in schema
            ]
        )
        self._schema = plain
        self._file = pa.PythonFile(file, mode="w")
        self._writer = arrow_csv.CSVWriter(self._file, plain)

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows.cast(self._schema))

    def close(self) -> None:
        self._writer.close()


class _LineSink(Sink):
    def __init__(self, file: HashedFile) -> None:
        self._file = file

    def write(self, rows: pa.Table) -> None:
        self._file.write(b"\n".join([*rows.column(0).to_pylist(), b""]))

    def close(self) -> None:
        pass


class FileWriter:
    """Writes rows to one file, in groups of a fixed size; there is no file where there are no rows.

    Use it through `with`, so that no unfinished file stays after an error.

    Args:
        folder: Where to write.
        name: The file's name.
        begin: Begins it.
        group_rows: How many rows a group has.

    Attributes:
        rows: How many rows were written to it so far, those that wait for their group included.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        begin: Callable[[HashedFile], Sink],
        group_rows: int = ROWS_PER_GROUP,
    ) -> None:
        self._folder, self._name, self._begin, self._group_rows = folder, name, begin, group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._open = ExitStack()
        self._sink: Sink | None = None
        self._file: HashedFile | None = None
        self.rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Adds rows; they are kept until a group of them is complete."""
        if not rows.num_rows:
            return
        self._waiting.append(rows)
        self._waiting_rows += rows.num_rows
        self.rows += rows.num_rows
        while self._waiting_rows >= self._group_rows:
            self._flush(self._group_rows)

    def finish(self) -> list[PartFile]:
        """Stores the file.

        Returns:
            Its entry; nothing when it has no rows.
        """
        if self._waiting_rows:
            self._flush(self._waiting_rows)
        if self._sink is None or self._file is None:
            return []
        self._sink.close()
        entry = PartFile(file=self._name, rows=self.rows, size=self._file.size, sha256=self._file.sha256)
        self._sink = None
        self._open.close()
        return [entry]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After an error, removes the file if it is not finished."""
        self._open.__exit__(kind, error, trace)

    def _flush(self, count: int) -> None:
        table = pa.Table.from_batches(self._waiting)
        rest = table.slice(count)
        self._waiting, self._waiting_rows = rest.to_batches(), rest.num_rows
        if self._sink is None:
            self._file = self._open.enter_context(self._folder.new_file(self._name))
            self._sink = self._begin(self._file)
        self._sink.write(table.slice(0, count))


class PartWriter:
    """Writes rows to numbered files of at most so many rows; leave it through `with`.

    Args:
        folder: Where to write.
        stem: What the names begin with: `part` gives part-00000.parquet.
        suffix: What they end with.
        begin: Begins a file.
        part_rows: The most rows of a file.
    """

    def __init__(
        self,
        folder: Folder,
        stem: str,
        suffix: str,
        begin: Callable[[HashedFile], Sink],
        part_rows: int = ROWS_PER_PART,
    ) -> None:
        self._folder, self._stem, self._suffix, self._begin = folder, stem, suffix, begin
        self._part_rows = part_rows
        self._open = ExitStack()
        self._file: FileWriter | None = None
        self.parts: list[PartFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the last file; after an error the file that is being written is removed."""
        if kind is None:
            self.end_part()
        self._open.__exit__(kind, error, trace)

    def write(self, rows: pa.RecordBatch) -> None:
        """Adds rows."""
        while rows.num_rows:
            if self._file is None:
                name = f"{self._stem}-{len(self.parts):05d}.{self._suffix}"
                group_rows = min(ROWS_PER_GROUP, self._part_rows)
                self._file = FileWriter(self._folder, name, self._begin, group_rows)
                self._open.enter_context(self._file)
            room = self._part_rows - self._file.rows
            self._file.write(rows.slice(0, room))
            rows = rows.slice(room)
            if self._file.rows == self._part_rows:
                self.end_part()

    def end_part(self, partition: int | None = None) -> None:
        """Stores the file that is being written, so that what comes next begins a new one.

        Args:
            partition: What to note of the files since the last time.
        """
        if self._file is not None:
            self.parts += self._file.finish()
            self._file = None
        if partition is not None:
            self.parts = [
                part if part.partition is not None else part.model_copy(update={"partition": partition})
                for part in self.parts
            ]
