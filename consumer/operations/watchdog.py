"""Ends a worker that looks alive and does not get on: a step that takes too long, a partition that stands.

The judgement is pure: views and times go in, a verdict comes out. It adds up only time in which it was
looking itself, so that a process that was stopped for a while, or a machine that slept, is not blamed.
"""

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from consumer.operations.lag import LagProbe
from consumer.operations.telemetry import Telemetry
from consumer.operations.view import View
from consumer.settings import ConsumerSettings
from shared.errors import ExitCode, StalledError
from shared.stop import Stop

logger = logging.getLogger(__name__)

_PERIOD: Final = 0.5
# The most that one look adds: what is beyond was not watched.
_LONGEST_LOOK: Final = 2.0
# Seconds from the verdict until the process ends by force.
_GRACE: Final = 10.0
# Seconds beside --broker-timeout for what raises StalledError by itself to do so.
_MARGIN: Final = 5.0
# A partition waits its turn behind others that are read without a pause; so many times --stall-timeout.
_TURNS: Final = 10
_STDERR: Final = 2
_HINT: Final = (
    "It goes on from what is committed after a restart. The log line before this one shows where it stood."
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    Attributes:
        stall: A poll, the scoring of a batch, a partition with events.
        commit: A commit, an abort, a rewind.
    """

    stall: float
    commit: float

    @classmethod
    def of(cls, settings: ConsumerSettings) -> "Patience":
        """What the settings grant."""
        # These have a deadline of their own; the watchdog is for the case that it is not kept.
        commit = settings.commit_timeout + settings.broker_timeout + _MARGIN
        return cls(settings.stall_timeout, commit)

    def with_step(self, name: str) -> float:
        """How long a step may take."""
        return self.commit if name in ("commit", "abort", "rewind") else self.stall


@dataclass(frozen=True, slots=True)
class Verdict:
    """What does not get on.

    Attributes:
        message: Names the step or the partition.
        thread: Whose stack shows where it hangs.
        details: For the log: position and end, partitions, seconds.
    """

    message: str
    thread: int | None
    details: dict[str, object]


@dataclass(slots=True)
class _Wait:
    """How long a partition has stood at one position.

    Attributes:
        position: Where.
        seconds: For how long.
        hungry: For how long of that polls came back empty, though events were there.
    """

    position: int | None
    seconds: float = 0.0
    hungry: float = 0.0


@dataclass(slots=True)
class Judge:
    """Adds up for how long each thing has not got on.

    Args:
        patience: How long things may take.
    """

    patience: Patience
    _at: float | None = None
    _begun: int = 0
    _empty_polls: int = 0
    _assignments: int = 0
    _between: float = 0.0
    _steps: dict[int, float] = field(default_factory=dict)
    _waits: dict[int, _Wait] = field(default_factory=dict)
    _all_stand: float = 0.0

    def look(self, now: float, view: View) -> Verdict | None:
        """Takes in one view.

        Args:
            now: The time on the monotonic clock.
            view: How things are.

        Returns:
            A verdict once something has not got on for too long.
        """
        passed = 0.0 if self._at is None else min(now - self._at, _LONGEST_LOOK)
        self._at = now
        verdict = self._slow_step(passed, view) or self._no_step(passed, view) or self._stand(passed, view)
        self._begun, self._empty_polls, self._assignments = view.begun, view.empty_polls, view.assignments
        return verdict

    def _slow_step(self, passed: float, view: View) -> Verdict | None:
        spent = {}
        for number, step in view.steps.items():
            spent[number] = self._steps[number] + passed if number in self._steps else 0.0
            if step.name == "poll" and not view.broker_answers:
                # It waits for the broker, for as long as that takes.
                spent[number] = 0.0
            if spent[number] >= self.patience.with_step(step.name):
                return Verdict(
                    f"the step {step.name!r} has taken {spent[number]:.0f} s",
                    step.thread,
                    {"step": step.name, "offsets_by_partition": dict(step.places)},
                )
        self._steps = spent
        return None

    def _no_step(self, passed: float, view: View) -> Verdict | None:
        idle = view.begun and view.begun == self._begun and not view.steps
        # Between its steps the loop may ask the broker, too: where the topic ends, say.
        counts = idle and view.broker_answers and not view.stopping
        self._between = self._between + passed if counts else 0.0
        if self._between < self.patience.stall:
            return None
        return Verdict(f"the loop has not begun a step for {self._between:.0f} s", view.thread, {})

    def _stand(self, passed: float, view: View) -> Verdict | None:
        if view.stopping or not view.broker_answers or view.assignments != self._assignments:
            self._waits, self._all_stand = {}, 0.0
            return None
        moved = any(
            partition not in view.lagging or view.lagging[partition][0] != wait.position
            for partition, wait in self._waits.items()
        )
        self._all_stand = 0.0 if moved or not view.lagging else self._all_stand + passed
        hungry = view.empty_polls != self._empty_polls
        waits = {}
        for partition, (position, _) in view.lagging.items():
            wait = self._waits.get(partition)
            if wait is None or wait.position != position:
                waits[partition] = _Wait(position)
                continue
            wait.seconds += passed
            wait.hungry += passed if hungry else 0.0
            waits[partition] = wait
        self._waits = waits
        return next((self._stalled(p, view) for p, wait in waits.items() if self._too_long(wait)), None)

    def _too_long(self, wait: _Wait) -> bool:
        """Whether a partition is stuck, rather than waiting for its turn behind others in a backlog."""
        stall = self.patience.stall
        nothing_moves = wait.seconds >= stall and self._all_stand >= stall
        return nothing_moves or wait.hungry >= stall or wait.seconds >= _TURNS * stall

    def _stalled(self, partition: int, view: View) -> Verdict:
        position, end = view.lagging[partition]
        seconds = self._waits[partition].seconds
        where = "its committed offset" if position is None else f"offset {position}"
        return Verdict(
            f"partition {partition} has stood at {where} for {seconds:.0f} s, and ends at {end}",
            view.thread,
            {"partition": partition, "position": position, "end": end},
        )


def _end_process() -> None:
    # A thread may hang in a call that has no deadline, with the log's lock in its hand: no clean-up can be
    # waited for, and no lock asked for.
    with suppress(OSError):
        os.write(_STDERR, b"Ended by the watchdog before the work in hand was finished\n")
    os._exit(ExitCode.FENCED_OR_STALLED)


class Watchdog(threading.Thread):
    """Looks at a worker twice a second, and ends it when it does not get on.

    It asks first: the loop stops, and the worker ends with StalledError. If it does not within some seconds,
    the process is ended.

    Args:
        patience: How long things may take.
        telemetry: Where the worker tells how it gets on, and is told that it does not.
        stop: Asks the loop to end.
        end: Ends the process.
    """

    def __init__(
        self,
        patience: Patience,
        telemetry: Telemetry,
        stop: Stop,
        end: Callable[[], None] = _end_process,
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._judge = Judge(patience)
        self._telemetry = telemetry
        self._stop_request = stop
        self._end_by_force = end
        self._ended = threading.Event()
        #: What it found; None while all is well.
        self.verdict: Verdict | None = None

    def run(self) -> None:
        """Looks until it is told to end, or has found something."""
        while not self._ended.wait(_PERIOD):
            verdict = self._judge.look(time.monotonic(), self._telemetry.view())
            if verdict is not None:
                self._trip(verdict)
                return

    def end(self) -> None:
        """Ends the watch; not the end by force that a verdict has set in motion."""
        self._ended.set()
        self.join(_PERIOD)

    def _trip(self, verdict: Verdict) -> None:
        # First of all, as even the log may hang.
        force = threading.Timer(_GRACE, self._end_by_force)
        force.daemon = True
        force.start()
        self.verdict = verdict
        self._telemetry.trip(verdict.message)
        self._stop_request.request()
        stack = _stack_of(verdict.thread)
        logger.error("Stalled: %s", verdict.message, extra={**verdict.details, "stack": stack})


def _stack_of(thread: int | None) -> str:
    """Where a thread is now, as a traceback shows it."""
    frame = sys._current_frames().get(thread or 0)  # noqa: SLF001 - there is no other way to another thread's
    return "".join(traceback.format_stack(frame)) if frame else "the thread has ended"


@contextmanager
def watching(settings: ConsumerSettings, telemetry: Telemetry, stop: Stop) -> Iterator[None]:
    """Watches the loop for as long as the block runs.

    Args:
        settings: The topic, the brokers, and how long things may take.
        telemetry: What the loop tells.
        stop: Asks the loop to end.

    Raises:
        StalledError: The watchdog found that it does not get on.
    """
    probe = LagProbe(settings, settings.input_topic, telemetry)
    watchdog = Watchdog(Patience.of(settings), telemetry, stop)
    probe.start()
    watchdog.start()
    try:
        yield
    finally:
        watchdog.end()
        probe.end()
    if watchdog.verdict is not None:
        raise StalledError(f"The consumer does not get on: {watchdog.verdict.message}.", hint=_HINT)
