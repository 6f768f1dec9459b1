"""The command: looks at everything in turn, prints what it finds."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

from pydantic import Field
from rich.console import Console
from rich.text import Text

from consumer.check.cluster import (
    broker_findings,
    connection_findings,
    group_finding,
    limit_findings,
    transaction_finding,
)
from consumer.check.finding import Finding, Severity, must_for
from consumer.check.model import model_findings
from consumer.check.topics import topic_findings
from consumer.settings import ConsumerSettings, Guarantee
from shared import logs
from shared.deadline import Deadline
from shared.errors import ConfigurationError, ExitCode, TandemError
from shared.kafka.cluster import Cluster
from shared.kafka.topics import TopicInfo, describe_topics
from shared.settings import load, secrets_in
from shared.visible import visible

PROGRAM: Final = "python -m consumer check"
_COLORS: Final = {Severity.OK: "green", Severity.WARN: "yellow", Severity.MUST: "red"}


class CheckSettings(ConsumerSettings):
    """Looks at all that a consumer of these settings would meet, and says what to change.

    It changes nothing, but that under exactly-once the broker learns of the transactional id GROUP/check.

    Takes the consumer's own options and variables. The exit status is 0 when nothing must be changed, 1 when
    something must, 4 when no broker answers and 2 when it does not let this client in.

    Example:
      python -m consumer check --model models/churn
      python -m consumer check --model models/churn --bootstrap-servers broker:9092 --json
    """

    as_json: bool = Field(False, alias="json", description="Print the findings as JSON.")


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: One did, but does not let this client in.
    """
    settings = load(CheckSettings, arguments, PROGRAM)
    logs.set_up(settings.log_format, settings.log_level)
    findings: list[Finding] = []
    try:
        for finding in findings_of(settings, secrets_in(arguments)):
            findings.append(finding)  # noqa: PERF402 - what was found before an error is told, too
    except TandemError as error:
        _tell(settings, findings, error)
        raise
    _tell(settings, findings)
    wrong = any(finding.severity is Severity.MUST for finding in findings)
    return ExitCode.ANSWER_IS_NO if wrong else ExitCode.DONE


def findings_of(settings: ConsumerSettings, told_secrets: Sequence[str] = ()) -> Iterator[Finding]:
    """Everything that is found, in the order in which a consumer would meet it.

    Args:
        settings: The consumer's.
        told_secrets: Names of secrets that stand on the command line.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: One did, but does not let this client in.
    """
    yield from model_findings("model", settings.model, settings.explain)
    if settings.shadow is not None:
        yield from model_findings("shadow model", settings.shadow, None)
    yield from connection_findings(settings, told_secrets)
    with Cluster(settings, Deadline.after(settings.broker_timeout)) as cluster:
        yield from broker_findings(settings, cluster)
        found: dict[str, TopicInfo | None] = {}
        for name in (settings.input_topic, *settings.written_topics):
            try:
                found |= describe_topics(settings, [name], Deadline.after(settings.broker_timeout))
            except ConfigurationError as error:
                yield must_for(f"rights on topic {name}", error)
        yield from topic_findings(settings, found)
        yield group_finding(settings, cluster)
        if settings.guarantee is Guarantee.EXACTLY_ONCE:
            yield transaction_finding(settings)
        yield from limit_findings(settings, cluster, found.get(settings.input_topic))


def _tell(settings: CheckSettings, findings: Sequence[Finding], error: TandemError | None = None) -> None:
    """Prints what was found, up to the error that ended the search if there is one."""
    if not settings.as_json:
        _show(findings, "" if error is None else "; the rest could not be looked at")
        return
    well = error is None and all(finding.severity is not Severity.MUST for finding in findings)
    answer = {
        "ok": well,
        "error": None if error is None else error.message,
        "findings": [asdict(finding) for finding in findings],
    }
    print(json.dumps(answer, indent=2))


def _show(findings: Sequence[Finding], ending: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        line = Text()
        line.append(f"{finding.severity:<4}  ", style=_COLORS[finding.severity])
        line.append(f"{visible(finding.subject):<{width}}  {visible(finding.detail)}")
        if finding.change is not None:
            line.append(f"\n{'':<{width + 8}}-> {visible(finding.change)}")
        console.print(line)
    counts = [sum(finding.severity is severity for finding in findings) for severity in Severity]
    sys.stdout.flush()
    print(f"{counts[0]} ok, {counts[1]} to consider, {counts[2]} to change{ending}")
