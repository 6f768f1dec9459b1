"""What both paths made of the same events: measured, proved, and shown in a table and a report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.commands import Commands
from demo.figures import Latency, Stream, latency_figures, stream_figures
from demo.lesson import run_lesson
from demo.topics import Topics, Watcher, end_of, wait_until_settled
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import Extent

_STEADY_EVENTS = 2_000
_STEADY_RATE = 500
_MODEL = ("--model", "models/churn")
# The tour of docker-compose.yml lets the challenger decide for a while.
_MODELS = (*_MODEL, "--model", "models/churn-linear")
_ALWAYS_SHOWN = ("identical", "missing", "duplicated")
_TOLD = {
    "identical": "predictions identical to the bit",
    "rejected_alike": "rejected alike, for the same reason",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the table shows.

    Attributes:
        stream: Of the stream.
        latency: Of events that came at a steady rate.
        rows: Rows that the batch path read.
        rows_per_second: How quickly.
        proof: What `python -m batch prove` found.
    """

    stream: Stream
    latency: Latency
    rows: int
    rows_per_second: float
    proof: dict[str, Any]


def give_verdict(
    commands: Commands, kafka: KafkaSettings, topics: Topics, folder: Path, report: Path, console: Console
) -> bool:
    """Measures a running consumer of models/churn, scores the same events in batch, and proves both alike.

    Args:
        commands: Runs Tandem's commands.
        kafka: Where the brokers are.
        topics: The topics and the group of the consumer.
        folder: Where files go that nobody needs afterwards.
        report: Where the report goes.
        console: Where everything is shown.

    Returns:
        Whether the lesson's answers are right and the proof holds.
    """
    wait_until_settled(kafka, topics)
    console.rule("Latency: events at a steady rate")
    latency = _measure_latency(commands, kafka, topics)
    console.rule("The same events in batch")
    snapshot, batch = folder / "snapshot", folder / "batch"
    commands.run("batch", "export", topics.events, *_MODEL, "--output", snapshot)
    commands.run("batch", "score", snapshot, *_MODEL, "--output", batch)
    console.rule("The lesson, by both paths")
    right = run_lesson(commands, kafka, folder, console)
    console.rule("The proof: event by event, bit by bit")
    proof = _prove(commands, topics, report)
    run = json.loads((batch / "manifest.json").read_text(encoding="utf-8"))
    figures = Figures(
        stream_figures(kafka, topics), latency, run["counts"]["read"], run["run"]["rows_per_second"], proof
    )
    console.print(_table(figures))
    console.print(f"Report: {report / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    # The table may count more than is proved: events that came after the proof had fixed its offsets.
    holds = bool(proof["holds"])
    if holds and right:
        console.print("[bold green]✓ Identical and conserved: both paths agree to the bit.[/bold green]")
    else:
        console.print("[bold red]✗ The answers are not what they should be.[/bold red]")
    return holds and right


def _prove(commands: Commands, topics: Topics, report: Path) -> dict[str, Any]:
    """Proves what the consumer did, advises on batch or real time, and writes the report."""
    names = ("--input-topic", topics.events, "--output-topic", topics.predictions)
    more = ("--dead-letter-topic", topics.dead_letters, "--group", topics.group)
    proof: dict[str, Any] = commands.answer(
        "batch", "prove", *_MODELS, *names, *more, "--advise", "--report", report, "--json"
    )
    return proof


def _measure_latency(commands: Commands, kafka: KafkaSettings, topics: Topics) -> Latency:
    before = end_of(kafka, topics.events)
    with Watcher(kafka, topics.predictions) as watcher:
        commands.run(
            "producer", "--topic", topics.events, "--count", str(_STEADY_EVENTS), "--rate", str(_STEADY_RATE)
        )
        wait_until_settled(kafka, topics)
    after = end_of(kafka, topics.events)
    watched = {partition: Extent(start, after[partition]) for partition, start in before.items()}
    return latency_figures(kafka, topics.events, watched, watcher.seen)


def _table(figures: Figures) -> Table:
    stream, latency, proof = figures.stream, figures.latency, figures.proof
    table = Table(title="One model, two paths", show_header=False, min_width=60)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("events on the topic", f"{stream.events:,}")
    table.add_row("scored by the stream", f"{stream.scored:,}")
    table.add_row("rejected by the stream", f"{stream.rejected:,}")
    table.add_row("stream, working off a backlog", f"{stream.events_per_second:,.0f} events/s")
    at = f"sent to visible (read_committed), {_STEADY_RATE:,} events/s"
    table.add_row(f"latency p50, {at}", f"{latency.p50:,.0f} ms")
    table.add_row(f"latency p99, {at}", f"{latency.p99:,.0f} ms")
    table.add_row(f"batch, {figures.rows:,} rows", f"{figures.rows_per_second:,.0f} rows/s")
    table.add_section()
    for name, count in proof["counts"].items():
        if count or name in _ALWAYS_SHOWN:
            table.add_row(_TOLD.get(name, name.replace("_", " ")), f"{count:,}")
    strays = sum(ledger["of_no_event"] for ledger in proof["ledger"])
    table.add_row("answers of no event", f"{strays:,}")
    table.add_row("certificate", proof["certificate"])
    return table
