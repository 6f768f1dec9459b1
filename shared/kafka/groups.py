"""How far a consumer group has come, seen from outside the group."""

from kafka import KafkaAdminClient

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings, client_options, open_client
from shared.kafka.errors import translated
from shared.kafka.reader import Reader


class GroupLag:
    """Tells how many records of a topic a group has yet to commit.

    Args:
        settings: Where the brokers are.
        group: The consumer group; this is no member of it.
        topic: What the group reads.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: The topic does not exist, or this client may not look.
    """

    def __init__(self, settings: KafkaSettings, group: str, topic: str) -> None:
        self._group = group
        self._reader = Reader(settings, topic, group=None)
        try:
            options = client_options(settings, role="admin")
            deadline = Deadline.after(settings.broker_timeout)
            self._admin = open_client(KafkaAdminClient, options, settings, deadline)
        except Exception:
            self._reader.close(Deadline.after(1))
            raise

    def records(self) -> int:
        """Records that are not committed yet, over all partitions.

        Offsets that wait for an open transaction count as not committed, and markers of transactions in
        the topic itself count as records.

        Raises:
            RecoverableError: The broker is in trouble; asking again is safe.
        """
        ends, begins = self._reader.end_offsets(), self._reader.beginning_offsets()
        with translated(f"reading the offsets of group {self._group!r}"):
            offsets = self._admin.list_group_offsets({self._group: None})[self._group]
        # -1 stands for no offset.
        done = {tp.partition: known.offset for tp, known in offsets.items() if tp.topic == self._reader.topic}
        return sum(
            max(0, end - max(done.get(partition, -1), begins[partition])) for partition, end in ends.items()
        )

    def close(self, deadline: Deadline) -> None:
        """Closes all connections."""
        self._admin.close()
        self._reader.close(deadline)
