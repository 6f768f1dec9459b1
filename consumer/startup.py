"""What must be true before the first event is read: topics that exist and fit each other."""

from collections.abc import Mapping

from consumer.settings import ConsumerSettings, Guarantee
from shared.dead_letters import MAX_HEADER_BYTES
from shared.deadline import Deadline
from shared.errors import ConfigurationError
from shared.kafka.connection import wait_for_broker
from shared.kafka.topics import TopicInfo, TopicSpec, broker_limits, create_topics, describe_topics


def prepare_topics(settings: ConsumerSettings) -> TopicInfo:
    """Waits for the broker, creates missing topics when told to, and checks that all fit each other.

    Returns:
        The input topic.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: With what to change.
    """
    deadline = Deadline.after(settings.broker_timeout)
    wait_for_broker(settings, deadline)
    names = (settings.input_topic, *settings.written_topics)
    if settings.create_topics:
        _create(settings, deadline)
    source = check_topics(settings, describe_topics(settings, names, deadline))
    if settings.guarantee is Guarantee.EXACTLY_ONCE:
        longest = broker_limits(settings, deadline).transaction_timeout
        if longest is not None and settings.transaction_timeout > longest:
            raise ConfigurationError(
                f"--transaction-timeout {settings.transaction_timeout:g} is above what the broker allows",
                hint=f"Its transaction.max.timeout.ms permits {longest:g} seconds.",
            )
    return source


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
    missing = [name for name, topic in found.items() if topic is None]
    if missing:
        raise ConfigurationError(
            f"there is no topic {', '.join(missing)} at {settings.bootstrap_servers}",
            hint="Create it, or give --create-topics.",
        )
    topics = {name: topic for name, topic in found.items() if topic is not None}
    source = topics[settings.input_topic]
    for name in settings.written_topics:
        topic = topics[name]
        if topic.partitions != source.partitions:
            raise ConfigurationError(
                f"topic {name} has {topic.partitions} partitions, but {source.name} has {source.partitions}",
                hint="A prediction goes to its event's partition number: give both topics equally many.",
            )
        needed = source.max_message_bytes + MAX_HEADER_BYTES
        if topic.max_message_bytes < needed:
            raise ConfigurationError(
                f"topic {name} takes records of {topic.max_message_bytes:,} bytes, but one event of"
                f" {source.name} and its headers may need {needed:,}",
                hint=f"Set max.message.bytes={needed} on topic {name}"
                f" (kafka-configs.sh --alter --topic {name} --add-config max.message.bytes={needed}).",
            )
    return source
