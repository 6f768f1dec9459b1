"""What of the topics' settings would lose events, refuse them or keep them too short."""

from collections.abc import Iterator, Mapping
from typing import Final

from consumer.check.finding import Finding, must, must_for, ok, warn
from consumer.settings import ConsumerSettings
from consumer.startup import problems_of
from shared.kafka.topics import TopicInfo

# What is advised for production, where a broker may die without anything being lost.
_REPLICAS: Final = 3
_IN_SYNC: Final = 2
_DAY: Final = 86_400_000
_READS: Final = ("READ", "DESCRIBE")
_WRITES: Final = ("WRITE", "DESCRIBE")


def topic_findings(settings: ConsumerSettings, found: Mapping[str, TopicInfo | None]) -> Iterator[Finding]:
    """Findings on the topics that this client can see.

    Args:
        settings: The topics' names.
        found: What the broker knows of each.
    """
    missing = [name for name, topic in found.items() if topic is None]
    known = [topic for topic in found.values() if topic is not None]
    if missing and settings.create_topics:
        source = found.get(settings.input_topic)
        partitions = settings.partitions if source is None else source.partitions
        yield ok(
            "topics",
            f"{', '.join(missing)}: missing; --create-topics makes them with {partitions} partitions",
        )
        found = {topic.name: topic for topic in known}
    problems = list(problems_of(settings, found))
    for problem in problems:
        yield must_for("topics", problem)
    if not problems and known and not missing:
        partitions, names = known[0].partitions, ", ".join(topic.name for topic in known)
        yield ok("topics", f"{names}: all exist, with {partitions} partitions each, and fit each other")
    for topic in known:
        reads = topic.name == settings.input_topic
        yield _rights(topic, _READS if reads else _WRITES)
        if not topic.configs:
            yield warn(
                f"topic {topic.name}",
                "its settings cannot be read",
                f"Allow DescribeConfigs on topic {topic.name}: without it, limits are guessed.",
            )
            continue
        yield from _durability(topic)
        yield _cleanup(topic)
        if reads:
            yield _retention(topic)


def _rights(topic: TopicInfo, wanted: tuple[str, ...]) -> Finding:
    subject = f"rights on topic {topic.name}"
    if topic.rights is None:
        return ok(subject, "the broker does not tell; it let this client look")
    lacking = [right for right in wanted if right not in topic.rights]
    if lacking:
        names = " and ".join(right.capitalize() for right in lacking)
        return must(subject, f"{names} not allowed", f"Allow {names} on topic {topic.name} to this user.")
    return ok(subject, f"{' and '.join(right.lower() for right in wanted)} allowed")


def _durability(topic: TopicInfo) -> Iterator[Finding]:
    subject = f"durability of topic {topic.name}"
    in_sync = int(topic.configs.get("min.insync.replicas", 1))
    told = f"{topic.replicas} replicas, min.insync.replicas={in_sync}"
    if topic.configs.get("unclean.leader.election.enable") == "true":
        yield must(
            subject,
            "unclean.leader.election.enable=true: a replica that lags may become leader, and acknowledged"
            " records are lost",
            f"Set unclean.leader.election.enable=false on topic {topic.name}.",
        )
    if topic.replicas <= in_sync and topic.replicas > 1:
        yield warn(
            subject,
            f"{told}: nothing can be written while one broker is down",
            f"Give topic {topic.name} more replicas than min.insync.replicas.",
        )
    elif topic.replicas < _REPLICAS or in_sync < _IN_SYNC:
        yield warn(
            subject,
            f"{told}: a broker that dies may take acknowledged records with it",
            f"In production give topic {topic.name} {_REPLICAS} replicas and min.insync.replicas={_IN_SYNC}.",
        )
    else:
        yield ok(subject, told)


def _cleanup(topic: TopicInfo) -> Finding:
    subject = f"cleanup of topic {topic.name}"
    policy = topic.configs.get("cleanup.policy", "delete")
    if "compact" in policy:
        return must(
            subject,
            f"cleanup.policy={policy}: of the records of a key only the last is kept",
            f"Set cleanup.policy=delete on topic {topic.name}.",
        )
    at = topic.configs.get("message.timestamp.type", "CreateTime")
    return ok(subject, f"cleanup.policy={policy}, message.timestamp.type={at}")


def _retention(topic: TopicInfo) -> Finding:
    subject = f"retention of topic {topic.name}"
    kept = retention_ms(topic)
    size = int(topic.configs.get("retention.bytes", -1))
    told = f"events are kept for {duration(kept)}" if kept is not None else "events are kept for ever"
    if kept is not None and kept < _DAY:
        return warn(
            subject,
            f"{told}; a consumer that is away for longer loses them unscored",
            f"Raise retention.ms on topic {topic.name} above the longest outage that it is to survive.",
        )
    if size >= 0:
        return warn(
            subject,
            f"{told}, and {size:,} bytes a partition at most: under load they may be deleted sooner",
            f"Set retention.bytes=-1 on topic {topic.name}, or see that it holds the longest outage.",
        )
    return ok(subject, told)


def retention_ms(topic: TopicInfo) -> int | None:
    """How long a topic keeps its records, milliseconds; None: for ever."""
    kept = int(topic.configs.get("retention.ms", 7 * _DAY))
    return None if kept < 0 else kept


def duration(milliseconds: float) -> str:
    """A time for people, such as `7 days` or `90 s`."""
    for unit, size in (("days", _DAY), ("hours", 3_600_000)):
        if milliseconds >= 2 * size:
            return (
                f"{milliseconds / size:g} {unit}"
                if milliseconds % size == 0
                else (f"{milliseconds / size:.1f} {unit}")
            )
    return f"{milliseconds / 1000:g} s"
