"""What both paths made of the same events: measured, compared and shown in a table."""

import json
from dataclasses import dataclass
from pathlib import Path

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
_ALWAYS_SHOWN = ("identical", "different", "missing", "extra", "duplicated")
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
        comparison: How many ids fall into each class of `python -m batch compare`.
    """

    stream: Stream
    latency: Latency
    rows: int
    rows_per_second: float
    comparison: dict[str, int]


def give_verdict(
    commands: Commands, kafka: KafkaSettings, topics: Topics, folder: Path, console: Console
) -> bool:
    """Measures a running consumer of models/churn, scores the same events in batch, and compares.

    Args:
        commands: Runs Tandem's commands.
        kafka: Where the brokers are.
        topics: The topics and the group of the consumer.
        folder: Where files go.
        console: Where everything is shown.

    Returns:
        Whether the lesson's answers are right and both paths agree to the bit.
    """
    wait_until_settled(kafka, topics)
    console.rule("Latency: events at a steady rate")
    latency = _measure_latency(commands, kafka, topics)
    console.rule("The same events in batch")
    snapshot, batch = folder / "snapshot", folder / "batch"
    model = ("--model", "models/churn")
    commands.run("batch", "export", topics.events, *model, "--output", snapshot)
    commands.run("batch", "score", snapshot, *model, "--output", batch)
    console.rule("Both paths compared")
    stream = f"topic:{topics.predictions}"
    comparison = commands.answer(
        "batch", "compare", stream, batch, "--dead-letter-topic", topics.dead_letters, "--json"
    )
    console.rule("The lesson, by both paths")
    right = run_lesson(commands, kafka, folder, console)
    run = json.loads((batch / "manifest.json").read_text(encoding="utf-8"))
    figures = Figures(
        stream_figures(kafka, topics),
        latency,
        run["counts"]["read"],
        run["run"]["rows_per_second"],
        comparison["counts"],
    )
    console.print(_table(figures))
    agrees = bool(comparison["agrees"]) and figures.comparison["identical"] == figures.stream.scored
    if agrees and right:
        console.print("[bold green]✓ Both paths agree to the bit.[/bold green]")
    else:
        console.print("[bold red]✗ The answers are not what they should be.[/bold red]")
    return agrees and right


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
    stream, latency = figures.stream, figures.latency
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
    for name, count in figures.comparison.items():
        if count or name in _ALWAYS_SHOWN:
            table.add_row(_TOLD.get(name, name.replace("_", " ")), f"{count:,}")
    return table
