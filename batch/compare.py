"""`python -m batch compare`: the stream's predictions beside a batch's, as a table or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from pydantic import Field, field_validator
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.comparison import AGREEING, CLASSES, Comparison, Example, Tolerance, compare_sides
from batch.folder import Folder, folder_at
from batch.manifest import Predictions, has_manifest, read_manifest
from batch.results import JoinColumn
from batch.sides import TOPIC, load_side
from shared import logs
from shared.errors import ExitCode
from shared.kafka.connection import KafkaSettings
from shared.logs import LogSettings
from shared.progress import Meter
from shared.settings import CommandSettings, load
from shared.wording import counted

_DEFAULT_KEY: Final = "customer_id"


class CompareSettings(LogSettings, KafkaSettings, CommandSettings):
    """Compares the predictions of the stream with those of a batch, to the bit.

    Each side is topic:NAME, an output folder of `python -m batch score`, or a file of predictions. A folder
    brings its rejected rows along; a topic's rejections are read from --dead-letter-topic. The exit status is
    0 only when every prediction is identical and every rejection has its counterpart with the same reason.

    Example:
      python -m batch compare topic:predictions scored --dead-letter-topic dead-letters
      python -m batch compare yesterday/ today/ --on customer_id --tolerance 4ulp --json
    """

    stream: CliPositionalArg[str] = Field(description="The stream's side: topic:NAME, a folder, or a file.")
    batch: CliPositionalArg[str] = Field(description="The batch's side: topic:NAME, a folder, or a file.")
    dead_letter_topic: str | None = Field(
        None, description="The topic that holds the stream's rejections, when the stream's side is a topic."
    )
    replay_topic: str | None = Field(
        None,
        description="The topic that says which dead letters were replayed, so that each event counts once;"
        " the dead-letter topic's name with -replayed unless given.",
    )
    on: JoinColumn = Field(
        "prediction_id",
        description="What to join by. A prediction_id is a position on a topic or in a file, so that a topic "
        "and a file that was sent to it are joined by customer_id or event_id.",
    )
    tolerance: str = Field(
        "0",
        description="How far apart two scores may be to be told as within tolerance: 1e-9, or 4ulp for four "
        "representable numbers. The exit status is 0 for identical scores only.",
    )
    examples: int = Field(3, ge=0, description="How many ids to show of each class that does not agree.")
    as_json: bool = Field(False, alias="json", description="Print JSON instead of a table.")

    @field_validator("tolerance")
    @classmethod
    def _readable(cls, tolerance: str) -> str:
        try:
            Tolerance.parse(tolerance)
        except ValueError:
            raise ValueError("a number such as 1e-9, or a number of ulps such as 4ulp") from None
        return tolerance


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: A side cannot be read.
    """
    settings = load(CompareSettings, arguments, "python -m batch compare")
    logs.set_up(settings.log_format, settings.log_level)
    comparison = compare(settings)
    if settings.as_json:
        print(json.dumps({**asdict(comparison), "agrees": comparison.agrees}, indent=2))
    else:
        show(comparison)
        if (
            settings.dead_letter_topic is None
            and settings.stream.startswith(TOPIC)
            and comparison.rejections[1]
        ):
            print("The stream's rejections were not read: name their topic with --dead-letter-topic.")
    return ExitCode.DONE if comparison.agrees else ExitCode.ANSWER_IS_NO


def compare(settings: CompareSettings) -> Comparison:
    """Reads both sides and compares them.

    Raises:
        TandemError: A side cannot be read.
    """
    key = _key_of(folder_at(settings.batch))
    with Meter("records") as meter:
        stream = load_side(
            settings.stream,
            settings.on,
            settings,
            meter,
            settings.dead_letter_topic,
            key,
            settings.replay_topic,
        )
        batch = load_side(settings.batch, settings.on, settings, meter)
        return compare_sides(stream, batch, Tolerance.parse(settings.tolerance), settings.examples)


def _key_of(folder: Folder) -> str:
    """The field of an event that holds the customer's id, as the batch's model has it."""
    manifest = read_manifest(folder) if has_manifest(folder) else None
    return manifest.model.inputs.key if isinstance(manifest, Predictions) else _DEFAULT_KEY


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Prints a comparison for people.

    Args:
        comparison: The answer.
        console: Where to; standard output unless given.
    """
    console = console or Console(highlight=False)
    console.print(_counts(comparison))
    if comparison.examples:
        console.print(_examples(comparison.examples))
    if not comparison.same_models:
        stream, batch = (", ".join(models) for models in (comparison.stream_models, comparison.batch_models))
        console.print(
            Text(f"The models differ: {stream} in the stream, {batch} in batch.", style="yellow"),
            soft_wrap=True,
        )
    console.print(_verdict(comparison), soft_wrap=True)


def _counts(comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("ids", justify="right")
    table.add_column("", style="dim")
    for name, meaning in CLASSES.items():
        count = comparison.counts[name]
        style = "" if not count else "green" if name in AGREEING else "red"
        table.add_row(Text(name.replace("_", " "), style=style), Text(f"{count:,}", style=style), meaning)
    return table


def _examples(examples: list[Example]) -> Table:
    table = Table(box=None, pad_edge=False, title="For example", title_justify="left")
    for column in ("class", "id", "stream", "batch"):
        table.add_column(column, overflow="fold")
    table.add_column("ulps", justify="right")
    explained = any(example.explained_alike is False for example in examples)
    if explained:
        table.add_column("contributions")
    for example in examples:
        table.add_row(
            Text(example.found.replace("_", " ")),
            Text(example.id),
            _answer(example.stream, example.stream_decision, example.stream_reason),
            _answer(example.batch, example.batch_decision, example.batch_reason),
            "" if example.ulps is None else f"{example.ulps:,}",
            *(() if not explained else ("",) if example.explained_alike is not False else ("differ",)),
        )
    return table


def _answer(score: float | None, decision: bool | None, reason: str | None) -> Text:
    told = [] if score is None else [f"{score!r} {str(decision).lower()}"]
    told += [] if reason is None else [reason]
    return Text(", ".join(told) or "-")


def _verdict(comparison: Comparison) -> Text:
    sides = zip(
        (comparison.stream, comparison.batch), comparison.predictions, comparison.rejections, strict=True
    )
    held = ", ".join(
        f"{name} holds {counted(scored, 'prediction')} and {counted(rejected, 'rejection')}"
        for name, scored, rejected in sides
    )
    if comparison.agrees:
        explained = f"; {comparison.explained:,} compared with contributions" if comparison.explained else ""
        return Text(f"Identical to the bit: {held}{explained}.", style="green")
    if not comparison.total:
        return Text(f"There is nothing to compare: {held}.", style="red")
    told = comparison.explained_differently
    otherwise = f"; {counted(told, 'prediction')} with other contributions" if told else ""
    apart = f"; scores differ by up to {comparison.largest_difference:g}" if comparison.largest_ulps else ""
    return Text(f"Not identical: {held}{apart}{otherwise}.", style="red")
