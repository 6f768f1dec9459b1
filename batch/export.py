"""`python -m batch export`: a snapshot of a topic, with the range of offsets that it covers."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from pydantic import Field
from pydantic_settings import CliPositionalArg

from batch.folder import Folder, LocalFolder
from batch.manifest import Column, ModelUsed, PartitionRange, Run, Snapshot, settings_of, write_manifest
from batch.pipeline import ahead
from batch.sinks import ParquetSink
from batch.snapshots import HEADERS, snapshot_schema
from batch.writers import ROWS_PER_PART, PartWriter
from shared import logs
from shared.columnar import inputs_column
from shared.errors import ExitCode
from shared.kafka.columns import Header, RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import Extent, extents, read_to_end
from shared.logs import LogSettings
from shared.predict import Predictor
from shared.progress import Meter, show_json, show_summary
from shared.settings import CommandSettings, JsonSettings, load
from shared.sketches.sketches import Sketches

#: Takes how many rows are new, what they are of, and how much of all is done, from 0 to 1.
Tell: TypeAlias = Callable[[int, str, float], object]


class ExportSettings(JsonSettings, LogSettings, KafkaSettings, CommandSettings):
    """Writes a snapshot of a topic to Parquet files.

    The ends of all partitions are fixed first; then each is read from its beginning up to there, committed
    records only. With a model the events' inputs are parsed too, so that `python -m batch score` need not
    parse them again. manifest.json, with the offsets that the snapshot covers, is written last.

    Example:
      python -m batch export customers --output snapshot --model models/churn
      python -m batch score snapshot --model models/churn --output scored
    """

    topic: CliPositionalArg[str] = Field(description="The topic to read.")
    output: Path = Field(description="A folder that is new or empty.")
    model: Path | None = Field(None, description="A model's directory, by whose inputs to parse the events.")
    part_rows: int = Field(ROWS_PER_PART, ge=1, description="The most rows of a part file.")


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: The broker, the topic, the model or the output folder cannot be used.
    """
    settings = load(ExportSettings, arguments, "python -m batch export")
    logs.set_up(settings.log_format, settings.log_level)
    manifest = export(settings)
    if settings.as_json:
        show_json(_as_json(settings, manifest))
        return ExitCode.DONE
    lines = {
        "topic": manifest.topic,
        "partitions": f"{len(manifest.partitions)}",
        "rows": f"{manifest.rows:,}",
        "rows/s": f"{manifest.run.rows_per_second:,.0f}",
        "inputs": f"parsed for {manifest.model.id}" if manifest.model else "not parsed: no --model given",
        "output": f"{settings.output} ({len(manifest.parts)} files)",
    }
    show_summary(lines)
    return ExitCode.DONE


def _as_json(settings: ExportSettings, manifest: Snapshot) -> dict[str, object]:
    """The summary for a script; these names are a contract."""
    return {
        "topic": manifest.topic,
        "partitions": [partition.model_dump() for partition in manifest.partitions],
        "rows": manifest.rows,
        "seconds": manifest.run.seconds,
        "rows_per_second": manifest.run.rows_per_second,
        "model": manifest.model.id if manifest.model else None,
        "output": str(settings.output),
    }


