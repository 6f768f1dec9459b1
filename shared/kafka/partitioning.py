"""Which partition a key belongs to, as Kafka's own default partitioner has it."""

from kafka.partitioner.default import murmur2


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key, so that other producers' events with the same key land beside these.

    Args:
        key: The record's key.
        partitions: How many partitions the topic has.
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
