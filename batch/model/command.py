"""The subcommands of `python -m batch model`, each loaded when it is called."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.command import Lazy, choose

PROGRAM: Final = "python -m batch model"
#: By name, what each is and does.
COMMANDS: Final[Mapping[str, tuple[Lazy, str]]] = {
    "import": (
        Lazy("batch.model.importing.command", settings="ImportSettings"),
        "make a model directory of a trained model",
    ),
    "certify": (
        Lazy("batch.model.certify", settings="CertifySettings"),
        "prove that a model scores alike at every batch size and by every route",
    ),
    "show": (Lazy("batch.model.show", settings="ShowSettings"), "say what a model takes, gives and is"),
    "validate": (
        Lazy("batch.model.validate", settings="ValidateSettings"),
        "load a model as scoring would, and say what to change",
    ),
    "list": (Lazy("batch.model.listing", settings="ListSettings"), "list the models of a folder"),
}


def main(arguments: Sequence[str]) -> int:
    """Runs the subcommand that the first argument names."""
    command, rest = choose(PROGRAM, COMMANDS, arguments)
    return command(rest)
