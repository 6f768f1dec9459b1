"""Snapshots for proofs, as `python -m batch export` would have written them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from batch.export import record_batch
from batch.folder import LocalFolder
from batch.manifest import Column, PartitionRange, Run, Snapshot, write_manifest
from batch.proof.evidence import Evidence
from batch.proof.gather import gather, work_folder
from batch.proof.settings import ProveSettings
from batch.sinks import ParquetSink
from batch.snapshots import snapshot_schema
from batch.writers import PartWriter
from shared.kafka.columns import RecordColumns
from shared.progress import Meter
from shared.replay_log import Entry
from shared.settings import load
from tests.support.letters import NOW, letter_columns

EVENTS, PREDICTIONS, LETTERS, REPLAYS = "customers", "predictions", "dead-letters", "dead-letters-replayed"
TIME = 1_700_000_000_000


def write_snapshot(
    folder: Path,
    topic: str,
    records: Sequence[RecordColumns],
    ranges: Mapping[int, tuple[int, int]] | None = None,
    part_rows: int = 1_000_000,
) -> Path:
    """A snapshot of a topic.

    Args:
        folder: Where to write it.
        topic: The topic.
        records: Records of partitions, those of one in order.
        ranges: The offsets that each partition covers; from 0 to the end of its records unless given.
        part_rows: The most rows of a part file.
    """
    covered = dict(ranges or {})
    for columns in records:
        covered.setdefault(columns.partition, (0, 0))
        start, end = covered[columns.partition]
        covered[columns.partition] = start, max(end, columns.offsets[-1] + 1 if len(columns) else 0)
    schema, rows = snapshot_schema(None), dict.fromkeys(covered, 0)
    LocalFolder(folder).create()
    with PartWriter(
        LocalFolder(folder), "part", "parquet", lambda file: ParquetSink(file, schema), part_rows
    ) as parts:
        for partition in sorted(covered):
            for columns in records:
                if columns.partition == partition and len(columns):
                    parts.write(record_batch(columns, schema, None))
                    rows[partition] += len(columns)
            parts.end_part(partition)
    manifest = Snapshot(
        topic=topic,
        partitions=[
            PartitionRange(partition=partition, start=start, end=end, rows=rows[partition])
            for partition, (start, end) in sorted(covered.items())
        ],
        rows=sum(rows.values()),
        columns=Column.all_of(schema),
        parts=parts.parts,
        settings={},
        run=Run(started="", finished="", seconds=0, rows_per_second=0),
    )
    write_manifest(LocalFolder(folder), manifest)
    return folder


def records(
    topic: str, values: Iterable[bytes | None], partition: int = 0, start: int = 0, step: int = 1
) -> RecordColumns:
    """Records of one partition, a millisecond apart, keyed by their offset."""
    listed = list(values)
    offsets = [start + step * row for row in range(len(listed))]
    return RecordColumns(
        topic,
        partition,
        offsets,
        [TIME + offset for offset in offsets],
        [str(offset).encode() for offset in offsets],
        listed,
        next_offset=offsets[-1] + 1 if offsets else start,
    )


def prediction(offset: int, partition: int = 0, topic: str = EVENTS, model: str = "threshold@1") -> bytes:
    """A prediction as the consumer writes it."""
    said = {
        "prediction_id": f"{topic}/{partition}/{offset}",
        "customer_id": offset,
        "score": offset / 7,
        "churn": True,
        "threshold": 0.6,
        "model": model,
        "model_sha256": "0123456789ab",
    }
    return json.dumps(said, separators=(",", ":")).encode()


def predictions(offsets: Iterable[int], partition: int = 0, start: int = 0) -> RecordColumns:
    """Predictions of events of the same partition."""
    return records(PREDICTIONS, (prediction(offset, partition) for offset in offsets), partition, start)


def events(count: int, partition: int = 0, start: int = 0, step: int = 1) -> RecordColumns:
    """Events of one partition."""
    values = [json.dumps({"customer_id": number, "feature": number / 7}).encode() for number in range(count)]
    return records(EVENTS, values, partition, start, step)


def replay_entry(
    offset: int, attempt: int = 1, outcome: str = "scored", timestamp: int = NOW - 1, partition: int = 0
) -> bytes:
    """An entry of the log of replays."""
    said = Entry(
        f"{EVENTS}/{partition}/{offset}",
        timestamp,
        attempt,
        "scored" if outcome == "scored" else "rejected",
        f"{LETTERS}/{partition}/0",
        "threshold@2",
    )
    return json.dumps({name: getattr(said, name) for name in said.__struct_fields__}).encode()


def letters(offsets: Iterable[int], partition: int = 0, start: int = 0, **changes: Any) -> RecordColumns:
    """Dead letters of events; `changes` are of tests.support.letters.letter_columns."""
    found = RecordColumns(LETTERS, partition)
    for number, offset in enumerate(offsets):
        found.extend(letter_columns([b"junk"], offset, partition=partition, at=start + number, **changes))
    return found


def prove_settings(work: Path | None = None, *more: str) -> ProveSettings:
    """The settings of a proof."""
    where = () if work is None else ("--work-folder", str(work))
    return load(ProveSettings, ["--model", "models/threshold", *where, *more], "prove")


def exports(folder: Path, *more: str, **records_of: Sequence[RecordColumns]) -> ProveSettings:
    """The settings of a proof of snapshots, which are written.

    Args:
        folder: Where to write them; the work folder is in it, too.
        more: Further options.
        records_of: By `events`, `predictions`, `letters` and perhaps `replays`, the records.
    """
    topics = {"events": EVENTS, "predictions": PREDICTIONS, "letters": LETTERS, "replays": REPLAYS}
    options = {"letters": "dead-letters"}
    given: list[str] = []
    for role, topic in topics.items():
        if role != "replays" or role in records_of:
            option = options.get(role, role)
            if not (folder / option).exists():
                write_snapshot(folder / option, topic, records_of.get(role, []), {0: (0, 0)})
            given += [f"--{option}", str(folder / option)]
    return prove_settings(folder / "work", *given, *more)


def gathered(settings: ProveSettings) -> Evidence:
    """All that a proof has to judge."""
    with work_folder(settings) as work, Meter() as meter:
        return gather(settings, work, meter)
