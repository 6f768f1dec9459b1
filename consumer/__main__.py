"""The command `python -m consumer`: scores events; with a subcommand, looks after a consumer."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from consumer import status, supervisor, worker
from consumer.check import command as check
from consumer.dead_letters import command as dead_letters
from consumer.settings import ConsumerSettings
from shared import logs
from shared.command import Command, run
from shared.settings import load

#: What `python -m consumer NAME` does; without a name it scores events.
COMMANDS: Final[Mapping[str, Command]] = {
    "check": check.main,
    "status": status.main,
    "dead-letters": dead_letters.main,
    # What a supervisor starts: nobody else can, and no help names it.
    "worker": worker.run_supervised,
}


def main(arguments: Sequence[str]) -> int:
    """Runs a subcommand, or the consumer itself."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    return _score(arguments)


def _score(arguments: Sequence[str]) -> int:
    """Scores events in this process, or in several under a supervisor."""
    settings = load(ConsumerSettings, arguments, "python -m consumer")
    logs.set_up(settings.log_format, settings.log_level)
    if settings.workers > 1:
        return supervisor.run_workers(settings, arguments)
    return worker.run_alone(settings)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
