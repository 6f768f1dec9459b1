"""Everything that stops a run: one base class, one exit code a class, and a sentence that says what to do.

A bad event or row never raises: it becomes a rejection (see shared/predictions.py).
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a command's exit status means; docs/operations.md has a line for each."""

    DONE = 0
    ANSWER_IS_NO = 1
    USAGE = 2
    UNREADABLE = 3
    BROKER_UNREACHABLE = 4
    FENCED_OR_STALLED = 5
    FAULT = 70
    INTERRUPTED = 130


class TandemError(Exception):
    """Base of all errors that end a command with a sentence instead of a traceback.

    Args:
        message: What is wrong, naming the file, field, row or offset.
        hint: The next step for the person who reads it, as a sentence.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.ANSWER_IS_NO

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class AnswerIsNo(TandemError):  # noqa: N818 - an answer, not a fault
    """The run worked and its answer is no: a difference, or too many rejections."""


class ConfigurationError(TandemError):
    """The command line, the environment or a setting is wrong or contradicts another."""

    exit_code = ExitCode.USAGE


class InputError(TandemError):
    """An input file or an output folder cannot be used."""

    exit_code = ExitCode.UNREADABLE


class ModelError(TandemError):
    """A model directory cannot be loaded: missing, damaged, or not scoring as it promises."""

    exit_code = ExitCode.UNREADABLE


class BrokerUnreachableError(TandemError):
    """No broker answered within the deadline."""

    exit_code = ExitCode.BROKER_UNREACHABLE


class FencedError(TandemError):
    """Another instance with the same transactional id has taken over, or the transaction took too long."""

    exit_code = ExitCode.FENCED_OR_STALLED


class StalledError(TandemError):
    """A step passed its deadline: a commit, an abort or a poll that does not end."""

    exit_code = ExitCode.FENCED_OR_STALLED
