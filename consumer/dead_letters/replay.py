"""`python -m consumer dead-letters replay`: scores dead letters again and publishes what comes of it."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Any, Final

from consumer.dead_letters.filters import Filter
from consumer.dead_letters.letters import Letters
from consumer.dead_letters.originals import finder
from consumer.dead_letters.replayer import Replayer, Result
from consumer.dead_letters.selection import Selection
from consumer.dead_letters.settings import ReplaySettings
from consumer.scoring import StreamScorer
from shared import logs
from shared.deadline import Deadline
from shared.errors import ConfigurationError, ExitCode
from shared.kafka.connection import wait_for_broker
from shared.kafka.topics import TopicInfo, TopicSpec, create_topics, describe_topics
from shared.kafka.writer import Writer
from shared.predict import Predictor
from shared.progress import Meter, show_summary
from shared.replay_log import ReplayLog, read_log
from shared.settings import load
from shared.stop import Stop

logger = logging.getLogger("consumer.dead_letters")

# The work is done by then.
_CLOSE_SECONDS: Final = 5.0
_COMPACTED: Final = {"cleanup.policy": "compact"}


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code.

    Raises:
        TandemError: The letters could not all be looked at; what was replayed is known to the next run.
    """
    settings = load(ReplaySettings, arguments, "python -m consumer dead-letters replay")
    logs.set_up(settings.log_format, settings.log_level)
    stop = Stop(settings.shutdown_timeout)
    stop.on_signals()
    predictor = Predictor.load(settings.model, explain=settings.explain)
    prepare_topics(settings)
    with ExitStack() as stack:
        replayer = _connect(settings, predictor, stack)
        stop.begin()
        letters = Letters(settings, settings.dead_letter_topic, settings.partition)
        run(settings, replayer, letters, stop)
    replayer.result.strangers = letters.strangers
    _say_end(settings, replayer.result, ended_early=stop.requested)
    return ExitCode.INTERRUPTED if stop.interrupted else ExitCode.DONE


