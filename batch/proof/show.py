"""A proof for people, on a terminal: the classes, the books, examples, and the verdict last."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.proof.classes import AGREEING, CLASSES, Found
from batch.proof.result import Answer, Example, Explaining, FeatureParity, Proof
from shared.visible import visible
from shared.wording import counted, duration, part, percent

# So much of an event is shown of an example.
_EVENT_WIDTH = 200
# What is told also when it does not occur; of the rest only what does.
_ALWAYS = (
    Found.MISSING,
    Found.DUPLICATED,
    Found.OTHER_DECISION,
    Found.OTHER_BITS,
    Found.IDENTICAL,
    Found.REJECTED_ALIKE,
)


def show(proof: Proof, console: Console | None = None) -> None:
    """Prints a proof.

    Args:
        proof: What was found.
        console: Where to; standard output unless given.
    """
    console = console or Console(highlight=False)
    console.print(_classes(proof.counts))
    if broken := [ledger for ledger in proof.ledger if not ledger.closes]:
        partitions = ", ".join(str(ledger.partition) for ledger in broken)
        console.print(Text(f"The books do not close for partition {partitions}.", style="red"))
    for example in proof.examples:
        console.print(_example(example))
    if proof.explaining:
        console.print(_explaining(proof.explaining))
    if proof.features:
        console.print(_features(proof.features))
    for line in _lines(proof):
        console.print(Text(visible(line)), soft_wrap=True)
    style = "bold green" if proof.holds else "bold red"
    console.print(Text(f"{'✓' if proof.holds else '✗'} {proof.verdict}", style=style), soft_wrap=True)


def _classes(counts: dict[Found, int]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("events", justify="right")
    table.add_column("", style="dim")
    for found, meaning in CLASSES.items():
        count = counts[found]
        if not count and found not in _ALWAYS:
            continue
        style = "" if not count else "green" if found in AGREEING else "red"
        if found is Found.NOT_SAMPLED:
            style = "yellow"
        name = Text(found.replace("_", " "), style=style)
        table.add_row(name, Text(f"{count:,}", style=style), meaning)
    return table


def _example(example: Example) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, title_justify="left", title_style="bold")
    table.title = f"{example.found.replace('_', ' ')}: {visible(example.position)}"
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("", Text(visible(example.detail)))
    if example.event is not None:
        table.add_row("event", Text(visible(example.event, _EVENT_WIDTH)))
    for answer in example.stream:
        table.add_row("stream", Text(visible(_answer(answer))))
    if example.batch is not None:
        table.add_row("batch", Text(visible(_answer(example.batch))))
    if example.field is not None:
        values = f"{example.stream_value} in the stream, {example.batch_value} in batch"
        table.add_row("differs", Text(visible(f"{example.field}: {values}")))
    return table


def _answer(answer: Answer) -> str:
    told = []
    if answer.score is not None:
        told.append(f"{answer.score!r} ({answer.bits}) {str(answer.decision).lower()}")
    if answer.reason is not None:
        told.append(f"rejected: {answer.reason}")
    if answer.model is not None:
        told.append(f"by {answer.model}")
    if answer.position is not None:
        told.append(f"at {answer.position}")
    return ", ".join(told) or "-"


def _explaining(found: Sequence[Explaining]) -> Table:
    table = Table(box=None, pad_edge=False, title="What they have in common", title_justify="left")
    for column in ("class", "input", "value"):
        table.add_column(column, overflow="fold")
    for column in ("of these", "of all"):
        table.add_column(column, justify="right")
    for one in found:
        shares = percent(one.share), percent(one.share_of_all)
        table.add_row(one.found.replace("_", " "), Text(one.feature), Text(visible(one.value)), *shares)
    return table


def _features(features: Sequence[FeatureParity]) -> Table:
    table = Table(box=None, pad_edge=False, title="Inputs, row by row", title_justify="left")
    table.add_column("input", overflow="fold")
    for column in ("compared", "mismatched", "missing", "extra"):
        table.add_column(column, justify="right")
    for feature in features:
        counts = feature.mismatched, feature.missing, feature.extra
        shares = [f"{count:,} ({part(count, feature.compared)})" if count else "0" for count in counts]
        style = "red" if any(counts) else ""
        table.add_row(Text(visible(feature.feature), style=style), f"{feature.compared:,}", *shares)
    return table


def _lines(proof: Proof) -> Iterator[str]:
    """What stands before the verdict: the books, the models, how quick it was, and what limits the proof."""
    predictions = sum(ledger.predictions for ledger in proof.ledger)
    letters = sum(ledger.letters for ledger in proof.ledger)
    closed = sum(ledger.closes for ledger in proof.ledger)
    yield (
        f"{closed} of {len(proof.ledger)} partitions close: {proof.events:,} events,"
        f" {predictions:,} predictions, {letters:,} dead letters."
    )
    if proof.pending:
        yield f"{proof.pending:,} offsets behind them were not committed yet: they are not part of the proof."
    for model in proof.models:
        known = "" if model.known else ", which is not at hand (name its directory with --model)"
        yield f"Scored by {model.id} {model.sha256}{known}: {counted(model.predictions, 'event')}."
    if proof.latency is not None:
        yield (
            f"Answered {duration(proof.latency.p50)} after the event's timestamp (median),"
            f" {duration(proof.latency.p99)} (99th percentile), {duration(proof.latency.largest)} (longest)."
        )
    rates = [
        f"{name} {rate:,.0f} events/s"
        for name, rate in (("stream", proof.stream_rate), ("batch", proof.batch_rate))
        if rate is not None
    ]
    if rates:
        yield f"Throughput: {', '.join(rates)}."
    yield from proof.notes
    yield f"Certificate {proof.certificate}"
