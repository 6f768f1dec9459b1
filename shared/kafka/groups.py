"""How far a consumer group has come, seen from outside the group."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from kafka import KafkaAdminClient
from kafka import errors as client
from kafka.admin import TransactionState

from shared.deadline import Deadline
from shared.errors import TandemError
from shared.kafka.columns import Mark
from shared.kafka.connection import KafkaSettings, client_options, open_client
from shared.kafka.errors import translated
from shared.kafka.reader import Reader

T = TypeVar("T")

# States of a transaction that nobody waits for.
_ENDED = (
    TransactionState.EMPTY,
    TransactionState.COMPLETE_COMMIT,
    TransactionState.COMPLETE_ABORT,
    TransactionState.DEAD,
)

# Brokers before Kafka 3.0 know no such request; others show no id that this client has no right to see.
_NOT_TOLD = (client.UnsupportedVersionError, client.IncompatibleBrokerVersion, client.AuthorizationError)


# A broker that never had a group makes the topic of their offsets when it is first asked for one.
_ANSWER_LATER = (
    client.CoordinatorNotAvailableError,
    client.CoordinatorLoadInProgressError,
    client.NotCoordinatorError,
)
_SECONDS_TO_ANSWER = 10.0


def described_group(admin: KafkaAdminClient, group: str) -> Mapping[str, Any]:
    """What the broker tells of a group, as the client gives it.

    Raises:
        GroupAuthorizationFailedError: This client may not look; the client itself only says so in a text.
        CoordinatorNotAvailableError: The group has no coordinator, however often it is asked for.
    """

    def ask() -> Mapping[str, Any]:
        found: Mapping[str, Any] = admin.describe_groups([group])[group]
        said = found["error"] or ""
        if client.GroupAuthorizationFailedError.__name__ in said:
            raise client.GroupAuthorizationFailedError(group)
        if any(later.__name__ in said for later in _ANSWER_LATER):
            raise client.CoordinatorNotAvailableError(said)
        return found

    return _patiently(ask)


def _patiently(ask: Callable[[], T]) -> T:
    """The answer to a question that a group's coordinator may not be ready for yet."""
    deadline = Deadline.after(_SECONDS_TO_ANSWER)
    while True:
        try:
            return ask()
        except _ANSWER_LATER:
            if deadline.passed:
                raise
        deadline.pause(0.2)


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer of a group.

    Attributes:
        id: What the broker calls it.
        instance: Its own name, when it has one that it keeps after a restart.
        host: Where it connects from.
        partitions: The partitions of the topic that it reads.
    """

    id: str
    instance: str | None
    host: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of the topic and what the group has done of it.

    Attributes:
        partition: Its number.
        begin: The first offset that it still has.
        end: Where it ends, before the first open transaction.
        committed: What the group has committed; None when it has nothing.
    """

    partition: int
    begin: int
    end: int
    committed: Mark | None

    @property
    def lag(self) -> int:
        """Records that are not committed yet; markers of transactions in the topic count as records."""
        done = -1 if self.committed is None else self.committed.offset
        return max(0, self.end - max(done, self.begin))


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that is not ended.

    Attributes:
        id: Its transactional id.
        state: As the broker calls it, such as Ongoing.
        seconds: How long it has been open, by this machine's clock; None when the broker does not say.
        timeout: Seconds after which the broker ends it.
    """

    id: str
    state: str
    seconds: float | None
    timeout: float


class GroupLag:
    """Tells how many records of a topic a group has yet to commit, and who is at it.

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
        """Records that are not committed yet, over all partitions; see `partitions`.

        Raises:
            RecoverableError: The broker is in trouble; asking again is safe.
        """
        return sum(partition.lag for partition in self.partitions())

    def partitions(self) -> list[PartitionLag]:
        """How far the group has come in each partition.

        Offsets that wait for an open transaction count as not committed.

        Raises:
            RecoverableError: The broker is in trouble; asking again is safe.
            ConfigurationError: This client may not look.
        """
        ends, begins, marks = self._reader.end_offsets(), self._reader.beginning_offsets(), self._marks()
        return [
            PartitionLag(partition, begins[partition], end, marks.get(partition))
            for partition, end in sorted(ends.items())
        ]

    def _marks(self) -> Mapping[int, Mark]:
        with translated(f"reading the offsets of group {self._group!r}"):
            offsets = _patiently(lambda: self._admin.list_group_offsets({self._group: None})[self._group])
        # A negative offset stands for none.
        return {
            tp.partition: Mark(known.offset, known.metadata or "")
            for tp, known in offsets.items()
            if tp.topic == self._reader.topic and known.offset >= 0
        }

    def members(self) -> tuple[str, list[Member]]:
        """The group's state, as the broker calls it (Dead: it does not exist), and its members.

        Raises:
            RecoverableError: The broker is in trouble; asking again is safe.
            ConfigurationError: This client may not look.
        """
        with translated(f"looking at group {self._group!r}"):
            found = described_group(self._admin, self._group)
        members = [
            Member(
                one["member_id"],
                one["group_instance_id"],
                one["client_host"].removeprefix("/"),
                self._partitions_of(one["member_assignment"]),
            )
            for one in found["members"]
        ]
        return found["group_state"], sorted(members, key=lambda member: (member.partitions, member.id))

    def _partitions_of(self, assignment: object) -> tuple[int, ...]:
        """A member's partitions; none while the group is being shared out."""
        if not isinstance(assignment, dict):
            return ()
        return tuple(
            sorted(
                partition
                for topic in assignment["assigned_partitions"]
                if topic["topic"] == self._reader.topic
                for partition in topic["partitions"]
            )
        )

    def open_transactions(self) -> list[OpenTransaction] | None:
        """Transactions of the group's instances that are not ended; None when the broker does not tell.

        Raises:
            RecoverableError: The broker is in trouble; asking again is safe.
        """
        prefix = f"{self._group}/"
        try:
            with translated("listing transactions"):
                listed = self._admin.list_transactions()
                ids = [
                    one.transactional_id
                    for of_broker in listed.values()
                    for one in of_broker
                    if one.transactional_id.startswith(prefix) and one.state not in _ENDED
                ]
                described = self._admin.describe_transactions(ids)
        except TandemError as error:
            if isinstance(error.__cause__, _NOT_TOLD):
                return None
            raise
        now = time.time()
        return [
            OpenTransaction(
                name,
                known.state.value,
                None
                if known.transaction_start_time_ms < 0
                else max(0.0, now - known.transaction_start_time_ms / 1000),
                known.transaction_timeout_ms / 1000,
            )
            for name, known in sorted(described.items())
            if known.state not in _ENDED
        ]

    def close(self, deadline: Deadline) -> None:
        """Closes all connections."""
        self._admin.close()
        self._reader.close(deadline)
