"""One scoring process: what it is built of, and its run from start to end."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from typing import Final

from consumer.budget import Budget
from consumer.instance import claim
from consumer.loop import Limits, Loop
from consumer.scoring import StreamScorer
from consumer.settings import ConsumerSettings, Guarantee
from consumer.startup import prepare_topics
from consumer.transaction import AtLeastOnceOutput, ExactlyOnceOutput, Output
from shared import logs
from shared.deadline import Deadline
from shared.errors import ExitCode
from shared.kafka.reader import Reader
from shared.kafka.topics import TopicInfo
from shared.kafka.writer import Writer
from shared.predict import Predictor
from shared.settings import load
from shared.stop import Stop

logger = logging.getLogger("consumer")

# The work is done by then; a broker that does not answer misses the member in any case.
_LEAVE_SECONDS: Final = 5.0


def main(arguments: Sequence[str]) -> int:
    """Runs the consumer until it is stopped or a limit is reached; returns its exit code."""
    settings = load(ConsumerSettings, arguments, "python -m consumer")
    logs.set_up(settings.log_format, settings.log_level)
    stop = Stop(settings.shutdown_timeout)
    stop.on_signals()
    predictor = Predictor.load(settings.model, explain=settings.explain)
    source = prepare_topics(settings)
    with ExitStack() as stack:
        instance = settings.instance or stack.enter_context(claim(settings.group, settings.host))
        _say_start(settings, predictor, source, instance)
        loop = _connect(settings, predictor, instance, stop, stack)
        stop.begin()
        loop.run()
    _say_end(loop)
    return ExitCode.INTERRUPTED if stop.interrupted else ExitCode.DONE


def _connect(
    settings: ConsumerSettings, predictor: Predictor, instance: str, stop: Stop, stack: ExitStack
) -> Loop:
    exactly_once = settings.guarantee is Guarantee.EXACTLY_ONCE
    # One deadline for all, from the first to close on.
    leaving = cache(lambda: Deadline.after(min(_LEAVE_SECONDS, settings.shutdown_timeout)))
    reader = Reader(settings, settings.input_topic, group=settings.group)
    stack.callback(lambda: reader.close(leaving()))
    # An instance's name holds no slash: no two pairs of a group and an instance give one id.
    writer = Writer(
        settings,
        transactional_id=f"{settings.group}/{instance}" if exactly_once else None,
        transaction_timeout=settings.transaction_timeout,
        compress_large=True,
    )
    stack.callback(lambda: writer.close(leaving()))
    writer.prepare(settings.output_topic, settings.dead_letter_topic)
    kind: type[Output] = ExactlyOnceOutput if exactly_once else AtLeastOnceOutput
    return Loop(
        reader,
        StreamScorer(predictor, settings.output_topic, settings.dead_letter_topic, writer),
        kind(reader, writer, settings.commit_timeout),
        Budget(settings.batch_events, settings.batch_seconds),
        stop,
        Limits(settings.max_events, settings.until_idle, settings.broker_timeout),
    )


def _say_start(settings: ConsumerSettings, predictor: Predictor, source: TopicInfo, instance: str) -> None:
    model = predictor.model
    logger.info(
        "Scoring %s (%d partitions) with %s (sha256 %s), %s; predictions to %s, dead letters to %s",
        source.name,
        source.partitions,
        model.id,
        model.short_sha256,
        settings.guarantee,
        settings.output_topic,
        settings.dead_letter_topic,
        extra={"group": settings.group, "instance": instance, "broker": settings.bootstrap_servers},
    )


def _say_end(loop: Loop) -> None:
    ledger, seconds = loop.ledger, loop.working_seconds
    reasons = {str(reason): count for reason, count in sorted(ledger.reasons.items())}
    logger.info(
        "Done: %d read = %d scored + %d rejected",
        ledger.read,
        ledger.scored,
        ledger.rejected,
        extra={
            "rejected_by_reason": reasons,
            "seconds": round(seconds, 3),
            "events_per_second": round(ledger.read / seconds) if seconds else 0,
        },
    )
