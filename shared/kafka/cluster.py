"""A cluster looked at from outside: its brokers and their settings, and what this client may do there."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from kafka import KafkaAdminClient
from kafka import errors as client
from kafka.admin import ConfigResource, ConfigResourceType

from shared.deadline import Deadline
from shared.errors import TandemError
from shared.kafka.connection import KafkaSettings, client_options, open_client, try_broker
from shared.kafka.errors import translated
from shared.kafka.groups import described_group


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker, as the cluster names it to its clients.

    Attributes:
        id: Its number.
        host: The name that clients must reach it by.
        port: Its port.
    """

    id: int
    host: str
    port: int


class Cluster:
    """Looks at a cluster through one connection and changes nothing.

    Args:
        settings: Where the brokers are.
        deadline: When to give up connecting.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: One did, but does not let this client in.
    """

    def __init__(self, settings: KafkaSettings, deadline: Deadline) -> None:
        self._settings = settings
        self._options = client_options(settings, role="admin")
        self._admin = open_client(KafkaAdminClient, self._options, settings, deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admin.close()

    def brokers(self) -> list[Broker]:
        """All brokers that are up."""
        with translated("asking for the brokers"):
            try:
                found = self._admin.describe_cluster()["brokers"]
            except KeyError:
                # The client asks for a field that brokers before Kafka 3.7 do not send.
                return []
        return [Broker(one["broker_id"], one["host"], one["port"]) for one in found]

    def version(self, broker: Broker) -> tuple[int, ...]:
        """The version of Kafka that a broker's protocol shows, such as (4, 3)."""
        with translated("asking for the broker's version"):
            known = self._admin.get_broker_version_data(broker.id)
        return tuple(known.broker_version)

    def unreachable(self, broker: Broker, seconds: float = 5.0) -> str | None:
        """Why this client cannot talk to a broker by the name that the cluster gives it; None when it can."""
        try:
            try_broker(broker.host, broker.port, self._options, Deadline.after(seconds))
        except OSError as error:
            named = isinstance(error, socket.gaierror)
            return "its name is not known here" if named else str(error)
        except TandemError as error:
            return error.message
        return None

    def configs(self, broker: Broker) -> Mapping[str, str] | None:
        """A broker's settings in effect; None when this client may not read them."""
        resource = ConfigResource(ConfigResourceType.BROKER, str(broker.id))
        with translated("reading the broker's settings"):
            try:
                found = self._admin.describe_configs([resource], config_filter="all")
            except client.AuthorizationError:
                return None
        entries = found.get("broker", {}).get(str(broker.id), {})
        known = {name: entry["value"] for name, entry in entries.items() if entry["value"] is not None}
        return known or None

    def group_rights(self, group: str) -> frozenset[str] | None:
        """What this client may do with a group; None when the broker does not say, as of a new group.

        Raises:
            ConfigurationError: It may not even look.
        """
        with translated(f"looking at group {group!r}"):
            rights = described_group(self._admin, group)["authorized_operations"]
            self._admin.list_group_offsets({group: None})
        return None if rights is None else frozenset(rights)
