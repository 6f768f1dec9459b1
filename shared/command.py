"""How every command starts and ends: one place that turns errors into a sentence and an exit code."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from shared.errors import ExitCode, TandemError

Command = Callable[[Sequence[str]], int]


def run(command: Command, arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code; a user's own mistake gives a sentence, no traceback.

    Args:
        command: Takes the arguments and returns an exit code.
        arguments: What follows the program's name.
    """
    status = _status_of(command, arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; leave quietly, as other tools do. Python flushes
        # once more at its end and must find somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _status_of(command: Command, arguments: Sequence[str]) -> int:
    try:
        return command(arguments)
    except TandemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.DONE


def choose(
    program: str, commands: Mapping[str, tuple[Command, str]], arguments: Sequence[str]
) -> tuple[Command, Sequence[str]]:
    """Picks a subcommand by the first argument.

    Args:
        program: How the user calls it: `python -m batch`.
        commands: By name, the command and its one-line summary.
        arguments: What follows the program's name.

    Returns:
        The command and the arguments that remain for it.
    """
    width = max(map(len, commands))
    listing = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in commands.items())
    usage = f"usage: {program} COMMAND ...\n\n{listing}\n\n{program} COMMAND --help shows its options."
    if arguments and arguments[0] in commands:
        return commands[arguments[0]][0], arguments[1:]
    if arguments and arguments[0] in ("-h", "--help"):
        print(usage)
        sys.exit(ExitCode.DONE)
    if arguments:
        print(f"error: there is no command {arguments[0]!r}\n", file=sys.stderr)
    print(usage, file=sys.stderr)
    sys.exit(ExitCode.USAGE)
