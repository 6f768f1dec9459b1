"""The command `python -m demo`."""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from pydantic import Field
from rich.console import Console

from demo.broker import embedded_broker
from demo.commands import Commands
from demo.topics import Topics
from demo.verdict import give_verdict
from shared import logs
from shared.command import run
from shared.deadline import Deadline
from shared.errors import ExitCode
from shared.kafka.connection import KafkaSettings
from shared.kafka.topics import TopicSpec, create_topics
from shared.settings import CommandSettings, load

_MODEL: Final = ("--model", "models/churn")
_TOPICS: Final = Topics("customers", "predictions", "dead-letters", "tandem")
# An event of 10 MB must fit; the consumer makes its own topics to match.
_INPUT: Final = TopicSpec(6, configs={"max.message.bytes": str(12 << 20)})
_BAD_RATIO: Final = 0.01
# Customers who come again and again over some days, so that there is something to advise on.
_VISITS: Final = 10
_SPAN: Final = "7d"


_REPORT: Final = Path("demo-report")


class DemoSettings(CommandSettings):
    """Scores made-up customers as a stream and in batch, and proves that both agree to the bit.

    Starts an embedded broker in a temporary folder unless --bootstrap-servers names a Kafka.

    Example:
      python -m demo
      python -m demo --events 500000
      python -m demo --bootstrap-servers localhost:9092
    """

    bootstrap_servers: str | None = Field(None, description="A Kafka to use instead of an embedded broker.")
    events: int = Field(50_000, ge=1, description="Events to send as a backlog.")
    report: Path = Field(_REPORT, description="Where report.html and report.json go.")


class VerdictSettings(KafkaSettings, CommandSettings):
    """Proves that what a running consumer of models/churn has scored is what the batch path gives.

    It waits until the consumer has scored everything. This is the last service of docker-compose.yml.

    Example:
      python -m demo verdict --bootstrap-servers localhost:9092
    """

    input_topic: str = Field(_TOPICS.events, description="The consumer's input topic.")
    output_topic: str = Field(_TOPICS.predictions, description="The consumer's output topic.")
    dead_letter_topic: str = Field(_TOPICS.dead_letters, description="The consumer's dead-letter topic.")
    group: str = Field(_TOPICS.group, description="The consumer's group.")
    report: Path = Field(_REPORT, description="Where report.html and report.json go.")


def main(arguments: Sequence[str]) -> int:
    """Runs the demo, or only its verdict; returns the exit code."""
    logs.set_up("auto", "WARNING")
    console = Console(width=None if sys.stdout.isatty() else 110)
    with tempfile.TemporaryDirectory(prefix="tandem-demo-") as folder:
        if arguments[:1] == ["verdict"]:
            agreed = _verdict(arguments[1:], Path(folder), console)
        else:
            agreed = _demo(arguments, Path(folder), console)
    return ExitCode.DONE if agreed else ExitCode.ANSWER_IS_NO


def _verdict(arguments: Sequence[str], folder: Path, console: Console) -> bool:
    settings = load(VerdictSettings, arguments, "python -m demo verdict")
    topics = Topics(settings.input_topic, settings.output_topic, settings.dead_letter_topic, settings.group)
    commands = Commands(settings, folder, console)
    return give_verdict(commands, settings, topics, folder, settings.report.resolve(), console)


def _demo(arguments: Sequence[str], folder: Path, console: Console) -> bool:
    settings = load(DemoSettings, arguments, "python -m demo")
    with ExitStack() as stack:
        address = settings.bootstrap_servers or stack.enter_context(embedded_broker(folder))
        kafka = KafkaSettings(bootstrap_servers=address)
        commands = Commands(kafka, folder, console)
        create_topics(kafka, {_TOPICS.events: _INPUT}, Deadline.after(kafka.broker_timeout))
        console.rule("A backlog, sent before the consumer starts")
        customers = ("--customers", str(max(1, settings.events // _VISITS)), "--span", _SPAN)
        bad = ("--bad-ratio", str(_BAD_RATIO), "--seed", "1")
        commands.run("producer", "--count", str(settings.events), *customers, *bad)
        stack.enter_context(
            commands.running("consumer", "consumer", *_MODEL, "--create-topics", "--sentinel", "0.01")
        )
        return give_verdict(commands, kafka, _TOPICS, folder, settings.report.resolve(), console)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
