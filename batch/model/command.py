"""The subcommands of `python -m batch model`, each loaded when it is called."""

from collections.abc import Sequence
from typing import Final

from shared.command import choose, lazily

PROGRAM: Final = "python -m batch model"


def main(arguments: Sequence[str]) -> int:
    """Runs the subcommand that the first argument names."""
    commands = {
        "import": (lazily("batch.model.importing.command"), "make a model directory of a trained model"),
        "certify": (
            lazily("batch.model.certify"),
            "prove that a model scores alike at every batch size and by every route",
        ),
        "show": (lazily("batch.model.show"), "say what a model takes, gives and is"),
        "validate": (lazily("batch.model.validate"), "load a model as scoring would, and say what to change"),
        "list": (lazily("batch.model.listing"), "list the models of a folder"),
    }
    command, rest = choose(PROGRAM, commands, arguments)
    return command(rest)