def _connect(settings: ReplaySettings, predictor: Predictor, stack: ExitStack) -> Replayer:
    closing = cache(lambda: Deadline.after(_CLOSE_SECONDS))
    # First of all: from here on no other replay of this log commits anything, and what one had open is ended.
    # The name is the log's, not the group's: there must be one replay of a log, whoever runs it.
    writer = Writer(
        settings,
        transactional_id=None if settings.dry_run else f"{settings.log}/replay",
        transaction_timeout=settings.transaction_timeout,
        compress_large=True,
    )
    stack.callback(lambda: writer.close(closing()))
    if settings.dry_run:
        writer.prepare(settings.output_topic, settings.dead_letter_topic)
        log = read_log(settings, settings.log)
    else:
        writer.prepare(settings.output_topic, settings.dead_letter_topic, settings.log)
        log = ReplayLog(settings, settings.log)
        log.refresh()
    chosen = Filter.of(settings, time.time_ns() // 1_000_000)
    return Replayer(
        Selection(settings.input_topic, chosen, settings.max_attempts, log.replayed),
        StreamScorer(predictor, settings.output_topic, settings.dead_letter_topic, writer),
        finder(settings),
        log,
        sink=None if settings.dry_run else writer,
        model=predictor.model.id,
        timeout=settings.commit_timeout,
        limit=settings.limit,
    )


def run(settings: ReplaySettings, replayer: Replayer, letters: Letters, stop: Stop) -> None:
    """Replays in batches until the letters end, the limit is reached, or a signal came.

    Args:
        settings: How large a batch is.
        replayer: Replays.
        letters: What to go through.
        stop: Tells when to end.
    """
    size = settings.batch_events
    with Meter("letters") as meter:
        for some in letters.read():
            for start in range(0, len(some), size):
                replayer.replay(some[start : start + size])
                meter.add(len(some[start : start + size]), settings.dead_letter_topic, letters.share)
                if stop.requested or replayer.done:
                    return


def prepare_topics(settings: ReplaySettings) -> None:
    """Checks that the topics fit each other; creates the log when told to.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: With what to change.
    """
    deadline = Deadline.after(settings.broker_timeout)
    wait_for_broker(settings, deadline)
    found = describe_topics(
        settings, [settings.dead_letter_topic, settings.output_topic, settings.log], deadline
    )
    partitions = check_topics(settings, found)
    if found[settings.log] is None and not settings.dry_run:
        create_topics(settings, {settings.log: TopicSpec(partitions, configs=_COMPACTED)}, deadline)
        logger.info("Created topic %s, which says what was replayed", settings.log)


def check_topics(settings: ReplaySettings, found: Mapping[str, TopicInfo | None]) -> int:
    """Refuses topics that are missing or do not fit each other.

    Args:
        settings: The topics' names.
        found: What the broker knows of each.

    Returns:
        How many partitions each of them has, or the log is to have.

    Raises:
        ConfigurationError: With what to change.
    """
    letters, output, log = (
        found[name] for name in (settings.dead_letter_topic, settings.output_topic, settings.log)
    )
    if letters is None or output is None:
        missing = settings.dead_letter_topic if letters is None else settings.output_topic
        raise ConfigurationError(
            f"there is no topic {missing} at {settings.bootstrap_servers}",
            hint="Name the topics that the consumer writes to.",
        )
    if log is None and not (settings.create_topics or settings.dry_run):
        raise ConfigurationError(
            f"there is no topic {settings.log}, which is to say what was replayed",
            hint=f"Give --create-topics, or create it with cleanup.policy=compact and {letters.partitions}"
            " partitions.",
        )
    for topic in (output, log):
        if topic is not None and topic.partitions != letters.partitions:
            raise ConfigurationError(
                f"topic {topic.name} has {topic.partitions} partitions, but {letters.name} has"
                f" {letters.partitions}",
                hint="What becomes of a letter goes to its partition number: give all of them equally many.",
            )
    policy = None if log is None else log.configs.get("cleanup.policy", "compact")
    if log is not None and policy != "compact":
        raise ConfigurationError(
            f"topic {log.name} forgets what was replayed: its cleanup.policy is {policy}",
            hint=f"Set it to compact (kafka-configs.sh --alter --topic {log.name} --add-config"
            " cleanup.policy=compact), or letters could be replayed twice.",
        )
    return letters.partitions


def _say_end(settings: ReplaySettings, result: Result, *, ended_early: bool) -> None:
    if settings.as_json:
        print(json.dumps(as_json(result, dry_run=settings.dry_run, ended_early=ended_early), indent=2))
        return
    would = "would be " if settings.dry_run else ""
    lines = {
        f"{would}replayed": f"{result.replayed:,} = {result.scored:,} scored"
        f" + {result.replayed - result.scored:,} rejected again"
    }
    lines |= {f"  {old} -> {new}": f"{count:,}" for (old, new), count in result.changes.most_common()}
    lines |= {f"left alone, {why}": f"{count:,}" for why, count in sorted(result.left.items()) if count}
    if result.strangers:
        lines["left alone, no letters of Tandem's"] = f"{result.strangers:,}"
    if ended_early:
        lines["ended early"] = "start it again: it goes on with what waits"
    show_summary(lines)


def as_json(result: Result, *, dry_run: bool, ended_early: bool) -> dict[str, Any]:
    """A result for a machine; these names are a contract.

    Args:
        result: What a replay did.
        dry_run: Whether it only said what it would do.
        ended_early: Whether a signal ended it before all letters were looked at.
    """
    return {
        "dry_run": dry_run,
        "ended_early": ended_early,
        "replayed": result.replayed,
        "scored": result.scored,
        "rejected_again": result.replayed - result.scored,
        "changes": [
            {"before": before, "after": after, "letters": count}
            for (before, after), count in result.changes.most_common()
        ],
        "left_alone": {why.name.lower(): count for why, count in sorted(result.left.items()) if count},
        "not_letters": result.strangers,
    }
