"""Where to go on when a partition has no usable position: said aloud, since events may be lost by it."""

import logging
from typing import Any

from kafka import KafkaConsumer
from kafka import errors as client

logger = logging.getLogger(__name__)

# The consumer raises these because its auto_offset_reset is "none": "earliest" would hide a loss.
NO_POSITION = (client.NoOffsetForPartitionError, client.OffsetOutOfRangeError, client.LogTruncationError)


def find_positions(consumer: KafkaConsumer, error: Exception, timeout_ms: int) -> None:
    """Moves the partitions that an error names to where reading can go on.

    Args:
        consumer: The consumer that raised it.
        error: One of `NO_POSITION`.
        timeout_ms: Milliseconds to wait for the broker.

    Raises:
        KafkaError: The broker did not answer.
    """
    if isinstance(error, client.LogTruncationError):
        for tp, agreed in error.divergent_offsets.items():
            if tp not in consumer.assignment():
                continue
            logger.warning("Topic %s, partition %d was cut by its broker; what came after is read anew", *tp)
            if agreed is None:
                consumer.seek_to_beginning(tp)
            else:
                consumer.seek(tp, agreed.offset)
        return
    named: Any = error.args[0]
    assigned = [tp for tp in named if tp in consumer.assignment()]
    if not assigned:
        return
    if isinstance(error, client.OffsetOutOfRangeError):
        first = consumer.beginning_offsets(assigned, timeout_ms=timeout_ms)
        for tp in assigned:
            _say_lost(*tp, asked=named[tp], first=first[tp])
    consumer.seek_to_beginning(*assigned)


def _say_lost(topic: str, partition: int, *, asked: int, first: int) -> None:
    if asked < first:
        logger.warning(
            "Topic %s, partition %d: offsets %d to %d were deleted by retention before they were read",
            topic, partition, asked, first - 1,
        )  # fmt: skip
    else:
        logger.warning(
            "Topic %s, partition %d: there is no offset %d; was the topic made anew? Reading from offset %d",
            topic, partition, asked, first,
        )  # fmt: skip
