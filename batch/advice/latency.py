"""How late the stream's predictions were: from the timestamp of an event's record to its prediction's."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import numpy as np

from batch.advice.recording import Recorded, position_key
from batch.advice.runs import Times
from batch.folder import LocalFolder
from batch.manifest import Snapshot, read_manifest
from batch.proof.result import Histogram
from batch.proof.spread import Latencies
from batch.topic_rows import TOPIC
from shared.errors import ConfigurationError, InputError
from shared.files import read_file
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import read_to_end

#: Predictions as their topic holds them, and the timestamps of their records.
Written: TypeAlias = tuple[Sequence[bytes | None], Times]


class _Prediction(msgspec.Struct):
    prediction_id: str


_DECODE: Final = msgspec.json.Decoder(_Prediction).decode


def predictions_in(place: str, kafka: KafkaSettings) -> Iterator[Written]:
    """The predictions on a topic, or in a snapshot of it, which is found at once.

    Args:
        place: `topic:NAME`, or the snapshot's folder.
        kafka: Where the brokers are.

    Raises:
        TandemError: It cannot be read; of a topic that shows when it is read.
    """
    if place.startswith(TOPIC):
        return _on_topic(place.removeprefix(TOPIC), kafka)
    if Path(place).is_file():
        raise InputError(
            f"--predictions: {place} is a file", hint=f"Name {TOPIC}NAME, or the folder of a snapshot of it."
        )
    manifest = read_manifest(LocalFolder(Path(place)))
    if not isinstance(manifest, Snapshot):
        raise InputError(
            f"{place}: it holds what a batch wrote, and no record tells when",
            hint="Name the stream's predictions: their topic, or a snapshot of it by python -m batch export.",
        )
    return _in_snapshot(place, manifest)


def _on_topic(topic: str, kafka: KafkaSettings) -> Iterator[Written]:
    for columns in read_to_end(kafka, topic):
        yield columns.values, np.array(columns.timestamps, np.int64)


def _in_snapshot(place: str, manifest: Snapshot) -> Iterator[Written]:
    for part in manifest.parts:
        for chunk in read_file(Path(place, part.file), columns=["timestamp", "value"]):
            if chunk.batch is not None:
                stamped = chunk.batch.column("timestamp").to_numpy(zero_copy_only=False)
                times = stamped.astype("datetime64[ms]").astype(np.int64)
                yield chunk.batch.column("value").to_pylist(), times


def latency_of(predictions: Iterable[Written], recorded: Recorded, place: str) -> Histogram:
    """How late predictions were.

    Args:
        predictions: From `predictions_in`.
        recorded: The events, with their positions.
        place: What to call the predictions.

    Raises:
        ConfigurationError: The events are of several topics.
        InputError: None of the predictions is of a recorded event.
    """
    if len(recorded.topics) > 1:
        raise ConfigurationError(
            f"--predictions: the events are of several topics: {', '.join(sorted(recorded.topics))}",
            hint="Name the events of one topic, and its predictions.",
        )
    topic = next(iter(recorded.topics), None)
    found = Latencies()
    for values, times in predictions:
        keys = np.array([_key_of(value, topic) for value in values], np.int64)
        at = np.searchsorted(recorded.positions, keys)
        of_event = at < len(recorded.positions)
        of_event[of_event] = recorded.positions[at[of_event]] == keys[of_event]
        found = found.with_times(times[of_event] - recorded.stamped[at[of_event]])
    histogram = found.histogram()
    if histogram is None:
        raise InputError(
            f"{place}: none of these predictions is of an event that was read",
            hint="Name the output topic of the consumer that scored this topic's events, or leave it out;"
            " events that come from files have no position to know them by.",
        )
    return histogram


def _key_of(value: bytes | None, topic: str | None) -> int:
    """A prediction's event as `position_key` numbers it; -1 where it names none of the topic."""
    try:
        named, partition, offset = _DECODE(value or b"").prediction_id.rsplit("/", 2)
        key = position_key(int(partition), np.array([int(offset)], np.int64))
    except (msgspec.DecodeError, ValueError, OverflowError):
        return -1
    return int(key[0]) if named == topic else -1
