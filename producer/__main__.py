"""The command `python -m producer`."""

import logging
import sys
import time
from collections.abc import Sequence

from producer.publish import Publisher, Tally
from producer.rows import FileRows
from producer.settings import ProducerSettings
from producer.sources import Source, open_source, with_malformed
from shared import lean, logs
from shared.command import PRINT_COMPLETION, Lazy, print_completion, run
from shared.deadline import Deadline
from shared.errors import ConfigurationError, ExitCode
from shared.kafka.topics import TopicInfo, describe_topics
from shared.kafka.writer import Writer
from shared.predict import Predictor
from shared.progress import Meter, show_json
from shared.settings import load
from shared.stop import Stop

logger = logging.getLogger("producer")


def main(arguments: Sequence[str]) -> int:
    """Sends what the arguments ask for; returns the exit code."""
    if arguments and arguments[0] == PRINT_COMPLETION:
        return print_completion(
            "producer", {}, arguments, Lazy("producer.settings", settings="ProducerSettings")
        )
    settings = load(ProducerSettings, arguments, "python -m producer")
    logs.set_up(settings.log_format, settings.log_level)
    predictor = Predictor.load(settings.model_directory)
    source = open_source(settings, predictor)
    stop = Stop()
    stop.on_signals()
    topic = _find_topic(settings)
    source = with_malformed(source, settings, predictor.model, topic)
    logger.info(
        "Sending %s to %s (%d partitions) at %s",
        _told(settings),
        topic.name,
        topic.partitions,
        settings.bootstrap_servers,
    )
    tally = _send(settings, source, topic, stop)
    if stop.interrupted:
        return ExitCode.INTERRUPTED
    not_sent = source.rows.skipped if source.rows is not None else 0
    return ExitCode.ANSWER_IS_NO if tally.failed or not_sent else ExitCode.DONE


def _find_topic(settings: ProducerSettings) -> TopicInfo:
    deadline = Deadline.after(settings.broker_timeout)
    topic = describe_topics(settings, [settings.topic], deadline)[settings.topic]
    if topic is None:
        raise ConfigurationError(
            f"there is no topic {settings.topic!r} at {settings.bootstrap_servers}",
            hint="Create it, or start the consumer with --create-topics, which makes its topics.",
        )
    return topic


def _send(settings: ProducerSettings, source: Source, topic: TopicInfo, stop: Stop) -> Tally:
    # Without transactions there is no hurry to try again, and a word in the log for each time.
    calm = {"retry_backoff_ms": "100", **settings.kafka_option}
    writer = Writer(settings.model_copy(update={"kafka_option": calm}))
    publisher = Publisher(writer, topic.name, topic.partitions, timeout=settings.broker_timeout)
    start = time.monotonic()
    stop.begin()
    try:
        with Meter("events") as meter:
            publisher.run(
                source.messages,
                rate=settings.rate or None,
                stopped=lambda: stop.requested,
                progress=lambda tally: _show(meter, tally, source.total),
            )
    finally:
        # Everything has been waited for; what is left has had its time.
        writer.close(Deadline.after(0 if publisher.tally.failed else settings.broker_timeout))
        say_end = _print_json if settings.as_json else _say_end
        say_end(topic.name, publisher.tally, source.rows, time.monotonic() - start)
    return publisher.tally


def _show(meter: Meter, tally: Tally, total: int | None) -> None:
    share = tally.acknowledged / total if total else None
    meter.add(tally.acknowledged - meter.count, "acknowledged", share)


def _told(settings: ProducerSettings) -> str:
    if settings.file is not None:
        what = f"the rows of {settings.file}"
    else:
        what = "the lesson's customers" if settings.lesson else f"made-up customers (seed {settings.seed})"
    bad = f", {settings.bad_ratio:.3g} of all malformed" if settings.bad_ratio else ""
    return f"{what}{bad}"


def _print_json(topic: str, tally: Tally, rows: FileRows | None, seconds: float) -> None:
    """The summary for a script; these names are a contract."""
    show_json(
        {
            "topic": topic,
            "sent": tally.sent,
            "acknowledged": tally.acknowledged,
            "failed": tally.failed,
            "not_sent": rows.skipped if rows is not None else 0,
            "errors": list(tally.errors.values()),
            "seconds": round(seconds, 3),
            "events_per_second": round(tally.acknowledged / seconds, 1) if seconds else None,
        }
    )


def _say_end(_topic: str, tally: Tally, rows: FileRows | None, seconds: float) -> None:
    speed = f", {tally.acknowledged / seconds:,.0f} events/s" if seconds else ""
    lines = [
        f"sent          {tally.sent:>12,}",
        f"acknowledged  {tally.acknowledged:>12,}   in {seconds:.1f} s{speed}",
        f"failed        {tally.failed:>12,}",
    ]
    if rows is not None and rows.skipped:
        lines.append(f"not sent      {rows.skipped:>12,}   rows that {rows.path} does not hold whole")
    print("\n".join(lines))
    for error in tally.errors.values():
        print(f"error: {error}", file=sys.stderr)


def script() -> int:
    """Runs what the command line of this process says; returns the exit code."""
    lean.start()
    return run(main, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(script())
