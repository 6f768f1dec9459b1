"""The lesson through both real paths: five events of a topic, four customers of a file."""

import json
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console

from demo.commands import Commands
from demo.topics import Topics, wait_until_settled
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import read_to_end

CUSTOMERS = ((101, 0.2), (102, 0.8), (103, 0.5), (104, 0.9))
EXPECTED_BATCH = [False, True, False, True]
EVENT = (105, 0.7)
EXPECTED_EVENT = True

_TOPICS = Topics("demo-lesson", "demo-lesson-predictions", "demo-lesson-dead-letters", "demo-lesson")


def run_lesson(commands: Commands, kafka: KafkaSettings, folder: Path, console: Console) -> bool:
    """Scores the lesson's customers in batch and its events as a stream, and shows both.

    Args:
        commands: Runs Tandem's commands.
        kafka: Where the brokers are.
        folder: Where files go.
        console: Where the results are shown.

    Returns:
        Whether every answer is the lesson's.
    """
    streamed = _stream(commands, kafka)
    batch = _batch(commands, folder)
    features = [feature for _, feature in CUSTOMERS]
    four = [streamed.get(customer) for customer, _ in CUSTOMERS]
    marks = [
        _show(console, "batch", features, batch, EXPECTED_BATCH),
        _show(console, "stream", features, four, EXPECTED_BATCH),
        _show(console, "stream", EVENT, streamed.get(EVENT[0]), EXPECTED_EVENT),
    ]
    return all(marks)


def _stream(commands: Commands, kafka: KafkaSettings) -> dict[int, bool]:
    """The decision for each customer on the lesson's output topic, the latest where it has several."""
    topics = _TOPICS
    consumer = ("--input-topic", topics.events, "--output-topic", topics.predictions)
    options = ("--dead-letter-topic", topics.dead_letters, "--group", topics.group, "--create-topics")
    with commands.running("lesson", "consumer", "--model", "models/threshold", *consumer, *options):
        commands.run("producer", "--lesson", "--topic", topics.events)
        wait_until_settled(kafka, topics)
    values = (
        value
        for columns in read_to_end(kafka, topics.predictions)
        for value in columns.values
        if value is not None
    )
    return {prediction["customer_id"]: prediction["churn"] for prediction in map(json.loads, values)}


def _batch(commands: Commands, folder: Path) -> list[bool]:
    """The decisions for the four customers, in the order of the file."""
    source, output = folder / "lesson.csv", folder / "lesson-batch"
    lines = ["customer_id,feature", *(f"{customer},{feature}" for customer, feature in CUSTOMERS)]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    commands.run("batch", "score", source, "--model", "models/threshold", "--output", output)
    parts = json.loads((output / "manifest.json").read_text(encoding="utf-8"))["parts"]
    return [
        decision for part in parts for decision in pq.read_table(output / part["file"])["churn"].to_pylist()
    ]


def _show(console: Console, path: str, asked: object, answer: object, expected: object) -> bool:
    right = answer == expected
    mark = "[green]✓[/green]" if right else f"[red]✗ expected {expected}[/red]"
    console.print(f"{mark} {path}: {asked} -> {answer}", highlight=False)
    return right
