"""How every command starts and ends: one place that turns errors into a sentence and an exit code."""

import difflib
import importlib
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from shared.errors import ExitCode, TandemError

logger = logging.getLogger(__name__)

Command = Callable[[Sequence[str]], int]
C = TypeVar("C", bound=Command)

#: What prints a shell's completion: the first argument of a program, followed by the shell's name.
PRINT_COMPLETION: Final = "--print-completion"
# The programs, of which an installed script is called tandem-NAME.
_PROGRAM: Final = re.compile(r"python -m (batch|consumer|producer)\b")
_SCRIPT: Final = re.compile(r"tandem-(batch|consumer|producer)")


def by_script() -> bool:
    """Whether this process, or the one that started it for its work, was called as tandem-NAME."""
    return _SCRIPT.fullmatch(os.path.basename(sys.argv[0])) is not None  # noqa: PTH119 - a name, on every start


def as_called(text: str) -> str:
    """A text for people in which the programs are named as they call them: `tandem-batch`, if they do."""
    return _PROGRAM.sub(r"tandem-\1", text) if by_script() else text


def run(command: Command, arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code; a user's own mistake gives a sentence, no traceback.

    What nobody foresaw is logged with its traceback and has an exit code of its own.

    Args:
        command: Takes the arguments and returns an exit code.
        arguments: What follows the program's name.
    """
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _lenient(sys.stdout)
    status = _status_of(command, arguments)
    sys.stdout.flush()
    return status


class _Lenient(io.FileIO):
    """Standard output whose reader (head, less) may go: the command still works to its end and answers."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return super().write(data)


def _lenient(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    raw = _Lenient(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _status_of(command: Command, arguments: Sequence[str]) -> int:
    try:
        return command(arguments)
    except TandemError as error:
        print(as_called(f"error: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except Exception:
        logger.exception("A fault of Tandem itself: please report it with what follows")
        return ExitCode.FAULT


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is imported when it is called: no other's imports are waited for.

    Attributes:
        module: The full name of its module; that of a group of commands has them as COMMANDS.
        function: The function that runs it.
        settings: The name of its settings in the module; None for a group.
    """

    module: str
    function: str = "main"
    settings: str | None = None

    def __call__(self, arguments: Sequence[str]) -> int:
        """Runs it; returns its exit code."""
        function: Command = getattr(importlib.import_module(self.module), self.function)
        return function(arguments)


def print_completion(
    program: str, commands: Mapping[str, Lazy], arguments: Sequence[str], itself: Lazy | None = None
) -> int:
    """Prints what makes a shell complete a program's command line; returns the exit code.

    Args:
        program: Its name: `batch`.
        commands: Its commands.
        arguments: --print-completion and the shell.
        itself: What it does without a command; None if that is nothing.

    Raises:
        ConfigurationError: There is no completion for such a shell.
    """
    from shared.completion import completion  # noqa: PLC0415 - it loads every command

    print(completion(f"tandem-{program}", commands, itself, arguments[1] if arguments[1:] else ""))
    return ExitCode.DONE


def unknown(word: str, names: Iterable[str]) -> str:
    """The sentence for a command that there is not, with the name that was probably meant.

    Args:
        word: What was typed.
        names: The commands that there are.
    """
    near = difflib.get_close_matches(word.lower(), names, 1)
    return f"there is no command {word!r}" + (f"; did you mean {near[0]}?" if near else "")


def choose(
    program: str, commands: Mapping[str, tuple[C, str]], arguments: Sequence[str]
) -> tuple[C, Sequence[str]]:
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
    program = as_called(program)
    usage = f"usage: {program} COMMAND ...\n\n{listing}\n\n{program} COMMAND --help shows its options."
    if arguments and arguments[0] in commands:
        return commands[arguments[0]][0], arguments[1:]
    if arguments and arguments[0] in ("-h", "--help"):
        print(usage)
        sys.exit(ExitCode.DONE)
    if arguments:
        print(f"error: {unknown(arguments[0], commands)}\n", file=sys.stderr)
    print(usage, file=sys.stderr)
    sys.exit(ExitCode.USAGE)
