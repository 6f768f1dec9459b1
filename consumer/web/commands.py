"""The commands that the page gives: what they name is what this consumer was told."""

import json
import shlex
from collections.abc import Mapping
from typing import Final

from consumer.settings import ConsumerSettings
from consumer.web.state import Commands
from shared.errors import ModelError
from shared.events import EventParser
from shared.models.directory import read_declared
from shared.models.shipped import shipped_model
from shared.schema import Schema

#: The events that `python -m producer` makes up, by the model that comes with Tandem for them.
_MADE_UP: Final[Mapping[str, tuple[str, ...]]] = {
    "churn-linear": ("--count", "10000", "--rate", "200"),
    "threshold": ("--lesson",),
}
# What only who reads the page knows.
_ROWS: Final = ("FILE", "--model", "FOLDER")


def commands_of(settings: ConsumerSettings) -> Commands:
    """The commands for a consumer; of its topics and its group those are named that are not the default.

    Where its brokers are stays out of the page, so that is for the reader to add.

    Args:
        settings: What the consumer was told.
    """
    reads = _option(settings, "input_topic", "--topic")
    letters = _option(settings, "dead_letter_topic")
    proved = [
        *_option(settings, "input_topic"),
        *_option(settings, "output_topic"),
        *letters,
        *_option(settings, "group"),
    ]
    return Commands(
        send=_command("producer", *_events(settings), *reads),
        prove=_command("batch", "prove", "--model", "FOLDER", "--report", "proof", *proved),
        show_letter=_command("consumer", "dead-letters", "show", *letters),
    )


def _option(settings: ConsumerSettings, field: str, name: str | None = None) -> list[str]:
    """An option with its value; nothing for the default, which is the same in each command.

    Args:
        settings: What the consumer was told.
        field: The setting.
        name: The option, where it is called otherwise than the consumer's.
    """
    value = getattr(settings, field)
    if value == ConsumerSettings.model_fields[field].default:
        return []
    return [name or f"--{field.replace('_', '-')}", value]


def _command(package: str, *words: str) -> str:
    return shlex.join(["python", "-m", package, *words])


def _events(settings: ConsumerSettings) -> tuple[str, ...]:
    """What the producer has to be told to send events that the model accepts."""
    try:
        _, schema = read_declared(settings.model)
    except ModelError:
        return _ROWS  # the worker, which cannot start with it, says what is wrong
    return next((options for name, options in _MADE_UP.items() if _accepts(schema, name)), _ROWS)


def _accepts(schema: Schema, name: str) -> bool:
    """Whether the events that are made up for a model that comes with Tandem are accepted."""
    declaration, _ = read_declared(shipped_model(name))
    events = [json.dumps(row.event).encode() for row in declaration.golden]
    return not EventParser(schema).parse(events).rejections
