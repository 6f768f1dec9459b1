"""One real Kafka for all tests that ask for one; the order in which tests go side by side."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.kafka.connection import KafkaSettings
from tests.support.broker import running_broker
from tests.support.object_store import Bucket, ObjectStore, running_object_store


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """Bootstrap servers of a running Kafka."""
    with running_broker() as address:
        yield address


@pytest.fixture
def kafka(broker: str) -> KafkaSettings:
    """Settings that reach the broker."""
    return KafkaSettings(bootstrap_servers=broker, broker_timeout=20)


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A running S3-compatible store."""
    with running_object_store() as store:
        yield store


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A new bucket, in an environment in which s3:// is the store that it is in."""
    for name, value in object_store.variables.items():
        monkeypatch.setenv(name, value)
    return object_store.new_bucket()


#: Tests that measure memory, or disturb what others wait for.
_ALONE = (
    *(f"tests/chaos/test_{name}.py" for name in ("chaos", "frozen_broker", "kills", "proof_kills")),
    "tests/unit/batch/test_memory.py",
)
#: Files whose tests share something dear.
_TOGETHER = ("tests/integration/", "tests/browser/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the long tests first and those that must be alone last.

    `make test` hands tests to one worker a core in this order: short ones fill what the long ones leave, and
    when those come that must be alone, one after the other on one worker, nothing else is left.
    """
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.nodeid.startswith(_ALONE):
        return 3
    if item.nodeid.startswith(_TOGETHER):
        return 0
    return 1 if any(mark.name in {"broker", "slow"} for mark in item.iter_markers()) else 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out tests in their order: those of a file together where what they share is dear."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # noqa: PLC0415

    class InOrder(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(_ALONE):
                return "alone"
            return nodeid.partition("::")[0] if nodeid.startswith(_TOGETHER) else nodeid

    return InOrder(config, log) if config.getvalue("dist") == "loadscope" else None
