"""The command `python -m consumer`: scores events; with a subcommand, looks after a consumer."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from consumer import worker
from consumer.settings import ConsumerSettings
from consumer.workers import supervisor
from shared import logs
from shared.command import Command, run
from shared.settings import load


def _main_of(module: str) -> Command:
    """A module's `main`, imported when it is called: a worker that is started again needs none of them."""

    def main(arguments: Sequence[str]) -> int:
        command: Command = importlib.import_module(module).main
        return command(arguments)

    return main


#: What `python -m consumer NAME` does; without a name it scores events.
COMMANDS: Final[Mapping[str, Command]] = {
    "check": _main_of("consumer.check.command"),
    "status": _main_of("consumer.status"),
    "dead-letters": _main_of("consumer.dead_letters.command"),
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
