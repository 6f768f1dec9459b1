"""Completion of the programs' command lines by a shell: made from the settings of every command."""

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

import shtab

from shared.command import PRINT_COMPLETION, Lazy
from shared.errors import ConfigurationError
from shared.settings import CommandSettings, parser_of

#: The shells that it is made for.
SHELLS: Final = ("bash", "zsh", "tcsh", "fish")
# Options whose text may name a file or folder of this machine, among other places.
_PLACES: Final = frozenset(
    ("a", "against", "b", "batch", "fixed", "folder", "input", "output", "predictions", "source", "stream")
)


def completion(program: str, commands: Mapping[str, Lazy], itself: Lazy | None, shell: str) -> str:
    """What a shell reads to complete a program's commands, options, choices and files.

    Args:
        program: The name that it is called by.
        commands: Its commands.
        itself: What it does without a command; None if that is nothing.
        shell: Which shell.

    Raises:
        ConfigurationError: There is none for such a shell.
    """
    if shell not in SHELLS:
        raise ConfigurationError(
            f"{PRINT_COMPLETION}: {f'there is none for {shell!r}' if shell else 'name a shell'}",
            hint=f"The shells are {', '.join(SHELLS[:-1])} and {SHELLS[-1]}.",
        )
    parser = _parser(itself, program) if itself else argparse.ArgumentParser(program)
    parser.add_argument(PRINT_COMPLETION, choices=SHELLS, help="Print what completes this program.")
    if commands:
        _add(parser, program, commands)
    return shtab.complete(parser, shell=shell).rstrip()


def _add(parser: argparse.ArgumentParser, program: str, commands: Mapping[str, Lazy]) -> None:
    group = parser.add_subparsers(parser_class=argparse.ArgumentParser)
    for name, command in commands.items():
        called = f"{program} {name}"
        if command.settings is None:
            inner = importlib.import_module(command.module).COMMANDS
            _add(group.add_parser(name, help=""), called, {word: lazy for word, (lazy, _) in inner.items()})
            continue
        single = _parser(command, called)
        summary = (single.description or "").strip().partition("\n")[0]
        group.add_parser(name, help=summary, description=summary, parents=[single], add_help=False)


def _parser(command: Lazy, program: str) -> argparse.ArgumentParser:
    settings: type[CommandSettings] = getattr(importlib.import_module(command.module), command.settings or "")
    parser = parser_of(settings, program)
    kinds = {declared.alias or name: declared.annotation for name, declared in settings.model_fields.items()}
    for action in parser._actions:  # noqa: SLF001 - argparse tells of them nowhere else
        if action.dest in _PLACES or _holds_path(kinds.get(action.dest)):
            # What shtab looks for.
            vars(action)["complete"] = shtab.FILE
    return parser


def _holds_path(kind: Any) -> bool:
    return kind is Path or any(map(_holds_path, get_args(kind)))
