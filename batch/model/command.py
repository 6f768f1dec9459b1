"""The subcommands of `python -m batch model`, each loaded when it is called."""

import importlib
from collections.abc import Sequence
from typing import Final

from shared.command import Command, choose

PROGRAM: Final = "python -m batch model"


def main(arguments: Sequence[str]) -> int:
    """Runs the subcommand that the first argument names."""
    commands = {
        "import": (_command("importing.command"), "make a model directory of a trained model"),
        "certify": (
            _command("certify"),
            "prove that a model scores alike at every batch size and by every route",
        ),
        "show": (_command("show"), "say what a model takes, gives and is"),
        "validate": (_command("validate"), "load a model as scoring would, and say what to change"),
        "list": (_command("listing"), "list the models of a folder"),
    }
    command, rest = choose(PROGRAM, commands, arguments)
    return command(rest)


def _command(module: str) -> Command:
    def command(arguments: Sequence[str]) -> int:
        return int(importlib.import_module(f"batch.model.{module}").main(arguments))

    return command
