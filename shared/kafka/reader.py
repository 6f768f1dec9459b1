"""Reading a topic in whole record batches.

What a reader promises:

- `poll` gives each partition's records in order, each once, from the committed offset on (or from `start`,
  or the beginning), until `rewind` moves it;
- nothing is ever committed by itself;
- a change of the assignment is only noted (`take_rebalanced`): the caller must then drop what it holds and
  `rewind`. The columns returned by the very poll that saw the change already belong to the new assignment.
"""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from shared.deadline import Deadline
from shared.errors import ConfigurationError
from shared.kafka.choice import fast_path
from shared.kafka.columns import Mark, RecordColumns
from shared.kafka.connection import KafkaSettings, client_options, open_client
from shared.kafka.errors import StaleGroupError, fenced, translated
from shared.kafka.membership import leave_group
from shared.kafka.positions import NO_POSITION, find_positions

logger = logging.getLogger(__name__)

Isolation = Literal["read_committed", "read_uncommitted"]

# With the public calls a record batch has no bound of its own; this many records stand for one.
_ROWS_A_BATCH = 500
#: A killed member's partitions go to the others after this, not after the library's 45 s.
SESSION_TIMEOUT_MS = 10_000
# Larger than the library's own: one poll then gives work for tens of milliseconds, not for one.
_TUNING: Mapping[str, Any] = {
    "fetch_max_bytes": 32 << 20,
    "fetch_max_wait_ms": 100,
    "retry_backoff_ms": 20,
    "session_timeout_ms": SESSION_TIMEOUT_MS,
    "heartbeat_interval_ms": 2_000,
    "metrics_enabled": False,
}


