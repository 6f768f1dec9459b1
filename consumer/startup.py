"""What must be true before the first event is read: topics that exist and fit each other."""

import logging
from collections.abc import Iterator, Mapping
from typing import Final, cast

from consumer.settings import ConsumerSettings, Guarantee
from shared.dead_letters import MAX_HEADER_BYTES
from shared.deadline import Deadline
from shared.errors import ConfigurationError
from shared.kafka.connection import wait_for_broker
from shared.kafka.errors import RecoverableError
from shared.kafka.topics import (
    BrokerLimits,
    TopicInfo,
    TopicSpec,
    broker_limits,
    create_topics,
    describe_topics,
)

logger = logging.getLogger(__name__)

# Seconds before a broker that failed in the middle is asked again.
_PAUSE: Final = 0.5


def prepare_topics(settings: ConsumerSettings) -> TopicInfo:
    """Waits for the broker, creates missing topics when told to, and checks that all fit each other.

    A broker that is restarted meanwhile is asked again.

    Returns:
        The input topic.

    Raises:
        BrokerUnreachableError, RecoverableError: No broker answered in time.
        ConfigurationError: With what to change.
    """
    deadline = Deadline.after(settings.broker_timeout)
    while True:
        wait_for_broker(settings, deadline)
        try:
            return _prepare(settings, deadline)
        except RecoverableError as error:
            if deadline.passed:
                raise
            logger.warning("Waiting for Kafka: %s", error.message)
            deadline.pause(_PAUSE)


def _prepare(settings: ConsumerSettings, deadline: Deadline) -> TopicInfo:
    names = (settings.input_topic, *settings.written_topics)
    if settings.create_topics:
        _create(settings, deadline)
    source = check_topics(settings, describe_topics(settings, names, deadline))
    for problem in limit_problems(settings, broker_limits(settings, deadline)):
        raise problem
    return source


def limit_problems(settings: ConsumerSettings, limits: BrokerLimits) -> Iterator[ConfigurationError]:
    """What in the settings the cluster does not allow."""
    longest = limits.transaction_timeout
    exactly_once = settings.guarantee is Guarantee.EXACTLY_ONCE
    if exactly_once and longest is not None and settings.transaction_timeout > longest:
        yield ConfigurationError(
            f"--transaction-timeout {settings.transaction_timeout:g} is above what the broker allows",
            hint=f"Its transaction.max.timeout.ms permits {longest:g} seconds.",
        )


def _create(settings: ConsumerSettings, deadline: Deadline) -> None:
    """Creates missing topics; those for output take what the input takes, and the headers beside it."""
    wanted = TopicSpec(settings.partitions)
    create_topics(settings, {settings.input_topic: wanted}, deadline)
    source = describe_topics(settings, [settings.input_topic], deadline)[settings.input_topic]
    if source is None:
        return
    room = {"max.message.bytes": str(source.max_message_bytes + MAX_HEADER_BYTES)}
    output = TopicSpec(source.partitions, configs=room)
    create_topics(settings, dict.fromkeys(settings.written_topics, output), deadline)


def check_topics(settings: ConsumerSettings, found: Mapping[str, TopicInfo | None]) -> TopicInfo:
    """Refuses topics that are missing or do not fit each other.

    Args:
        settings: The topics' names.
        found: What the broker knows of each.

    Returns:
        The input topic.

    Raises:
        ConfigurationError: With what to change.
    """
    for problem in problems_of(settings, found):
        raise problem
    # None is missing, or it would have been a problem.
    return cast("TopicInfo", found[settings.input_topic])


def problems_of(
    settings: ConsumerSettings, found: Mapping[str, TopicInfo | None]
) -> Iterator[ConfigurationError]:
    """What keeps a consumer from working on these topics, each with what to change.

    Args:
        settings: The topics' names.
        found: What the broker knows of each.
    """
    missing = [name for name, topic in found.items() if topic is None]
    if missing:
        yield ConfigurationError(
            f"there is no topic {', '.join(missing)} at {settings.bootstrap_servers}",
            hint="Create it, or give --create-topics.",
        )
    source = found.get(settings.input_topic)
    for name in settings.written_topics:
        topic = found.get(name)
        if source is None or topic is None:
            continue
        if topic.partitions != source.partitions:
            yield ConfigurationError(
                f"topic {name} has {topic.partitions} partitions, but {source.name} has {source.partitions}",
                hint="A prediction goes to its event's partition number: give both topics equally many.",
            )
        needed = source.max_message_bytes + MAX_HEADER_BYTES
        # Where this client may not read the settings, nothing is known of the sizes.
        if source.configs and topic.configs and topic.max_message_bytes < needed:
            yield ConfigurationError(
                f"topic {name} takes records of {topic.max_message_bytes:,} bytes, but one event of"
                f" {source.name} and its headers may need {needed:,}",
                hint=f"Set max.message.bytes={needed} on topic {name}"
                f" (kafka-configs.sh --alter --topic {name} --add-config max.message.bytes={needed}).",
            )
