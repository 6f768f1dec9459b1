"""`python -m consumer dead-letters show`: all that is known of one event that was rejected."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumer.dead_letters.letters import Letter, Letters, Place, letter_from, place_from
from consumer.dead_letters.listing import as_row
from consumer.dead_letters.originals import Event, GoneError, event_of, finder
from consumer.dead_letters.settings import ShowSettings
from shared import logs
from shared.errors import AnswerIsNo, ExitCode
from shared.moments import shown_time
from shared.replay_log import Replayed, read_log
from shared.settings import load
from shared.visible import visible


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        AnswerIsNo: There is no letter of that event, or none at that place.
        TandemError: The letters cannot be read.
    """
    settings = load(ShowSettings, arguments, "python -m consumer dead-letters show")
    logs.set_up(settings.log_format, settings.log_level)
    attempts = _letters_of(settings, place_from(settings.position))
    replayed = read_log(settings, settings.log).replayed
    newest = attempts[-1]
    event: Event | None = None
    gone = ""
    try:
        event = event_of(newest, finder(settings))
    except GoneError as error:
        gone = str(error)
    if settings.as_json:
        print(json.dumps(_as_json(attempts, event, gone, replayed), indent=2))
    else:
        _show(attempts, event, gone, replayed, settings.show_bytes)
    return ExitCode.DONE


def _letters_of(settings: ShowSettings, place: Place) -> list[Letter]:
    """The letters of one event, the first attempt first."""
    topic, partition, offset = place
    position, when = settings.position, None
    if topic == settings.dead_letter_topic:
        try:
            letter = letter_from(settings, topic, partition, offset)
        except ValueError as error:
            raise AnswerIsNo(f"{position} is no dead letter of Tandem's: {visible(str(error))}") from error
        if letter is None:
            raise AnswerIsNo(f"there is no letter at {position}", hint="Retention may have deleted it.")
        position, when = letter.told.origin.position, letter.told.origin.timestamp
    found = [
        letter
        for some in Letters(settings, settings.dead_letter_topic, [partition]).read()
        for letter in some
        if letter.told.origin.position == position and when in (None, letter.told.origin.timestamp)
    ]
    if not found:
        raise AnswerIsNo(
            f"topic {settings.dead_letter_topic!r} holds no letter of {position}",
            hint="The event was scored, was not read yet, or its letter was deleted by retention.",
        )
    return sorted(found, key=lambda letter: (letter.told.attempt, letter.offset))


def _as_json(
    attempts: Sequence[Letter], event: Event | None, gone: str, replayed: Replayed
) -> dict[str, Any]:
    rows = [as_row(letter, replayed.standing(letter.told)) for letter in attempts]
    entry = replayed.newest(attempts[-1].told.origin)
    return {
        "position": rows[-1]["position"],
        "event_time": rows[-1]["event_time"],
        "key": None if event is None else _coded(event.key),
        "value": None if event is None else _coded(event.value),
        "headers": None
        if event is None
        else [{"name": name, "value": _coded(value)} for name, value in event.headers],
        "gone": gone or None,
        "attempts": rows,
        "replayed_by": None if entry is None else entry.model,
    }


def _coded(data: bytes | None) -> dict[str, str] | None:
    """Bytes for a machine and for a person."""
    if data is None:
        return None
    return {"base64": base64.b64encode(data).decode("ascii"), "text": visible(data)}


def _show(attempts: Sequence[Letter], event: Event | None, gone: str, replayed: Replayed, most: int) -> None:
    console = Console(highlight=False, markup=False)
    origin = attempts[-1].told.origin
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("event", Text(visible(origin.position)))
    table.add_row("time", shown_time(origin.timestamp))
    if event is None:
        table.add_row("bytes", Text(visible(gone)))
    else:
        table.add_row("key", _text(event.key, most))
        for name, value in event.headers:
            table.add_row("header", Text(f"{visible(name, most)} = ") + _text(value, most))
        size = "none" if event.value is None else f"{len(event.value):,} bytes"
        table.add_row("value", Text(f"{size}: ", style="dim") + _text(event.value, most))
    for letter in attempts:
        table.add_row(f"attempt {letter.told.attempt}", _attempt(letter, replayed))
    console.print(table)


def _attempt(letter: Letter, replayed: Replayed) -> Text:
    told = letter.told
    blamed = "" if told.field is None else f" of {visible(told.field)}"
    standing = replayed.standing(told)
    entry = replayed.newest(told.origin)
    again = standing.replace("_", " ")
    if entry is not None and entry.attempt == told.attempt:
        again += f" by {visible(entry.model)}"
    return Text(
        f"{shown_time(letter.timestamp)} {letter.place}: {told.reason}{blamed} by {visible(told.model)}:"
        f" {visible(told.detail)} -> {again}"
    )


def _text(data: bytes | None, most: int) -> Text:
    return Text("none", style="dim") if data is None else Text(visible(data, most))
