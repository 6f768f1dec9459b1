"""Predictions and rejected rows as files: a new format is one class here and one entry in OUTPUT_FORMATS."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec
import pyarrow as pa

from batch.folder import HashedFile
from batch.rejected_rows import as_cells, as_lines
from batch.sinks import (
    COMPRESSED_SUFFIXES,
    ArrowSink,
    Compression,
    CsvSink,
    LineSink,
    ParquetSink,
    Sink,
)
from shared import times
from shared.models.directory import Model
from shared.predict import Outcome
from shared.predictions import PredictionEncoder, contribution_lists, prediction_schema, predictions_table

#: The column of lines has a name that no column of an input has.
_LINES: Final = pa.schema([pa.field("\n", pa.binary(), nullable=False)])
_NOTHING: Final = pa.schema([])


class OutputFormat(ABC):
    """How predictions and rejected rows are written to files."""

    name: ClassVar[str]
    #: Whether its files are text, which can be compressed and holds no nested values.
    text: ClassVar[bool] = False

    def __init__(
        self,
        model: Model,
        *,
        explained: bool = False,
        passed: pa.Schema = _NOTHING,
        partition_by: Sequence[str] = (),
        compress: Compression = "none",
    ) -> None:
        """Makes the format for one run.

        Args:
            model: The model that scores.
            explained: Whether its predictions have contributions.
            passed: The columns of the inputs that go along with them.
            partition_by: The columns whose values name the folders that they are written to.
            compress: How files of text are compressed.
        """
        self.model = model
        self.partition_by = tuple(partition_by)
        self._explained, self._passed, self._compress = explained, passed, compress

    @property
    def suffix(self) -> str:
        """What the names of its files end in."""
        return self.name + COMPRESSED_SUFFIXES[self._compress]

    @property
    def schema(self) -> pa.Schema:
        """The columns of a prediction, those that name folders included."""
        return self._with_passed(prediction_schema(self.model, explained=self._explained))

    @property
    def file_schema(self) -> pa.Schema:
        """The columns that the files of predictions hold."""
        return pa.schema([field for field in self.schema if field.name not in self.partition_by])

    def predictions(
        self, outcome: Outcome, ids: pa.StringArray, passed: Sequence[pa.Array] = ()
    ) -> pa.RecordBatch:
        """The predictions of an outcome as the rows of a sink, with the columns that name folders.

        Args:
            outcome: What the predictor made of a batch.
            ids: The prediction id of each scored row.
            passed: The columns that go along.
        """
        own = predictions_table(self.model, outcome, ids)
        return pa.record_batch([*own.columns, *passed], schema=self._with_passed(own.schema))

    def rejections(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Rejected rows as the rows of a sink."""
        return rows

    @abstractmethod
    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:
        """Begins a file."""

    def _with_passed(self, own: pa.Schema) -> pa.Schema:
        return pa.schema([*own, *self._passed])


class ParquetOutput(OutputFormat):
    """Parquet, compressed with zstd; only columns of repeated values get a dictionary."""

    name: ClassVar[str] = "parquet"

    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:
        """Begins a Parquet file."""
        return ParquetSink(file, schema)


class ArrowOutput(OutputFormat):
    """Arrow IPC files, their buffers compressed with zstd."""

    name: ClassVar[str] = "arrow"

    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:
        """Begins an Arrow IPC file."""
        return ArrowSink(file, schema)


class CsvOutput(OutputFormat):
    """CSV with a header; numbers in a form that reads back to the same float64, null as nothing.

    A cell holds no list: contributions are the JSON text that the stream would write for them. Times are
    text as an event would hold them.
    """

    name: ClassVar[str] = "csv"
    text: ClassVar[bool] = True

    @property
    def schema(self) -> pa.Schema:
        """The columns of a prediction, none of them a list or a time."""
        schema = super().schema
        for place, field in enumerate(schema):
            if pa.types.is_list(field.type) or times.is_time(field.type):
                schema = schema.set(place, field.with_type(pa.string()))
        return schema

    def predictions(
        self, outcome: Outcome, ids: pa.StringArray, passed: Sequence[pa.Array] = ()
    ) -> pa.RecordBatch:
        """The predictions, their contributions as text."""
        rows = super().predictions(outcome, ids, passed)
        columns = [times.as_text(one) if times.is_time(one.type) else one for one in rows.columns]
        if outcome.explanations is not None:
            features = [feature.name for feature in self.model.schema.features]
            texts = map(msgspec.json.encode, contribution_lists(features, outcome.explanations))
            place = rows.schema.get_field_index("contributions")
            columns[place] = pa.array([text.decode() for text in texts], pa.string())
        return pa.record_batch(columns, schema=self.schema)

    def rejections(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Rejected rows, their values as text where a cell has no other form."""
        return as_cells(rows)

    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:
        """Begins a CSV file with its header."""
        return CsvSink(file, schema, self._compress)


class NdjsonOutput(OutputFormat):
    """One JSON object a line: the very bytes that the stream would write for the prediction.

    The columns that go along follow its own fields; one without a value is left out. Those that name folders
    stay in the lines, so that a line is whole.
    """

    name: ClassVar[str] = "ndjson"
    text: ClassVar[bool] = True

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__(model, **options)
        self._encoder = PredictionEncoder(model)
        self._encode_lines = msgspec.json.Encoder(decimal_format="number").encode_lines

    def predictions(
        self, outcome: Outcome, ids: pa.StringArray, passed: Sequence[pa.Array] = ()
    ) -> pa.RecordBatch:
        """The predictions as lines, beside the columns that name folders."""
        lines = self._encoder.encode(outcome, "", ids.to_pylist())
        if passed:
            lines = list(map(_joined, lines, self._encoded(passed)))
        rows = lines_table(lines)
        if self.partition_by:
            whole = super().predictions(outcome, ids, passed)
            for name in self.partition_by:
                rows = rows.append_column(name, whole.column(name))
        return rows

    def rejections(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rejected rows as lines; a field without a value is left out."""
        return lines_table(as_lines(rows))

    def open(self, file: HashedFile, schema: pa.Schema) -> Sink:  # noqa: ARG002 - lines have no schema
        """Begins a file of lines."""
        return LineSink(file, self._compress)

    def _encoded(self, passed: Sequence[pa.Array]) -> list[bytes]:
        """A JSON object of the columns that go along for each row."""
        plain = [times.as_text(column) if times.is_time(column.type) else column for column in passed]
        rows = zip(*(column.to_pylist() for column in plain), strict=True)
        names = self._passed.names
        objects = [
            {name: value for name, value in zip(names, row, strict=True) if value is not None} for row in rows
        ]
        # A JSON text holds no raw line break.
        return self._encode_lines(objects).split(b"\n")[:-1]


OUTPUT_FORMATS: Final[dict[str, type[OutputFormat]]] = {
    form.name: form for form in (ParquetOutput, CsvOutput, NdjsonOutput, ArrowOutput)
}


def lines_table(lines: list[bytes]) -> pa.RecordBatch:
    """Lines of JSON as the rows of a sink."""
    return pa.record_batch([pa.array(lines, pa.binary())], schema=_LINES)


def _joined(one: bytes, other: bytes) -> bytes:
    """Two JSON objects as one."""
    return one if other == b"{}" else b"%s,%s" % (one[:-1], other[1:])
