"""The command `python -m consumer`: scores events; with a subcommand, looks after a consumer."""

import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from shared import lean
from shared.command import PRINT_COMPLETION, Lazy, print_completion, run, unknown
from shared.errors import ConfigurationError

_FOR_SUPERVISORS: Final = "worker"
#: What `python -m consumer NAME` does; without a name it scores events.
COMMANDS: Final[Mapping[str, Lazy]] = {
    "check": Lazy("consumer.check.command", settings="CheckSettings"),
    "status": Lazy("consumer.status", settings="StatusSettings"),
    "dead-letters": Lazy("consumer.dead_letters.command"),
    # What a supervisor starts: nobody else can, and no help names it.
    _FOR_SUPERVISORS: Lazy("consumer.worker", "run_supervised"),
}
_SCORING: Final = Lazy("consumer.command", settings="ConsumerSettings")


def main(arguments: Sequence[str]) -> int:
    """Runs a subcommand, or the consumer itself.

    Raises:
        ConfigurationError: There is no such subcommand.
    """
    word = arguments[0] if arguments else ""
    if word in COMMANDS:
        return COMMANDS[word](arguments[1:])
    if word == PRINT_COMPLETION:
        named = {name: command for name, command in COMMANDS.items() if name != _FOR_SUPERVISORS}
        return print_completion("consumer", named, arguments, _SCORING)
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
    return _SCORING(arguments)


def script() -> int:
    """Runs what the command line of this process says; returns the exit code."""
    lean.start()
    return run(main, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(script())