class _RebalanceFlag(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Notes that the assignment changed. It runs on the client's own loop and must do nothing else."""

    def __init__(self) -> None:
        self.changed = threading.Event()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        logger.info("Assigned partitions %s", sorted(tp.partition for tp in assigned))
        self.changed.set()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        # A member that has nothing yet is told, before it joins, that it loses nothing.
        if partitions := sorted(tp.partition for tp in revoked):
            logger.info("Revoked partitions %s", partitions)
            self.changed.set()


class Reader:
    """Reads whole record batches of one topic as columns.

    Args:
        settings: Where the brokers are.
        topic: What to read.
        group: Join this consumer group and read the partitions that it assigns; None reads without a group.
        instance: This member's name in the group, the same after a restart: the group then gives it its
            partitions back without a rebalance, and misses it only after the session timeout.
        isolation: Whether records of open and aborted transactions are left out.
        partitions: Without a group: which partitions to read; None reads all.
        start: Without a group: first offset of a partition; the beginning where it names none.
        public_calls: Read record by record through the client's public calls only.
        partition_bytes: Most bytes of one partition to ask for at once; a larger record still arrives.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: The topic or partition does not exist, or the broker does not let this client in.
    """

    def __init__(  # noqa: PLR0913 - each has its own meaning and a default
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        group: str | None,
        instance: str | None = None,
        isolation: Isolation = "read_committed",
        partitions: Sequence[int] | None = None,
        start: Mapping[int, int] | None = None,
        public_calls: bool = False,
        partition_bytes: int = 4 << 20,
    ) -> None:
        if group is not None and (partitions is not None or start is not None):
            raise ConfigurationError("A consumer group assigns partitions and offsets; do not name them.")
        self._settings = settings
        self.topic = topic
        self._group = group
        self._instance = instance
        self._start = dict(start or {})
        self._timeout_ms = int(settings.broker_timeout * 1000)
        self._listener = _RebalanceFlag()
        self._fast = fast_path(public_calls=public_calls)
        options = {
            **_TUNING,
            "max_partition_fetch_bytes": partition_bytes,
            **client_options(settings, role="consumer"),
            "group_id": group,
            "group_instance_id": instance,
            "isolation_level": isolation,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "allow_auto_create_topics": False,
            "check_crcs": True,
        }
        self._consumer = open_client(
            KafkaConsumer, options, settings, Deadline.after(settings.broker_timeout)
        )
        if self._fast is not None:
            self._fast.read_columns(self._consumer)
            self._fast.receive_at_once(self._consumer)
        if fast := fast_path(public_calls=False):
            fast.finish_joining(self._consumer)
        try:
            if group is None:
                self._assign(partitions)
            else:
                self._join(topic)
        except Exception:
            self.close(Deadline.after(1))
            raise

    def _join(self, topic: str) -> None:
        self._consumer.subscribe([topic], listener=self._listener)
        with translated(f"looking up topic {topic!r}"):
            # The client forgets that it is to ask for the topic while an older question is on its way, for
            # five minutes: a member that leads the group meanwhile would give no partition to anybody.
            self._consumer.partitions_for_topic(topic)

    def _assign(self, partitions: Sequence[int] | None) -> None:
        with translated(f"looking up topic {self.topic!r}"):
            known = self._consumer.partitions_for_topic(self.topic)
        if not known:
            raise ConfigurationError(
                f"there is no topic {self.topic!r}", hint="Create it, or correct the option that names it."
            )
        wanted = known if partitions is None else set(partitions)
        if unknown := sorted(wanted - known):
            raise ConfigurationError(
                f"topic {self.topic!r} has {len(known)} partitions; there is no {unknown[0]}",
                hint=f"Partitions are counted from 0 to {len(known) - 1}.",
            )
        self._consumer.assign([self._tp(partition) for partition in sorted(wanted)])
        self._listener.changed.set()
        self.rewind()

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    def poll(self, timeout: float, max_batches: int = 200) -> list[RecordColumns]:
        """The next records, at most one entry a partition.

        Args:
            timeout: Seconds to wait when nothing is there.
            max_batches: Most record batches to return, over all partitions.

        Returns:
            Columns with at least one record each; empty when the time passed, or when a partition without
            an offset was sent to its beginning. Events lost to retention are said in a warning.

        Raises:
            RecoverableError: The broker is in trouble or the group moved on; polling again is safe.
            FencedError: Another member of the same name has taken this one's place.
            InputError: The topic's data is damaged.
        """
        limit = max_batches if self._fast is not None else max_batches * _ROWS_A_BATCH
        polled = self._poll(int(timeout * 1000), limit)
        gathered = (self._columns(tp, records) for tp, records in polled.items())
        return [columns for columns in gathered if len(columns)]

    def _poll(self, timeout_ms: int, most: int) -> dict[TopicPartition, list[Any]]:
        with translated(f"reading topic {self.topic!r}"):
            try:
                polled: dict[TopicPartition, list[Any]] = self._consumer.poll(
                    timeout_ms=timeout_ms, max_records=most
                )
            except NO_POSITION as error:
                find_positions(self._consumer, error, self._timeout_ms)
                return {}
        if self._instance is not None and self._fast is not None and self._fast.is_fenced(self._consumer):
            raise fenced(f"reading topic {self.topic!r}")
        return polled

    def _columns(self, tp: TopicPartition, records: list[Any]) -> RecordColumns:
        first = records[0].value
        merged = first if isinstance(first, RecordColumns) else RecordColumns(tp.topic, tp.partition)
        for record in records[merged is first :]:
            if isinstance(record.value, RecordColumns):
                merged.extend(record.value)
            else:
                _append(merged, record)
        if self._fast is not None:
            merged.next_offset = max(merged.next_offset, self._fast.fetch_position(self._consumer, tp) or 0)
        return merged

    @property
    def assignment(self) -> set[int]:
        """The partitions that this reader reads now."""
        return {tp.partition for tp in self._consumer.assignment() or ()}

    @property
    def joined(self) -> bool:
        """Whether the group has taken this reader in, even if it has no partition for it."""
        return self._group is None or self._consumer.group_metadata().generation_id >= 0

    def take_rebalanced(self) -> bool:
        """Whether the assignment changed, or was lost, since the last call."""
        if not self._listener.changed.is_set():
            # Nothing to clear: a change that the client notes at this moment stays noted.
            return False
        self._listener.changed.clear()
        return True

    def rewind(self) -> dict[int, Mark | None]:
        """Goes back to each assigned partition's committed offset; to its start when it has none.

        Returns:
            What `committed` does.

        Raises:
            RecoverableError: The broker is in trouble, or the offsets wait for an open transaction.
        """
        committed = self.committed()
        for partition, mark in committed.items():
            begin = self._start.get(partition) if mark is None else mark.offset
            with translated("going back to the committed offsets"):
                if begin is None:
                    self._consumer.seek_to_beginning(self._tp(partition))
                else:
                    self._consumer.seek(self._tp(partition), begin)
        return committed

    def go_to_end(self) -> dict[int, int]:
        """Without a group: leaves out what stands in each partition now, also when going back later.

        Returns:
            Where reading goes on: before the first open transaction when reading committed.

        Raises:
            RecoverableError: The broker is in trouble.
        """
        self._start |= self.end_offsets()
        self.rewind()
        return dict(self._start)

    def keep_membership(self) -> None:
        """Lets the group know that this member works, and notes a rebalance, without reading anything.

        Raises:
            RecoverableError: As `poll`.
        """
        assigned = self._tps()
        self._consumer.pause(*assigned)
        try:
            self._poll(0, 1)
        finally:
            still = self._consumer.assignment() or ()
            self._consumer.resume(*[tp for tp in assigned if tp in still])

    def group_metadata(self) -> Any:
        """This member's identity, for `Writer.send_offsets`; take it with the batch that it belongs to.

        Raises:
            StaleGroupError: The member has left or lost its group, and could not be told from a stale one.
        """
        metadata = self._consumer.group_metadata()
        # A broker does not check an unjoined member's generation: committing so would fence nobody.
        if metadata.generation_id < 0 or not metadata.member_id:
            raise StaleGroupError(f"This reader is no member of group {self._group!r} at the moment.")
        return metadata

    def commit(self, offsets: Mapping[int, Mark]) -> None:
        """Commits offsets on their own, for at-least-once.

        Args:
            offsets: Partition to the next offset to read.

        Raises:
            StaleGroupError: The partitions may belong to another member by now.
            BrokerTroubleError: The broker did not answer in time; the offsets may or may not be committed.
        """
        with translated("committing offsets"):
            self._consumer.commit(
                {
                    self._tp(partition): OffsetAndMetadata(mark.offset, mark.metadata, -1)
                    for partition, mark in offsets.items()
                },
                timeout_ms=self._timeout_ms,
            )

    def committed(self) -> dict[int, Mark | None]:
        """What the group has committed of each assigned partition, None where it has nothing."""
        assigned = sorted(self.assignment)
        if self._group is None:
            return dict.fromkeys(assigned)
        with translated("reading the committed offsets"):
            return {partition: self._committed(self._tp(partition)) for partition in assigned}

    def _committed(self, tp: TopicPartition) -> Mark | None:
        found = self._consumer.committed(tp, metadata=True, timeout_ms=self._timeout_ms)
        return None if found is None else Mark(found.offset, found.metadata or "")

    def positions(self) -> dict[int, int]:
        """The next offset to read of each assigned partition."""
        with translated("finding the position"):
            found = {partition: self._position(self._tp(partition)) for partition in sorted(self.assignment)}
        return {partition: int(position) for partition, position in found.items() if position is not None}

    def _position(self, tp: TopicPartition) -> int | None:
        try:
            return self._consumer.position(tp, timeout_ms=self._timeout_ms)  # type: ignore[no-any-return]
        except NO_POSITION as error:
            find_positions(self._consumer, error, self._timeout_ms)
            return self._consumer.position(tp, timeout_ms=self._timeout_ms)  # type: ignore[no-any-return]

    def beginning_offsets(self) -> dict[int, int]:
        """The first offset that each assigned partition still has."""
        with translated("reading the first offsets"):
            found = self._consumer.beginning_offsets(self._tps(), timeout_ms=self._timeout_ms)
        return {tp.partition: int(offset) for tp, offset in found.items()}

    def end_offsets(self) -> dict[int, int]:
        """Where each assigned partition ends: before the first open transaction when reading committed."""
        with translated("reading the last offsets"):
            found = self._consumer.end_offsets(self._tps(), timeout_ms=self._timeout_ms)
        return {tp.partition: int(offset) for tp, offset in found.items()}

    def offsets_from(self, timestamp: int) -> dict[int, int | None]:
        """The first offset of each assigned partition whose record is of then or later; None where none is.

        Args:
            timestamp: Milliseconds since the epoch.
        """
        asked = dict.fromkeys(self._tps(), max(0, timestamp))
        with translated("looking up a time"):
            found = self._consumer.offsets_for_times(asked, timeout_ms=self._timeout_ms)
        return {tp.partition: None if at is None else int(at.offset) for tp, at in found.items()}

    def caught_up(self, timeout: float) -> bool:
        """Whether all that the assigned partitions hold now has been read.

        The broker is asked even by a reader without a partition.

        Args:
            timeout: Seconds that the broker has to answer.

        Raises:
            RecoverableError: It did not.
        """
        positions = self.positions()
        with translated("asking where the topic ends"):
            ends = self._consumer.end_offsets(
                self._tps() or [self._tp(0)], timeout_ms=max(1, int(timeout * 1000))
            )
        return all(
            positions.get(tp.partition, 0) >= end for tp, end in ends.items() if tp.partition in positions
        )

    def _tps(self) -> list[TopicPartition]:
        return [self._tp(partition) for partition in sorted(self.assignment)]

    def close(self, deadline: Deadline, *, leave: bool = True) -> None:
        """Closes all connections; commits nothing.

        Args:
            deadline: When to give up.
            leave: Whether a reader with a name of its own gives up its place in the group, so that others
                read its partitions at once. Else they wait for its session to end, and one of the same name
                that comes before that goes on as if nothing had been. A reader without a name always leaves.

        Raises:
            BrokerUnreachableError, RecoverableError: It could not say so; the group will miss it in time.
        """
        member = self._consumer.group_metadata()
        with translated("leaving the group"):
            self._consumer.close(autocommit=False, timeout_ms=int(deadline.remaining * 1000))
        if leave and member.group_instance_id is not None and member.member_id:
            leave_group(self._settings, member, deadline)


def _append(columns: RecordColumns, record: Any) -> None:
    """Adds one record of the client's public calls."""
    if record.headers:
        columns.headers[len(columns)] = list(record.headers)
    columns.offsets.append(record.offset)
    columns.timestamps.append(record.timestamp)
    columns.keys.append(record.key)
    columns.values.append(record.value)
    columns.next_offset = record.offset + 1
