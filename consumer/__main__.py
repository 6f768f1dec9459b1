"""The command `python -m consumer`: scores events; with a subcommand, looks after a consumer."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from consumer import worker
from shared.command import Command, run

#: What `python -m consumer NAME` does; without a name it scores events.
COMMANDS: Final[Mapping[str, Command]] = {}


def main(arguments: Sequence[str]) -> int:
    """Runs a subcommand, or the consumer itself."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    return worker.main(arguments)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
