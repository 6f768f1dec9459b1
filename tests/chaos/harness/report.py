"""What a run showed, as a table for people, and whether the guarantees held."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.chaos.harness.plan import Step
from tests.chaos.harness.run import EXACTLY_ONCE, Outcome
from tests.chaos.harness.service import by_step, longest, pauses, pauses_of_partitions
from tests.chaos.harness.verify import Fault

_NAME_WIDTH: Final = 36
_WIDTH: Final = 16


def failures(outcome: Outcome) -> list[str]:
    """Why the run has failed, a sentence each; none when it has not."""
    found = []
    for verdict in outcome.verdicts:
        broken = verdict.broken
        if broken:
            found.append(f"{verdict.guarantee}: {len(broken)} faults, the first: {broken[0]}")
        if verdict.unproved or (verdict.guarantee == EXACTLY_ONCE and not verdict.holds):
            found.append(f"{verdict.guarantee}: the proof does not hold: {verdict.unproved or 'the books'}")
        if verdict.drained is None:
            found.append(f"{verdict.guarantee}: events were left when the time was over")
        if any(code != 0 for code in verdict.exit_codes):
            found.append(f"{verdict.guarantee}: told to end, it ended with {list(verdict.exit_codes)}")
    return found


def table(outcome: Outcome) -> str:
    """The measured guarantee, a column for each deployment."""
    verdicts = outcome.verdicts
    lines = [_row("", [verdict.guarantee for verdict in verdicts])]
    lines += [_row(name, values) for name, values in _rows(outcome)]
    return "\n".join(lines)


def _rows(outcome: Outcome) -> Iterator[tuple[str, list[str]]]:
    verdicts = outcome.verdicts
    yield "sent and acknowledged", [_number(outcome.sender["acknowledged"])] * len(verdicts)
    yield "stored", [_number(verdict.findings.stored) for verdict in verdicts]
    yield "scored", [_number(verdict.findings.scored) for verdict in verdicts]
    yield "rejected", [_number(verdict.findings.rejected) for verdict in verdicts]
    for fault in Fault:
        yield str(fault), [_number(verdict.findings.counts[fault]) for verdict in verdicts]
    yield (
        "proved identical, rejected alike",
        [_number(verdict.proved["identical"] + verdict.proved["rejected_alike"]) for verdict in verdicts],
    )
    yield "models that scored", [str(len(verdict.findings.models)) for verdict in verdicts]
    yield "worker processes started", [str(verdict.starts) for verdict in verdicts]
    yield "supervisors that gave up", [str(len(verdict.restarts)) for verdict in verdicts]
    yield (
        "stopped workers, seen refused",
        [f"{verdict.zombies}, {verdict.fenced}" for verdict in verdicts],
    )
    yield (
        "longest gap in service",
        [f"{longest(pauses(verdict.answers)).seconds:.1f} s" for verdict in verdicts],
    )
    yield (
        "  of one partition",
        [f"{longest(pauses_of_partitions(verdict.answers)).seconds:.1f} s" for verdict in verdicts],
    )
    drained = [verdict.drained for verdict in verdicts]
    yield "drained after", ["never" if took is None else f"{took:.1f} s" for took in drained]


def pause_table(outcome: Outcome) -> str:
    """The longest gap in service of any partition that began after each step, before the next."""
    columns = [by_step(outcome.done, pauses_of_partitions(verdict.answers)) for verdict in outcome.verdicts]
    names = [verdict.guarantee for verdict in outcome.verdicts]
    lines = [_row("longest gap of a partition after", names)]
    for step in sorted({step for column in columns for step in column}, key=lambda step: step.at):
        values = [f"{column[step].seconds:.2f} s" if step in column else "" for column in columns]
        lines.append(_row(f"{step.at:6.1f} s {step.action}", values))
    return "\n".join(lines)


def line(seed: int, outcome: Outcome) -> str:
    """A run in one line."""
    told = []
    for verdict in outcome.verdicts:
        counts = verdict.findings.counts
        faults = ", ".join(f"{counts[fault]} {fault}" for fault in Fault if counts[fault]) or "no faults"
        gap = longest(pauses(verdict.answers)).seconds
        told.append(f"{verdict.guarantee} {faults}, longest gap {gap:.1f} s")
    held = "FAILED" if failures(outcome) else "held"
    return f"seed {seed}: {held}; {outcome.verdicts[0].findings.stored:,} events; {'; '.join(told)}"


def evidence(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What explains a failure: the names of files, and what they are to hold.

    Each answer and each event has a line with its event's partition and offset, and when the broker stored
    it, in milliseconds since the epoch.
    """
    for verdict in outcome.verdicts:
        found = verdict.broken
        yield f"{verdict.guarantee}-findings.txt", "".join(f"{finding}\n" for finding in found)
        findings = verdict.findings
        answers = [(answer, "scored") for answer in findings.predictions]
        answers += [(answer, "rejected") for answer in findings.letters]
        lines = [
            f"{answer.place[0]}/{answer.place[1]} {what} at {answer.record.partition}/{answer.record.offset}"
            f" {answer.record.timestamp}\n"
            for answer, what in sorted(answers, key=lambda pair: pair[0].place)
        ]
        yield f"{verdict.guarantee}-answers.txt", "".join(lines)
    stored = outcome.verdicts[0].findings.events
    yield "events.txt", "".join(f"{event.partition}/{event.offset} {event.timestamp}\n" for event in stored)


def plan_text(steps: Sequence[Step]) -> str:
    """The plan as it is printed before the run."""
    return "\n".join(str(step) for step in steps)


def _number(count: int) -> str:
    return f"{count:,}"


def _row(name: str, values: Sequence[str]) -> str:
    return f"{name:<{_NAME_WIDTH}}" + "".join(f"{value:>{_WIDTH}}" for value in values)
