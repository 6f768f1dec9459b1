"""Topics and limits, as the broker tells them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as client
from kafka.admin import ConfigResource, ConfigResourceType

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings, client_options, open_client
from shared.kafka.errors import translate, translated

# What a broker allows unless told otherwise; used where this client may not read the topic's settings.
DEFAULT_MAX_MESSAGE_BYTES = 1_048_588


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as it is.

    Attributes:
        name: Its name.
        partitions: How many it has.
        configs: Its settings in effect, e.g. cleanup.policy; empty when this client may not read them.
        replicas: Copies of the partition that has fewest; 0 when not known.
        rights: What this client may do with it, e.g. READ; None when the broker does not say.
    """

    name: str
    partitions: int
    configs: Mapping[str, str]
    replicas: int = 0
    rights: frozenset[str] | None = None

    @property
    def max_message_bytes(self) -> int:
        """Most bytes that one record batch may have."""
        return int(self.configs.get("max.message.bytes", DEFAULT_MAX_MESSAGE_BYTES))


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be made.

    Attributes:
        partitions: How many.
        replication: Copies of each partition; -1 leaves it to the broker.
        configs: Settings that differ from the broker's defaults.
    """

    partitions: int
    replication: int = -1
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """Limits of the cluster that a start-up check needs.

    Attributes:
        transaction_timeout: Longest transaction that the broker takes, seconds; None when it cannot be read.
    """

    transaction_timeout: float | None


@contextmanager
def _admin(settings: KafkaSettings, deadline: Deadline) -> Iterator[KafkaAdminClient]:
    admin = open_client(KafkaAdminClient, client_options(settings, role="admin"), settings, deadline)
    try:
        yield admin
    finally:
        admin.close()


def _configs(
    admin: KafkaAdminClient, kind: ConfigResourceType, names: Iterable[str]
) -> dict[str, dict[str, str]]:
    found = admin.describe_configs([ConfigResource(kind, name) for name in names], config_filter="all")
    return {
        name: {option: entry["value"] for option, entry in entries.items() if entry["value"] is not None}
        for name, entries in found.get(kind.name.lower(), {}).items()
    }


def describe_topics(
    settings: KafkaSettings, names: Iterable[str], deadline: Deadline
) -> dict[str, TopicInfo | None]:
    """What the broker knows of these topics.

    Args:
        settings: Where the brokers are.
        names: Topics to look up.
        deadline: When to give up.

    Returns:
        One entry a name, None for a topic that does not exist.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: This client may not look, or a name is not one a topic can have.
    """
    wanted = list(names)
    with _admin(settings, deadline) as admin, translated("describing topics"):
        found: dict[str, Mapping[str, Any]] = {}
        for topic in admin.describe_topics(wanted):
            error = client.for_code(topic["error_code"])
            if error is client.NoError:
                found[topic["name"]] = topic
            elif error not in (client.UnknownTopicOrPartitionError, client.LeaderNotAvailableError):
                raise error(topic["name"])
        configs = _configs(admin, ConfigResourceType.TOPIC, found) if found else {}
    return {name: _info(found[name], configs.get(name, {})) if name in found else None for name in wanted}


def _info(topic: Mapping[str, Any], configs: Mapping[str, str]) -> TopicInfo:
    rights = topic.get("authorized_operations")
    return TopicInfo(
        topic["name"],
        len(topic["partitions"]),
        configs,
        min((len(partition["replica_nodes"]) for partition in topic["partitions"]), default=0),
        None if rights is None else frozenset(rights),
    )


def create_topics(settings: KafkaSettings, topics: Mapping[str, TopicSpec], deadline: Deadline) -> None:
    """Makes the topics that do not exist yet and waits until they can be used.

    Args:
        settings: Where the brokers are.
        topics: Name to what it should be; one that exists is left as it is.
        deadline: When to give up.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        BrokerTroubleError: The topics were not ready in time.
        ConfigurationError: The broker refuses a name, a number or a setting, or this client may not create.
    """
    wanted: dict[str, dict[str, Any]] = {
        name: {
            "num_partitions": spec.partitions,
            "replication_factor": spec.replication,
            "configs": dict(spec.configs),
        }
        for name, spec in topics.items()
    }
    if not wanted:
        return
    with _admin(settings, deadline) as admin, translated("creating topics"):
        answer = admin.create_topics(
            wanted, timeout_ms=max(1, int(deadline.remaining * 1000)), raise_errors=False
        )
        for topic in answer["topics"]:
            error = client.for_code(topic["error_code"])
            if error not in (client.NoError, client.TopicAlreadyExistsError):
                raise translate(error(topic.get("error_message")), f"creating topic {topic['name']!r}")
        admin.wait_for_topics(list(wanted), timeout_ms=deadline.remaining * 1000)


def broker_limits(settings: KafkaSettings, deadline: Deadline) -> BrokerLimits:
    """The cluster's limits, as far as this client may read them.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: The broker does not let this client in.
    """
    with _admin(settings, deadline) as admin, translated("reading the broker's limits"):
        try:
            broker = str(admin.describe_cluster()["brokers"][0]["broker_id"])
        except KeyError:
            # The client asks for a field that brokers before Kafka 3.7 do not send.
            return BrokerLimits(transaction_timeout=None)
        configs = _configs(admin, ConfigResourceType.BROKER, [broker]).get(broker, {})
    longest = configs.get("transaction.max.timeout.ms")
    return BrokerLimits(transaction_timeout=None if longest is None else int(longest) / 1000)
