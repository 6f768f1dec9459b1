"""Names and topics that only one test uses, and readers and writers that are closed at its end."""

from collections.abc import Callable, Iterator

import pytest

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader
from shared.kafka.topics import TopicSpec, create_topics
from shared.kafka.writer import Writer
from tests.support.broker import unique
from tests.support.records import MakeReader, MakeTopic, MakeWriter
from tests.support.topics import KEPT


@pytest.fixture
def unique_name() -> Callable[[str], str]:
    """Makes names for topics, groups and transactional ids that no other test uses."""
    return unique


@pytest.fixture
def topic_factory(kafka: KafkaSettings) -> MakeTopic:
    """Makes a topic and returns its name."""

    def make(prefix: str = "topic", partitions: int = 1, **configs: str) -> str:
        name = unique(prefix)
        settings = KEPT | {option.replace("_", "."): value for option, value in configs.items()}
        create_topics(kafka, {name: TopicSpec(partitions, configs=settings)}, Deadline.after(20))
        return name

    return make


@pytest.fixture(params=[False, True], ids=["fast path", "public calls"])
def public_calls(request: pytest.FixtureRequest) -> bool:
    """Whether the test runs on the client's public calls; each test that asks runs both ways."""
    return bool(request.param)


@pytest.fixture
def reader(kafka: KafkaSettings, public_calls: bool) -> Iterator[MakeReader]:
    """Makes readers, closed at the end."""
    made: list[Reader] = []

    def make(topic: str, group: str | None = None, **options: object) -> Reader:
        made.append(Reader(kafka, topic, group=group, public_calls=public_calls, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close(Deadline.after(5))


@pytest.fixture
def writer(kafka: KafkaSettings, public_calls: bool) -> Iterator[MakeWriter]:
    """Makes writers, closed at the end."""
    made: list[Writer] = []

    def make(
        transactional_id: str | None = None, kafka_option: dict[str, str] | None = None, **options: object
    ) -> Writer:
        settings = kafka.model_copy(update={"kafka_option": kafka_option or {}})
        made.append(
            Writer(settings, transactional_id=transactional_id, public_calls=public_calls, **options)  # type: ignore[arg-type]
        )
        return made[-1]

    yield make
    for one in made:
        one.close(Deadline.after(5))
