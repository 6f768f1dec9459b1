"""One scoring process: what it is built of, and its run from start to end."""

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import cache
from typing import Final

from consumer import report
from consumer.budget import Budget
from consumer.faces import facing
from consumer.guard import RejectGuard
from consumer.latest.showing import showing
from consumer.loop import Limits, Loop
from consumer.models.flight import load_shadow, scorer_in_flight
from consumer.operations.telemetry import Telemetry
from consumer.operations.watchdog import watching
from consumer.sentinel import scoring_again
from consumer.settings import ConsumerSettings, Guarantee
from consumer.sketching import sketching
from consumer.startup import prepare_topics
from consumer.transaction import AtLeastOnceOutput, ExactlyOnceOutput, Output
from consumer.workers.channel import Channel, LastWords, Role
from consumer.workers.instance import claim
from shared import logs
from shared.deadline import Deadline
from shared.errors import ExitCode, TandemError
from shared.kafka.reader import Reader
from shared.kafka.writer import Writer
from shared.predict import Predictor
from shared.settings import load
from shared.stop import Stop

logger = logging.getLogger("consumer")

# The work is done by then; a broker that does not answer misses the member in any case.
_LEAVE_SECONDS: Final = 5.0


def run_alone(settings: ConsumerSettings) -> int:
    """Scores events in this process until it is stopped or a limit is reached; returns the exit code.

    Raises:
        TandemError: What ended it, and what to do.
    """
    stop = Stop(settings.shutdown_timeout)
    stop.on_signals()
    predictor = Predictor.load(settings.model, explain=settings.explain)
    partitions = prepare_topics(settings).partitions
    telemetry = Telemetry(0, lambda: stop.requested)
    with ExitStack() as stack:
        instance = settings.instance or stack.enter_context(claim(settings.group, settings.host))
        stack.enter_context(facing(settings, lambda: [telemetry.snapshot()]))
        logger.info("Worker started", extra={"worker": 0, "pid": os.getpid(), "instance": instance})
        _score(settings, Role(0, instance, partitions), predictor, stop, telemetry)
    return ExitCode.INTERRUPTED if stop.interrupted else ExitCode.DONE


def run_supervised(arguments: Sequence[str]) -> int:
    """As `run_alone`, as one of several; the supervisor has seen to the topics, and hears how it goes.

    Raises:
        TandemError: What ended it, where the supervisor is not there to hear of it.
    """
    channel = Channel()
    role = channel.role
    settings = load(ConsumerSettings, arguments, "python -m consumer")
    logs.set_up(settings.log_format, settings.log_level, worker=role.worker)
    stop = Stop(settings.shutdown_timeout)
    stop.on_signals()
    telemetry = Telemetry(role.worker, lambda: stop.requested)
    channel.open(telemetry.snapshot, lost=stop.terminate)
    try:
        predictor = Predictor.load(settings.model, explain=settings.explain)
        channel.wait_for_turn()
        with report.quiet() if role.quiet else nullcontext():
            _score(settings, role, predictor, stop, telemetry)
    except TandemError as error:
        if not channel.close(LastWords(finished=False, error=str(error))):
            raise
        return error.exit_code
    channel.close(LastWords(finished=not stop.requested, error=None))
    return ExitCode.INTERRUPTED if stop.interrupted else ExitCode.DONE


def _score(
    settings: ConsumerSettings, role: Role, predictor: Predictor, stop: Stop, telemetry: Telemetry
) -> None:
    _say_start(settings, predictor, role)
    with ExitStack() as stack:
        loop = _connect(settings, role.instance, predictor, stop, telemetry, stack)
        stack.enter_context(watching(settings, telemetry, stop))
        stop.begin()
        loop.run()
    _say_end(loop)


def _connect(
    settings: ConsumerSettings,
    instance: str,
    predictor: Predictor,
    stop: Stop,
    telemetry: Telemetry,
    stack: ExitStack,
) -> Loop:
    exactly_once = settings.guarantee is Guarantee.EXACTLY_ONCE
    challenger = load_shadow(settings)
    # The first to come, and the last to go: what it still has to do holds up nobody else.
    again = stack.enter_context(scoring_again(settings, telemetry))
    listening = stack.enter_context(showing(settings, telemetry, again))
    # One deadline for all, from the first to close on.
    leaving = cache(lambda: Deadline.after(min(_LEAVE_SECONDS, settings.shutdown_timeout)))
    reader = Reader(settings, settings.input_topic, group=settings.group, instance=instance)
    # One that failed, or is stopped by SIGTERM, is about to be started again, and finds its place kept.
    stack.push(lambda kind, *_: _close(reader, leaving(), leave=kind is None and not stop.terminated))
    # An instance's name holds no slash: no two pairs of a group and an instance give one id.
    writer = Writer(
        settings,
        transactional_id=f"{settings.group}/{instance}" if exactly_once else None,
        transaction_timeout=settings.transaction_timeout,
        compress_large=True,
    )
    stack.callback(lambda: writer.close(leaving()))
    writer.prepare(*settings.written_topics)
    kind: type[Output] = ExactlyOnceOutput if exactly_once else AtLeastOnceOutput
    return Loop(
        reader,
        stack.enter_context(scorer_in_flight(settings, predictor, challenger, writer, telemetry)),
        kind(reader, writer, settings.commit_timeout, telemetry),
        Budget(settings.batch_events, settings.batch_seconds),
        stop,
        RejectGuard(settings.reject_limit, settings.reject_window),
        stack.enter_context(sketching(settings, instance, listening)),
        Limits(settings.max_events, settings.until_idle, settings.broker_timeout),
    )


def _close(reader: Reader, deadline: Deadline, *, leave: bool) -> None:
    try:
        reader.close(deadline, leave=leave)
    except TandemError as error:
        # All is committed by now: the others only take over a little later.
        logger.warning("The group was not left, and will miss this member in time: %s", error.message)


def _say_start(settings: ConsumerSettings, predictor: Predictor, role: Role) -> None:
    model = predictor.model
    logger.info(
        "Scoring %s (%d partitions) with %s (sha256 %s), %s; predictions to %s, dead letters to %s",
        settings.input_topic,
        role.partitions,
        model.id,
        model.short_sha256,
        settings.guarantee,
        settings.output_topic,
        settings.dead_letter_topic,
        extra={"group": settings.group, "instance": role.instance, "broker": settings.bootstrap_servers},
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
