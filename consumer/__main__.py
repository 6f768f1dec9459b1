"""The command `python -m consumer`: scores events; with a subcommand, looks after a consumer."""

import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from shared import lean
from shared.command import Command, lazily, run, unknown
from shared.errors import ConfigurationError

_FOR_SUPERVISORS: Final = "worker"
#: What `python -m consumer NAME` does; without a name it scores events.
COMMANDS: Final[Mapping[str, Command]] = {
    "check": lazily("consumer.check.command"),
    "status": lazily("consumer.status"),
    "dead-letters": lazily("consumer.dead_letters.command"),
    # What a supervisor starts: nobody else can, and no help names it.
    _FOR_SUPERVISORS: lazily("consumer.worker", "run_supervised"),
}


def main(arguments: Sequence[str]) -> int:
    """Runs a subcommand, or the consumer itself.

    Raises:
        ConfigurationError: There is no such subcommand.
    """
    word = arguments[0] if arguments else ""
    if word in COMMANDS:
        return COMMANDS[word](arguments[1:])
    # What holds a "=" may hold a password, too: the reading of options leaves such out of what it says.
    if word and not word.startswith("-") and "=" not in word:
        *names, last = [name for name in COMMANDS if name != _FOR_SUPERVISORS]
        raise ConfigurationError(
            unknown(word, [*names, last]),
            hint=f"The commands are {', '.join(names)} and {last}; without one, it scores events."
            " See python -m consumer --help.",
        )
    # Before all that takes its time to import: a rolling restart that is asked for before there are workers
    # is none, and would else end the supervisor. Not SIG_IGN, which the workers would inherit.
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    return lazily("consumer.command")(arguments)


if __name__ == "__main__":
    lean.start()
    sys.exit(run(main, sys.argv[1:]))
