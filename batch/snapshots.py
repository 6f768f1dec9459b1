"""Snapshots of topics: their columns, and scoring them by columns where the stream would give the same.

A row's `inputs` hold what the validator made of its event, so that scoring them by columns gives the
stream's own scores. A row without them is scored from its event's bytes, for the stream's own reason; so
is a whole snapshot that was parsed for a model which declares its inputs otherwise.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.manifest import MANIFEST_FILE, PartFile, Snapshot, read_manifest
from batch.rejected_rows import texts_of
from batch.sources import Ids, Scorable, Scored, StoredRows, ids_of_events, rejected_table
from shared.columnar import inputs_type, score_rows
from shared.errors import InputError
from shared.files import Chunk, check_file, original_rows, read_file, split_file
from shared.formats.base import RAW, Split
from shared.predict import Outcome, Predictor
from shared.schema import Schema
from shared.storage import LocalFile

INPUTS: Final = "inputs"
#: The headers of a record, in order.
HEADERS: Final = pa.list_(
    pa.field(
        "element",
        pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())]),
        nullable=False,
    )
)
RECORD_SCHEMA: Final = pa.schema(
    [
        pa.field("topic", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        # Null for a record without any; snapshots of earlier versions do not have the column.
        pa.field("headers", HEADERS),
    ]
)


def snapshot_schema(schema: Schema | None) -> pa.Schema:
    """The columns of a snapshot, with the parsed inputs of a model if one is given."""
    return RECORD_SCHEMA if schema is None else RECORD_SCHEMA.append(pa.field(INPUTS, inputs_type(schema)))


def sources_of_snapshot(folder: Path, predictor: Predictor, batch_rows: int) -> list[Scorable]:
    """The parts of a snapshot, as its manifest lists them.

    Raises:
        InputError: The folder holds something else, or is not whole.
    """
    manifest = read_manifest(folder)
    if not isinstance(manifest, Snapshot):
        raise InputError(
            f"{folder}: it holds predictions, not rows to score",
            hint=f"Score what they were made from: its {MANIFEST_FILE} lists that under inputs.",
        )
    schema = predictor.model.schema
    parsed_for = schema if manifest.model is not None and manifest.model.inputs == schema else None
    return [SnapshotRows(folder, manifest.topic, part, parsed_for, batch_rows) for part in manifest.parts]


class RecordRows(Scorable):
    """The records of one partition of a topic: a row's position is that of its record.

    A chunk has the columns `offset`, `timestamp` and `value`, and `inputs` where the events were parsed.

    Attributes:
        parsed_for: The inputs that the events were parsed for; None where they were not.
    """

    renames = False
    parsed_for: Schema | None = None

    def score(self, predictor: Predictor, chunk: Chunk) -> Scored:
        """Scores the rows with parsed inputs by columns, and the others from their events' bytes."""
        batch, offsets = chunk.batch, _column(chunk, "offset")
        outcome, ids = self._outcome(predictor, batch)
        positions = self._positions(offsets.take(pa.array([r.row for r in outcome.rejections], pa.int64())))
        return Scored(
            self.place,
            len(chunk.rows),
            outcome,
            self._positions(offsets.take(pa.array(outcome.rows))),
            rejected_table(outcome, positions, ids),
        )

    def events(self, chunk: Chunk) -> pa.Array | None:
        """The records' values."""
        return _column(chunk, "value")

    def numbers(self, chunk: Chunk) -> npt.NDArray[np.int64]:
        """The records' offsets."""
        offsets: npt.NDArray[np.int64] = _column(chunk, "offset").to_numpy()
        return offsets

    def indices(self, chunk: Chunk, outcome: Outcome) -> npt.NDArray[np.int64]:  # noqa: ARG002 - known already
        """The outcome's own row numbers: it counts the chunk's rows."""
        return outcome.rows

    def _outcome(self, predictor: Predictor, batch: Any) -> tuple[Outcome, Ids]:
        values = batch.column("value")
        parsed = self.parsed_for is not None and self.parsed_for == predictor.model.schema
        outcome = score_rows(predictor, values, batch.column(INPUTS) if parsed else None)
        rejected = values.take(pa.array([rejection.row for rejection in outcome.rejections], pa.int64()))
        return outcome, ids_of_events(rejected.to_pylist(), predictor.model.schema.key)

    def _positions(self, offsets: pa.Array) -> pa.StringArray:
        return pc.binary_join_element_wise(self.place, pc.cast(offsets, pa.string()), "/")


class SnapshotRows(RecordRows, StoredRows):
    """The rows of one part of a snapshot."""

    raw = True

    def __init__(
        self, folder: Path, topic: str, part: PartFile, parsed_for: Schema | None, batch_rows: int
    ) -> None:
        self.file, self.name = LocalFile(folder / part.file), part.file
        self.place = f"{topic}/{part.partition}"
        self.sha256, self.snapshot = part.sha256, folder
        self.format, self.by_events = "parquet", parsed_for is None
        self.parsed_for, self._batch_rows = parsed_for, batch_rows

    @property
    def _wanted(self) -> dict[str, Any]:
        columns = ["offset", "timestamp", "value", *([INPUTS] if self.parsed_for is not None else [])]
        return {"columns": columns, "required": columns, "batch_rows": self._batch_rows}

    def check(self, predictor: Predictor) -> None:  # noqa: ARG002 - a snapshot suits any model
        """Looks at the part's footer."""
        check_file(self.file, **self._wanted)

    def splits(self, predictor: Predictor, rows: int) -> list[Split]:  # noqa: ARG002 - a snapshot suits any model
        """Runs of row groups."""
        return split_file(self.file, rows, **self._wanted)

    def chunks(
        self,
        predictor: Predictor,  # noqa: ARG002 - a snapshot suits any model
        split: Split | None = None,
        skip: int = 0,
    ) -> Iterator[Chunk]:
        """The rows of a split."""
        return read_file(self.file, split=split, skip=skip, **self._wanted)

    def rejected_rows(self, chunk: Chunk, outcome: Outcome) -> npt.NDArray[np.int64]:
        """The row numbers in the part's file."""
        return chunk.rows[[rejection.row for rejection in outcome.rejections]]

    def at_hand(self, chunk: Chunk, rows: npt.NDArray[np.int64]) -> None:
        """Nothing: the records' keys were not read."""

    def originals(self, split: Split, rows: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
        """The records' keys, as text or else in base64, and their values."""
        for batch in original_rows(self.file, rows, split, batch_rows=self._batch_rows):
            columns = [*texts_of(batch.column("key")), batch.column("value")]
            yield pa.RecordBatch.from_arrays(columns, ["key", "key_base64", RAW])


def _column(chunk: Chunk, name: str) -> pa.Array:
    return chunk.batch.column(name)  # type: ignore[union-attr] # a snapshot's parts are columns
