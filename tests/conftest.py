"""One real Kafka for all tests that ask for one."""

from collections.abc import Iterator

import pytest

from shared.kafka.connection import KafkaSettings
from tests.support.broker import running_broker


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """Bootstrap servers of a running Kafka."""
    with running_broker() as address:
        yield address


@pytest.fixture
def kafka(broker: str) -> KafkaSettings:
    """Settings that reach the broker."""
    return KafkaSettings(bootstrap_servers=broker, broker_timeout=20)
