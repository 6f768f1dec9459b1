"""`python -m batch`: everything over stored data, and it ends."""

import sys
from collections.abc import Sequence

from batch.compare import main as compare
from batch.export import main as export
from batch.score import main as score
from shared.command import choose, run


def main(arguments: Sequence[str]) -> int:
    """Runs the subcommand that the first argument names."""
    commands = {
        "score": (score, "score the rows of files, or of a snapshot of a topic"),
        "export": (export, "write a snapshot of a topic to files"),
        "compare": (compare, "compare the predictions of the stream with those of a batch"),
    }
    command, rest = choose("python -m batch", commands, arguments)
    return run(command, rest)


def _command(module: str) -> Command:
    """A module's command; scoring files need not wait until the Kafka client of the others is loaded."""

    def command(arguments: Sequence[str]) -> int:
        return int(importlib.import_module(module).main(arguments))

    return command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
