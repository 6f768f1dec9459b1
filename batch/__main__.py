"""`python -m batch`: everything over stored data, and it ends."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from shared import lean
from shared.command import PRINT_COMPLETION, Lazy, by_script, choose, print_completion, run

#: By name, what each command is and does. Loaded when it is called: scoring files need not wait for the Kafka
#: client.
COMMANDS: Final[Mapping[str, tuple[Lazy, str]]] = {
    "score": (
        Lazy("batch.score", settings="ScoreSettings"),
        "score the rows of files, or of a snapshot of a topic",
    ),
    "retry": (
        Lazy("batch.retry", settings="RetrySettings"),
        "score rejected rows that were fixed, and fold them in",
    ),
    "deliver": (
        Lazy("batch.deliver", settings="DeliverSettings"),
        "bring the results of `score` to a table",
    ),
    "export": (
        Lazy("batch.export", settings="ExportSettings"),
        "write a snapshot of a topic to files",
    ),
    "compare": (
        Lazy("batch.compare", settings="CompareSettings"),
        "compare the predictions of the stream with those of a batch",
    ),
    "replay": (
        Lazy("batch.replaying.command", settings="ReplaySettings"),
        "score history with another model: what would flip",
    ),
    "advise": (
        Lazy("batch.advice.command", settings="AdviseSettings"),
        "say from recorded events: batch or real time",
    ),
    "prove": (
        Lazy("batch.proof.command", settings="ProveSettings"),
        "prove that stream and batch agree, and nothing was lost",
    ),
    "drift": (
        Lazy("batch.drift", settings="DriftSettings"),
        "compare how inputs and scores are spread, to those before",
    ),
    "model": (
        Lazy("batch.model.command"),
        "import, certify, show, validate and list models",
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Runs the subcommand that the first argument names; returns its exit code."""
    return run(_chosen, arguments)


def _chosen(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] == PRINT_COMPLETION:
        return print_completion(
            "batch", {name: command for name, (command, _) in COMMANDS.items()}, arguments
        )
    command, rest = choose("python -m batch", COMMANDS, arguments)
    return command(rest)


def script() -> int:
    """Runs what the command line of this process says; returns the exit code."""
    return main(sys.argv[1:])


# The process of a command, and those that it starts for its work.
if __name__ in {"__main__", "__mp_main__"} or by_script():
    lean.start()

if __name__ == "__main__":
    sys.exit(script())
