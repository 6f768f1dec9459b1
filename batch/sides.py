"""The two sides of a comparison: predictions and rejections by id, from a topic or from files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.folder import Folder, folder_at
from batch.manifest import Predictions, has_manifest, read_scored
from batch.results import (
    PREDICTIONS,
    REJECTIONS,
    JoinColumn,
    PredictionDecoder,
    read_predictions,
    read_rejections,
)
from batch.selection.partitions import values_in
from batch.sources import ids_of_events
from shared.dead_letters import Told, told_by
from shared.errors import InputError
from shared.kafka.columns import RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import read_to_end
from shared.progress import Meter
from shared.replay_log import Replayed, Standing, log_topic, read_log
from shared.storage import stored_file
from shared.stores.address import has_scheme, shown_address

TOPIC: Final = "topic:"


@dataclass(frozen=True, slots=True)
class Side:
    """What one path made of the same rows.

    Attributes:
        name: What to call it.
        ids: What its predictions are joined by.
        scores: Their scores.
        decisions: Their decisions.
        models: The models that made them: `name@version` and the beginning of the digest.
        rejected_ids: What its rejections are joined by; null where a rejection holds no such id.
        reasons: Their reason codes.
        explanations: What explains its scores, as EXPLANATION; None when no prediction is explained.
    """

    name: str
    ids: pa.StringArray
    scores: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.bool_]
    models: frozenset[tuple[str, str]]
    rejected_ids: pa.StringArray
    reasons: pa.StringArray
    explanations: pa.StructArray | None = None


def load_side(
    place: str,
    on: JoinColumn,
    kafka: KafkaSettings,
    meter: Meter,
    dead_letters: str | None = None,
    key: str = "customer_id",
    replay_topic: str | None = None,
) -> Side:
    """Reads a side.

    A dead letter that was replayed does not count: what came of it does, a prediction or a newer letter.

    Args:
        place: `topic:NAME`, an output folder of `python -m batch score`, or one file of predictions.
        on: The column to join by.
        kafka: Where the brokers are, for a topic.
        meter: Is told how far it is.
        dead_letters: The topic that holds the rejections of a side that is a topic; a folder has its own.
        key: The field of an event that holds the customer's id, for dead letters.
        replay_topic: The topic that says which dead letters were replayed, when it is not the usual one.

    Raises:
        TandemError: The place cannot be read, or holds something else.
    """
    rejections: Iterable[pa.Table] = ()
    if place.startswith(TOPIC):
        predictions = predictions_on(place.removeprefix(TOPIC), on, kafka)
        if dead_letters is not None:
            letters = dead_letters.removeprefix(TOPIC)
            replayed = read_log(kafka, log_topic(letters, replay_topic)).replayed
            rejections = _dead_letters(letters, on, kafka, key, replayed)
    elif is_folder(place):
        predictions, rejections = _in_folder(folder_at(place), on)
    elif has_scheme(place):
        predictions = read_predictions(stored_file(place), on)
    elif Path(place).exists():
        predictions = read_predictions(Path(place), on)
    else:
        raise InputError(
            f"{place}: there is no such file or folder", hint=f"Check the name; a topic is named {TOPIC}NAME."
        )
    name = shown_address(place)
    return side_of(name, on, list(counted(predictions, name, meter)), list(counted(rejections, name, meter)))


def counted(tables: Iterable[pa.Table], name: str, meter: Meter) -> Iterator[pa.Table]:
    """The same tables; a meter is told of each.

    Args:
        tables: The tables.
        name: What they are of.
        meter: What is told.
    """
    for table in tables:
        meter.add(table.num_rows, name, None)
        yield table


def side_of(name: str, on: JoinColumn, predictions: list[pa.Table], rejections: list[pa.Table]) -> Side:
    """A side from its tables.

    Args:
        name: What to call it.
        on: What its ids are, for the message.
        predictions: Tables of PREDICTIONS.
        rejections: Tables of REJECTIONS.

    Raises:
        InputError: A prediction has no id of that kind.
    """
    table = pa.concat_tables([PREDICTIONS.empty_table(), *predictions])
    rejected = pa.concat_tables([REJECTIONS.empty_table(), *rejections])
    for column, said in (("id", on), ("score", "score"), ("decision", "decision")):
        if missing := table.column(column).null_count:
            raise InputError(
                f"{name}: {missing:,} of {table.num_rows:,} predictions have no {said}",
                hint="Join by a column that all of them have: --on prediction_id or --on customer_id.",
            )
    explanations = table.column("explanation")
    models = table.group_by(["model", "model_sha256"]).aggregate([]).to_pylist()
    return Side(
        name,
        table.column("id").combine_chunks(),
        table.column("score").to_numpy(),
        table.column("decision").to_numpy(),
        frozenset((str(row["model"]), str(row["model_sha256"])) for row in models),
        rejected.column("id").combine_chunks(),
        rejected.column("reason").combine_chunks(),
        None if explanations.null_count == table.num_rows else explanations.combine_chunks(),
    )


def is_folder(place: str) -> bool:
    """Whether a place is a folder: one of this machine, or one of an object store that a run has ended in."""
    return has_manifest(folder_at(place)) if has_scheme(place) else Path(place).is_dir()


def _in_folder(folder: Folder, on: JoinColumn) -> tuple[Iterator[pa.Table], Iterator[pa.Table]]:
    manifest = read_scored(folder)
    rejections = (
        table for part in manifest.rejected for table in read_rejections(folder.file(part.file), on)
    )
    return predictions_in(folder, manifest, on), rejections


def predictions_in(folder: Folder, manifest: Predictions, on: JoinColumn) -> Iterator[pa.Table]:
    """The predictions of a batch run as columns of PREDICTIONS.

    Args:
        folder: Where they are.
        manifest: Its manifest.
        on: The column to join by.

    Raises:
        InputError: A part cannot be read, or holds something else.
    """
    decision = manifest.model.decision
    for part in manifest.parts:
        yield from read_predictions(folder.file(part.file), on, decision, values_in(part.file))


def predictions_on(topic: str, on: JoinColumn, kafka: KafkaSettings) -> Iterator[pa.Table]:
    """The predictions on a topic as columns of PREDICTIONS.

    Args:
        topic: The topic.
        on: The field to join by.
        kafka: Where the brokers are.

    Raises:
        TandemError: The topic cannot be read, or holds something else.
    """
    decoder = PredictionDecoder(on)
    for columns in read_to_end(kafka, topic):
        name = f"topic {topic!r}, partition {columns.partition}, from offset {columns.offsets[0]} on"
        yield decoder.table(name, columns.values)


def _dead_letters(
    topic: str, on: JoinColumn, kafka: KafkaSettings, key: str, replayed: Replayed
) -> Iterator[pa.Table]:
    for columns in read_to_end(kafka, topic):
        told = [(row, _told(columns, row)) for row in range(len(columns))]
        counting = [(row, one) for row, one in told if replayed.standing(one) is Standing.WAITING]
        if on == "prediction_id":
            ids: Any = [one.origin.position for _, one in counting]
        else:
            place = 0 if on == "customer_id" else 1
            values = [columns.values[row] for row, _ in counting]
            ids = [pair[place] for pair in ids_of_events(values, key)]
        yield pa.table([ids, [str(one.reason) for _, one in counting]], schema=REJECTIONS)


def _told(columns: RecordColumns, row: int) -> Told:
    """What a dead letter's headers tell."""
    try:
        return told_by(columns.headers.get(row, []))
    except ValueError as error:
        raise InputError(
            f"topic {columns.topic!r}: {columns.topic}/{columns.partition}/{columns.offsets[row]}"
            f" is no dead letter: {error}",
            hint="Name the topic to which the consumer writes its dead letters.",
        ) from error
