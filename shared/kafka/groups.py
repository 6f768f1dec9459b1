"""How far a consumer group has come, seen from outside the group."""

from kafka import KafkaAdminClient

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings, client_options, open_client
from shared.kafka.errors import translated
from shared.kafka.reader import Reader


def group_lag(settings: KafkaSettings, group: str, topic: str, deadline: Deadline) -> int:
    """Records of a topic that a group has yet to commit, over all partitions.

    Offsets that wait for an open transaction count as not committed. Markers of transactions in the topic
    itself count as records.

    Raises:
        BrokerUnreachableError: No broker answered before the deadline.
        ConfigurationError: The topic does not exist, or this client may not look.
        RecoverableError: The broker is in trouble; asking again is safe.
    """
    reader = Reader(settings, topic, group=None)
    try:
        ends, begins = reader.end_offsets(), reader.beginning_offsets()
    finally:
        reader.close(deadline)
    admin = open_client(KafkaAdminClient, client_options(settings, role="admin"), settings, deadline)
    try:
        with translated(f"reading the offsets of group {group!r}"):
            offsets = admin.list_group_offsets({group: None})[group]
    finally:
        admin.close()
    # -1 stands for no offset.
    done = {tp.partition: known.offset for tp, known in offsets.items() if tp.topic == topic}
    return sum(
        max(0, end - max(done.get(partition, -1), begins[partition])) for partition, end in ends.items()
    )


def has_open_transaction(settings: KafkaSettings, topic: str, deadline: Deadline) -> bool:
    """Whether a topic holds records that read-committed readers do not see yet."""
    ends = []
    for isolation in ("read_committed", "read_uncommitted"):
        reader = Reader(settings, topic, group=None, isolation=isolation)
        try:
            ends.append(reader.end_offsets())
        finally:
            reader.close(deadline)
    return ends[0] != ends[1]
