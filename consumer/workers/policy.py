"""What the end of a worker means, and when it is started again. Pure."""

import signal
from dataclasses import dataclass
from typing import Final

from shared.errors import ExitCode, TandemError

# What a restart does not mend: the answer is no, the command is wrong, the model cannot be read.
FATAL: Final = frozenset({ExitCode.ANSWER_IS_NO, ExitCode.USAGE, ExitCode.UNREADABLE})
# Somebody stopped it on purpose: by SIGTERM or Ctrl-C, before or after it listened to them.
STOPPED: Final = frozenset({ExitCode.DONE, ExitCode.INTERRUPTED, -signal.SIGTERM, -signal.SIGINT})


class WorkerFailedError(TandemError):
    """A worker failed for good, and with it the run.

    Args:
        message: Which worker, and what stopped it.
        code: Its exit code, which becomes that of the run.
        hint: What to do.
    """

    def __init__(self, message: str, code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code_of(code)  # type: ignore[misc]  # each worker has its own


@dataclass(frozen=True, slots=True)
class Policy:
    """How workers are looked after; times in seconds.

    Attributes:
        max_restarts: So many failures of one worker in a row are borne.
        stall_timeout: A worker that was not heard of for so long is killed.
        shutdown_timeout: All workers together have so long to end; each has in a rolling restart.
        first_pause: Before the restart after a first failure; doubled with each further one.
        longest_pause: What the doubling ends at.
        good_work: A worker that was ready for so long has no failures behind it.
    """

    max_restarts: int
    stall_timeout: float
    shutdown_timeout: float
    first_pause: float = 0.5
    longest_pause: float = 30.0
    good_work: float = 60.0

    def pause(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row.

        Args:
            failures: From 1 on.
            chance: From 0 to 1; spreads the restarts of workers that failed together.
        """
        doubled = self.first_pause * 2.0 ** min(failures - 1, 30)
        return min(self.longest_pause, doubled) * (0.75 + 0.25 * chance)

    def last_straw(self, worker: int, code: int, failures: int, error: str) -> WorkerFailedError | None:
        """What ends the whole run when a worker has failed; None when it is to be started again.

        Args:
            worker: Its number.
            code: Its exit code.
            failures: How often it has failed in a row.
            error: What stopped it.
        """
        if code in FATAL:
            return WorkerFailedError(f"worker {worker}: {error}", code)
        if failures <= self.max_restarts:
            return None
        return WorkerFailedError(
            f"worker {worker} failed {failures} times in a row, at last so: {error}",
            code,
            hint="The lines `Worker ended` of the log tell of each time; --max-restarts says how often.",
        )


def exit_code_of(code: int) -> ExitCode:
    """A process's exit code as one of ours; FAULT for one that was killed."""
    return ExitCode(code) if code in set(ExitCode) else ExitCode.FAULT


def described(code: int) -> str:
    """What there is to say of a process that did not say itself why it ended."""
    if code < 0:
        return f"it was killed by signal {-code} ({signal.strsignal(-code)})"
    return f"it ended with exit code {code}; the log says why"
