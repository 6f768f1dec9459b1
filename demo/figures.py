"""The demo's figures, from what stands in the topics."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.topics import Topics
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import Extent, read_to_end
from shared.position import position_of

# A pause of the consumer that ends a busy period.
_PAUSE_MS = 500


@dataclass(frozen=True, slots=True)
class Stream:
    """What the stream did.

    Attributes:
        events: Events on the input topic.
        scored: Predictions on the output topic.
        rejected: Dead letters.
        events_per_second: How quickly a backlog was scored.
    """

    events: int
    scored: int
    rejected: int
    events_per_second: float


@dataclass(frozen=True, slots=True)
class Latency:
    """How long predictions took to be seen.

    Attributes:
        p50: The median, milliseconds.
        p99: The 99th percentile, milliseconds.
        events: Of how many events.
    """

    p50: float
    p99: float
    events: int


def stream_figures(kafka: KafkaSettings, topics: Topics) -> Stream:
    """Counts what is in the topics."""
    timestamps = [
        np.array(columns.timestamps, np.int64)
        for topic in (topics.predictions, topics.dead_letters)
        for columns in read_to_end(kafka, topic)
    ]
    events, scored, rejected = (sum(map(len, read_to_end(kafka, topic))) for topic in topics.names)
    speed = busiest_rate(np.concatenate(timestamps)) if timestamps else 0.0
    return Stream(events, scored, rejected, speed)


def busiest_rate(timestamps: npt.NDArray[np.int64]) -> float:
    """Events a second in the longest run of work without a pause.

    Args:
        timestamps: When each event was scored or rejected, milliseconds since the epoch.
    """
    ordered = np.sort(timestamps)
    periods = np.split(ordered, np.flatnonzero(np.diff(ordered) > _PAUSE_MS) + 1)
    longest = max(periods, key=len)
    # The first batch began before its timestamp: only what came after it is counted.
    seconds = (longest[-1] - longest[0]) / 1000
    return float(np.count_nonzero(longest > longest[0]) / seconds) if seconds else 0.0


def latency_figures(
    kafka: KafkaSettings, topic: str, watched: Mapping[int, Extent], seen: Mapping[str, float]
) -> Latency:
    """From each event's record timestamp to when its prediction was seen.

    Args:
        kafka: Where the brokers are.
        topic: The events' topic.
        watched: Where the watched events stand there, by partition.
        seen: When each prediction was first seen, milliseconds since the epoch, by its prediction id.
    """
    taken = [
        seen[identity] - timestamp
        for columns in read_to_end(kafka, topic, watched)
        for offset, timestamp in zip(columns.offsets, columns.timestamps, strict=True)
        if (identity := position_of(topic, columns.partition, offset)) in seen
    ]
    p50, p99 = np.percentile(taken, (50, 99)) if taken else (float("nan"), float("nan"))
    return Latency(float(p50), float(p99), len(taken))
