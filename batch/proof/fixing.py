"""Fixes what a proof of topics covers."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from batch.proof.plan import (
    AnswerRange,
    EventRange,
    Plan,
    Role,
    check_distinct,
    events_from,
    settings_of_plan,
    since_notes,
    since_of,
)
from batch.proof.settings import ProveSettings
from shared.deadline import Deadline
from shared.errors import ConfigurationError, StalledError
from shared.kafka.groups import GroupLag, PartitionLag
from shared.kafka.to_end import Extent, extents, offsets_from, settled_extents
from shared.kafka.topics import TopicInfo, describe_topics
from shared.replay_log import log_topic

#: How far an answer's time may be before its event's, in milliseconds: it is that of the consumer's clock,
#: which may be behind. What was written so long before `--since` is read, too.
MARGIN_MS: Final = 3_600_000


def fix(settings: ProveSettings) -> Plan:
    """Fixes what a proof of topics covers.

    The group's offsets are read first and the ends of the topics of answers afterwards, once no transaction
    is open there that had begun by then: so each covered event's answer is there. The log of replays must be
    the same before and after: else a letter and what became of it might both count, or neither.

    With `--since` each input partition begins at the first event of that time, and the topics of answers an
    hour before it: see MARGIN_MS.

    Raises:
        ConfigurationError: A topic does not exist, the group has committed nothing, or --since is no time.
        StalledError: A transaction does not end, or letters are being replayed all the time.
        TandemError: The broker does not answer.
    """
    replays = log_topic(settings.dead_letter_topic, settings.replay_topic)
    topics = {
        Role.EVENTS: settings.input_topic,
        Role.PREDICTIONS: settings.output_topic,
        Role.DEAD_LETTERS: settings.dead_letter_topic,
        Role.REPLAYS: replays,
    }
    check_distinct(topics)
    since = since_of(settings)
    committed = _committed(settings)
    answered = _settled(settings, topics)
    if not answered[Role.REPLAYS]:
        topics = {role: topic for role, topic in topics.items() if role is not Role.REPLAYS}
    written = extents(settings, settings.input_topic)
    events = [_event_range(one, written[one.partition].end) for one in committed]
    if since is not None:
        firsts = offsets_from(settings, settings.input_topic, since)
        events = [events_from(one, firsts.get(one.partition)) for one in events]
    known = describe_topics(settings, list(topics.values()), Deadline.after(settings.broker_timeout))
    answers: dict[Role, list[AnswerRange]] = {
        role: _answers(settings, known[topic], topic, answered[role], since)
        for role, topic in topics.items()
        if role in (Role.PREDICTIONS, Role.DEAD_LETTERS)
    }
    if Role.REPLAYS in topics:
        answers[Role.REPLAYS] = [_range(p, extent) for p, extent in answered[Role.REPLAYS].items()]
        # Only its newest entry of an event counts.
        del known[topics[Role.REPLAYS]]
    notes = [*since_notes(settings, since), *_group_notes(settings, committed), *_compaction_notes(known)]
    return Plan(
        topics=topics, events=events, answers=answers, notes=notes, settings=settings_of_plan(settings)
    )


def _answers(
    settings: ProveSettings,
    known: TopicInfo | None,
    topic: str,
    held: Mapping[int, Extent],
    since: int | None,
) -> list[AnswerRange]:
    """What is read of a topic of answers."""
    kept_since = _kept_since(known, time.time_ns() // 1_000_000)
    found = [
        _range(partition, extent).model_copy(update={"kept_since": kept_since})
        for partition, extent in held.items()
    ]
    if since is None:
        return found
    near = offsets_from(settings, topic, since - MARGIN_MS)
    return [_near(one, near.get(one.partition)) for one in found]


def _range(partition: int, extent: Extent) -> AnswerRange:
    return AnswerRange(partition=partition, start=extent.start, end=extent.end, cut=extent.start > 0)


def _near(answers: AnswerRange, first: int | None) -> AnswerRange:
    start = answers.end if first is None else min(answers.end, max(answers.start, first))
    return answers.model_copy(update={"start": start, "cut": answers.cut and start == answers.start})


def _committed(settings: ProveSettings) -> list[PartitionLag]:
    """How far the group has come, once it has come anywhere."""
    lag = GroupLag(settings, settings.group, settings.input_topic)
    try:
        partitions = lag.partitions()
    finally:
        lag.close(Deadline.after(settings.broker_timeout))
    held = [one for one in partitions if one.end > one.begin]
    if held and all(one.committed is None for one in held):
        raise ConfigurationError(
            f"group {settings.group!r} has committed nothing of topic {settings.input_topic!r}",
            hint="Name the group of the consumer that scored these events, with --group.",
        )
    return partitions


def _event_range(lag: PartitionLag, unwritten: int) -> EventRange:
    done = 0 if lag.committed is None else lag.committed.offset
    end = min(max(lag.begin, lag.end), max(lag.begin, done))
    pending = max(lag.begin, lag.end) - end
    return EventRange(partition=lag.partition, start=lag.begin, end=end, pending=pending, unwritten=unwritten)


def _group_notes(settings: ProveSettings, partitions: Sequence[PartitionLag]) -> list[str]:
    without = [str(one.partition) for one in partitions if one.committed is None and one.end > one.begin]
    if not without:
        return []
    which = f"partition{'s' if len(without) > 1 else ''} {', '.join(without)}"
    return [f"Group {settings.group!r} has committed nothing of {which}: all events there are pending."]


def _compaction_notes(topics: Mapping[str, TopicInfo | None]) -> list[str]:
    return [
        f"Topic {name!r} is compacted: older records of a key may be gone from it."
        for name, topic in topics.items()
        if topic is not None and "compact" in topic.configs.get("cleanup.policy", "")
    ]


def _kept_since(topic: TopicInfo | None, now: int) -> int | None:
    """The time since which no event has lost its answer on a topic to retention; None when that is not known.

    An hour after the time up to which retention deletes: see MARGIN_MS.
    """
    configs: Mapping[str, str] = {} if topic is None else topic.configs
    age, size = int(configs.get("retention.ms", "-1")), int(configs.get("retention.bytes", "0"))
    return now - age + MARGIN_MS if age >= 0 and size < 0 else None


def _settled(settings: ProveSettings, topics: Mapping[Role, str]) -> dict[Role, dict[int, Extent]]:
    """What the topics of answers hold, at a moment at which nothing was being replayed."""
    deadline = Deadline.after(settings.broker_timeout)
    while True:
        before = _log(settings, topics[Role.REPLAYS])
        found = {
            role: settled_extents(settings, topics[role]) for role in (Role.PREDICTIONS, Role.DEAD_LETTERS)
        }
        after = _log(settings, topics[Role.REPLAYS])
        if _ends(before) == _ends(after):
            return found | {Role.REPLAYS: after}
        if deadline.passed:
            raise StalledError(
                f"Dead letters are being replayed: topic {topics[Role.REPLAYS]!r} grows.",
                hint="Start again once the replay has ended, or wait longer with --broker-timeout.",
            )


def _log(settings: ProveSettings, topic: str) -> dict[int, Extent]:
    """What the log of replays holds; nothing where there is none, since nothing was ever replayed."""
    if describe_topics(settings, [topic], Deadline.after(settings.broker_timeout))[topic] is None:
        return {}
    return settled_extents(settings, topic)


def _ends(held: Mapping[int, Extent]) -> dict[int, int]:
    return {partition: extent.end for partition, extent in held.items()}
