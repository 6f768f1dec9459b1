"""A real Kafka for the tests: one container, or the broker that TANDEM_TEST_BROKER names."""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from shared.deadline import Deadline
from shared.errors import BrokerUnreachableError
from shared.kafka.connection import KafkaSettings, wait_for_broker
from tests.support.trouble import give_up

IMAGE = "apache/kafka:4.3.1"
# Events of 10 MB must fit, with what a record batch adds.
MAX_MESSAGE_BYTES = 12 << 20
_REMEDY = "start Docker, or name a broker that may be filled with test topics in TANDEM_TEST_BROKER"
_START_SECONDS = 60
# Some builds of the image refuse storage that they have formatted already: started again, it needs no set-up.
_COMMAND = """sh -c '
  kafka=/opt/kafka
  export KAFKA_LOG4J=$kafka/config/log4j2.yaml
  if [ -e /tmp/set-up ]; then exec $kafka/bin/kafka-server-start.sh $kafka/config/server.properties; fi
  touch /tmp/set-up && exec /etc/kafka/docker/run
'"""


def unique(prefix: str) -> str:
    """A name that no other test, run or process uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _environment(port: int) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        # What a killed member leaves open is to be ended soon after its timeout.
        "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "500",
        # Killed members are to be missed soon; the broker's own lower bound is 6 s.
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_MESSAGE_MAX_BYTES": str(MAX_MESSAGE_BYTES),
        "KAFKA_REPLICA_FETCH_MAX_BYTES": str(MAX_MESSAGE_BYTES),
        # Records are stamped as tests like; those of long ago would be deleted while they are read.
        "KAFKA_LOG_RETENTION_MS": "-1",
    }


def _with_proxied_listener(environment: dict[str, str], port: int, advertised: int) -> dict[str, str]:
    """Adds a listener whose clients are told to come through a proxy."""
    listener, told = "KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS"
    kinds = "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"
    return environment | {
        listener: f"{environment[listener]},PROXIED://0.0.0.0:{port}",
        told: f"{environment[told]},PROXIED://127.0.0.1:{advertised}",
        kinds: f"{environment[kinds]},PROXIED:PLAINTEXT",
    }


@dataclass(frozen=True, slots=True)
class OwnBroker:
    """A broker in a container that was started for the tests.

    Attributes:
        address: Where it listens.
        behind: The port on which it takes the connections of a proxy; None without one.
    """

    address: str
    _container: Any
    behind: int | None = None

    def freeze(self) -> None:
        """Stops all its processes; connections stay open, and silent."""
        self._container.pause()

    def thaw(self) -> None:
        """Lets a frozen broker go on."""
        self._container.unpause()

    def kill(self) -> None:
        """Ends its processes as SIGKILL does; what it has stored stays."""
        self._container.kill()

    def stop(self) -> None:
        """Ends it in good order; what it has stored stays."""
        self._container.stop(timeout=10)

    def start(self) -> None:
        """Starts it again on what it had stored, and does not wait until it answers."""
        self._container.start()

    def said(self) -> str:
        """Its log so far."""
        return str(self._container.logs().decode(errors="replace"))

    def data(self) -> bytes:
        """Its log segments, as a tar file, for whoever asks who wrote what."""
        pack = "find /tmp /var/lib/kafka -name '*.log' -path '*-[0-9]*' -size +0 | tar cz -T -"
        return bytes(self._container.exec_run(["sh", "-c", pack], stderr=False).output)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stops all its processes for as long as the block runs; connections stay open, and silent."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()


@contextmanager
def running_broker() -> Iterator[str]:
    """The address of the broker that TANDEM_TEST_BROKER names, or of one in a container of its own."""
    if address := os.environ.get("TANDEM_TEST_BROKER"):
        yield address
        return
    with own_broker() as broker:
        yield broker.address


@contextmanager
def own_broker(advertised: int | None = None) -> Iterator[OwnBroker]:
    """A broker in a container, which is removed at the end.

    Skips the test where there is no Docker, and fails it under CI=true.

    Args:
        advertised: The port of a proxy, to which clients that come through it are sent back.
    """
    # Read by testcontainers when it is imported; its reaper is another image to pull.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    port = free_port()
    try:
        from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415 - only here
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415
    except ImportError as error:
        give_up(f"testcontainers is not installed ({error}); install the extra `test`, or {_REMEDY}")
    try:
        # As root: the image's start script appends to files that it may have copied read-only.
        environment, behind = _environment(port), None
        if advertised is not None:
            behind = free_port()
            environment = _with_proxied_listener(environment, behind, advertised)
        container = DockerContainer(IMAGE, user="root", env=environment).with_bind_ports(port, port)
        container.with_command(_COMMAND)
        if behind is not None:
            container.with_bind_ports(behind, behind)
        container.start()
    except DockerException as error:
        give_up(f"no Docker ({error}); {_REMEDY}")
    except KeyboardInterrupt:
        container.stop()
        raise
    try:
        address = f"127.0.0.1:{port}"
        settings = KafkaSettings(bootstrap_servers=address, broker_timeout=_START_SECONDS)
        try:
            wait_for_broker(settings, Deadline.after(_START_SECONDS))
        except BrokerUnreachableError:
            output = b"\n".join(container.get_logs()).decode(errors="replace")
            pytest.fail(f"Kafka did not start:\n{output[-4000:]}")
        yield OwnBroker(address, container.get_wrapped_container(), behind)
    finally:
        container.stop()