def export(settings: ExportSettings) -> Snapshot:
    """Writes a snapshot.

    Returns:
        The manifest that was written.

    Raises:
        TandemError: The broker, the topic, the model or the output folder cannot be used.
    """
    predictor = None if settings.model is None else Predictor.load(settings.model)
    folder = LocalFolder(settings.output)
    folder.check_empty()
    wanted = extents(settings, settings.topic)
    folder.create()
    with folder.locked(), Meter() as meter:
        folder.check_empty()
        return write_snapshot(
            folder,
            Wanted(settings.topic, wanted, predictor, settings.part_rows),
            settings,
            settings_of(settings),
            meter.add,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a snapshot is to hold.

    Attributes:
        topic: The topic.
        extents: Of each partition, the offsets.
        predictor: By whose model's inputs to parse the events; None leaves them as they are.
        part_rows: The most rows of a part file.
    """

    topic: str
    extents: Mapping[int, Extent]
    predictor: Predictor | None = None
    part_rows: int = ROWS_PER_PART


def write_snapshot(
    folder: Folder, wanted: Wanted, kafka: KafkaSettings, settings: dict[str, str], tell: Tell
) -> Snapshot:
    """Writes the records of fixed offsets, one partition after the other: they always give the same bytes.

    Args:
        folder: Where to write: it is there, and empty.
        wanted: Which records.
        kafka: Where the brokers are.
        settings: What to note of the run's settings.
        tell: Is told of progress: rows, of what, and the share of these records that is done.

    Returns:
        The manifest that was written.

    Raises:
        TandemError: The broker, the topic or the folder cannot be used.
    """
    started, begin = datetime.now(UTC), time.monotonic()
    predictor = wanted.predictor
    schema = snapshot_schema(None if predictor is None else predictor.model.schema)
    parts = PartWriter(
        folder, "part", "parquet", lambda file: ParquetSink(file, schema), part_rows=wanted.part_rows
    )
    sketches = None if predictor is None else Sketches.of(predictor.model.schema)
    with parts:
        rows = _write_all(kafka, wanted, sketches, parts, tell)
    manifest = Snapshot(
        topic=wanted.topic,
        partitions=[
            PartitionRange(partition=partition, start=extent.start, end=extent.end, rows=rows[partition])
            for partition, extent in wanted.extents.items()
        ],
        model=None if predictor is None else ModelUsed.of(predictor.model),
        rows=sum(rows.values()),
        sketches=None if sketches is None else sketches.to_json(),
        columns=Column.all_of(schema),
        parts=parts.parts,
        settings=settings,
        run=Run.of(started, time.monotonic() - begin, sum(rows.values())),
    )
    write_manifest(folder, manifest)
    return manifest


def _write_all(
    kafka: KafkaSettings, wanted: Wanted, sketches: Sketches | None, parts: PartWriter, tell: Tell
) -> dict[int, int]:
    """Writes one partition after the other.

    Returns:
        The number of records of each partition.
    """
    total = sum(extent.end - extent.start for extent in wanted.extents.values()) or 1
    rows, behind = dict.fromkeys(wanted.extents, 0), 0
    for partition, extent in wanted.extents.items():
        for batch, last in ahead(_batches(kafka, wanted, partition, sketches)):
            parts.write(batch)
            rows[partition] += batch.num_rows
            tell(batch.num_rows, wanted.topic, (behind + last - extent.start) / total)
        parts.end_part(partition)
        behind += extent.end - extent.start
    return rows


def _batches(
    kafka: KafkaSettings, wanted: Wanted, partition: int, sketches: Sketches | None
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The records of a partition as columns, and the last offset of each batch."""
    schema = snapshot_schema(None if wanted.predictor is None else wanted.predictor.model.schema)
    extent = {partition: wanted.extents[partition]}
    for columns in ahead(read_to_end(kafka, wanted.topic, extent)):
        yield record_batch(columns, schema, wanted.predictor, sketches), columns.offsets[-1]


def record_batch(
    columns: RecordColumns,
    schema: pa.Schema,
    predictor: Predictor | None,
    sketches: Sketches | None = None,
) -> pa.RecordBatch:
    """Records as the rows of a snapshot.

    Args:
        columns: The records.
        schema: The snapshot's columns.
        predictor: By whose model's inputs to parse the events; None leaves them as they are.
        sketches: Take in what was parsed.
    """
    count = len(columns)
    arrays = [
        pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([columns.topic])),
        pa.array(np.full(count, columns.partition, np.int32)),
        pa.array(columns.offsets, pa.int64()),
        pa.array(columns.timestamps, pa.timestamp("ms", "UTC")),
        pa.array(columns.keys, pa.binary()),
        pa.array(columns.values, pa.binary()),
        _headers_column(columns),
    ]
    if predictor is not None:
        parsed = predictor.parse_json(columns.values)
        arrays.append(inputs_column(predictor.model.schema, parsed))
        if sketches is not None:
            sketches.add(parsed.frame)
    return pa.record_batch(arrays, schema=schema)


def _headers_column(columns: RecordColumns) -> pa.ListArray:
    """The records' headers; null where a record has none."""
    if not columns.headers:
        return pa.nulls(len(columns), HEADERS)
    counts = np.zeros(len(columns), np.int32)
    flat: list[Header] = []
    for row, headers in sorted(columns.headers.items()):
        counts[row] = len(headers)
        flat += headers
    # Of a name that is no UTF-8, the bytes at fault are replaced.
    names = [name.encode(errors="surrogateescape").decode(errors="replace") for name, _ in flat]
    pairs = pa.StructArray.from_arrays(
        [
            pa.array(names, pa.string()),
            pa.array([value for _, value in flat], pa.binary()),
        ],
        fields=list(HEADERS.value_type),
    )
    starts = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(starts, pairs, type=HEADERS, mask=pa.array(counts == 0))
