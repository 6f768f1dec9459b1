"""`python -m batch`: everything over stored data, and it ends."""

import sys
from collections.abc import Sequence

from shared import lean
from shared.command import choose, lazily, run


def main(arguments: Sequence[str]) -> int:
    """Runs the subcommand that the first argument names."""
    # Loaded when it is called: scoring files need not wait for the Kafka client.
    commands = {
        "score": (lazily("batch.score"), "score the rows of files, or of a snapshot of a topic"),
        "retry": (lazily("batch.retry"), "score rejected rows that were fixed, and fold them in"),
        "deliver": (lazily("batch.deliver"), "bring the results of `score` to a table"),
        "export": (lazily("batch.export"), "write a snapshot of a topic to files"),
        "compare": (lazily("batch.compare"), "compare the predictions of the stream with those of a batch"),
        "replay": (lazily("batch.replaying.command"), "score history with another model: what would flip"),
        "advise": (lazily("batch.advice.command"), "say from recorded events: batch or real time"),
        "prove": (lazily("batch.proof.command"), "prove that stream and batch agree, and nothing was lost"),
        "drift": (lazily("batch.drift"), "compare how inputs and scores are spread, to those before"),
        "model": (lazily("batch.model.command"), "import, certify, show, validate and list models"),
    }
    command, rest = choose("python -m batch", commands, arguments)
    return run(command, rest)


# The process of a command, and those that it starts for its work.
if __name__ in {"__main__", "__mp_main__"}:
    lean.start()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
