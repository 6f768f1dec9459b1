"""`python -m batch`: everything over stored data, and it ends."""

import importlib
import sys
from collections.abc import Sequence

from shared.command import Command, choose, run


def main(arguments: Sequence[str]) -> int:
    """Runs the subcommand that the first argument names."""
    commands = {
        "score": (_command("score"), "score the rows of files, or of a snapshot of a topic"),
        "export": (_command("export"), "write a snapshot of a topic to files"),
        "compare": (_command("compare"), "compare the predictions of the stream with those of a batch"),
        "model": (_command("model.command"), "import, certify, show, validate and list models"),
    }
    command, rest = choose("python -m batch", commands, arguments)
    return run(command, rest)


def _command(module: str) -> Command:
    """A command that is loaded when it is called: scoring files need not wait for the Kafka client."""

    def command(arguments: Sequence[str]) -> int:
        return int(importlib.import_module(f"batch.{module}").main(arguments))

    return command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
