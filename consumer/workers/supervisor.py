"""Several workers under one roof: started, looked after, restarted one by one, and ended together.

A worker is a process of its own that runs consumer/worker.py with the same arguments as this one. It has its
own name in the group, so that it is given its partitions back after a restart. What happens to it:

    starting -> ready -> ended                      its work is done (--until-idle)
                      -> backing off -> starting    it failed, or somebody stopped it
                      -> all end                    it failed for a reason that a restart does not mend,
                                                    or too often in a row
"""

import logging
import random
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from consumer.faces import facing
from consumer.settings import ConsumerSettings
from consumer.startup import prepare_topics
from consumer.workers.channel import Role
from consumer.workers.gathered import Gathered
from consumer.workers.instance import claim
from consumer.workers.policy import FATAL, STOPPED, Policy, WorkerFailedError, described, exit_code_of
from consumer.workers.process import WorkerProcess
from shared.deadline import Deadline
from shared.errors import ExitCode
from shared.stop import Stop

logger = logging.getLogger("consumer")

# Seconds between two looks at the workers when none of them says anything.
_TICK: Final = 0.1


class _State(Enum):
    STARTING = auto()
    READY = auto()
    BACKING_OFF = auto()
    ENDED = auto()


@dataclass(slots=True)
class _Worker:
    """One worker, with a process or between two of them."""

    role: Role
    process: WorkerProcess | None = None
    state: _State = _State.STARTING
    failures: int = 0
    start_at: float = 0.0
    ready_since: float | None = None
    # In a rolling restart: the process that takes over, and when this one must have made room for it.
    successor: WorkerProcess | None = None
    replaced_by: Deadline | None = None


class Supervisor:
    """Runs workers until all have done their work, one fails for good, or it is told to stop.

    Args:
        command: What runs one worker.
        roles: Which workers there are.
        policy: How they are looked after.
        stop: Tells when to end.
        gathered: Is told what the workers say of themselves, and when they end.
        errors: A file to be the workers' standard error; None: they have this process's.
    """

    def __init__(
        self,
        command: Sequence[str],
        roles: Sequence[Role],
        policy: Policy,
        stop: Stop,
        gathered: Gathered,
        errors: int | None = None,
    ) -> None:
        self._command = command
        self._errors = errors
        self._workers = [_Worker(role) for role in roles]
        self._policy = policy
        self._stop = stop
        self._selector = selectors.DefaultSelector()
        self._to_restart: deque[_Worker] = deque()
        self._restarting: _Worker | None = None
        self._gathered = gathered

    def run(self) -> int:
        """Runs to the end; returns the exit code.

        Raises:
            WorkerFailedError: A worker failed for good. The others were stopped.
        """
        with self._selector:
            try:
                while not self._stop.requested and any(w.state is not _State.ENDED for w in self._workers):
                    for worker in self._workers:
                        self._look_after(worker)
                    self._go_on_restarting()
                    self._listen()
                return self._drain()
            except WorkerFailedError:
                self._drain()
                raise
            finally:
                for worker in self._workers:
                    self._drop_successor(worker)
                    self._let_go(worker)

    def restart_all(self) -> None:
        """Restarts each worker, one after the other; safe to call in a signal handler."""
        self._to_restart.extend(worker for worker in self._workers if worker not in self._to_restart)

    def _listen(self) -> None:
        for key, _ in self._selector.select(_TICK):
            process: WorkerProcess = key.data
            if not process.listen():
                self._selector.unregister(process)
            standing_by = any(worker.successor is process for worker in self._workers)
            if process.snapshot is not None and not standing_by:
                self._gathered.put(process.snapshot)

    # --- one worker -------------------------------------------------------------------------------

    def _look_after(self, worker: _Worker) -> None:
        if worker.process is None:
            if worker.state is not _State.ENDED and time.monotonic() >= worker.start_at:
                self._start(worker)
            return
        code = worker.process.exit_code()
        if code is not None:
            self._ended(worker, worker.process, code)
        elif worker.process.silent > self._policy.stall_timeout:
            silent = worker.process.silent
            worker.process.kill()
            self._failed(worker, ExitCode.FENCED_OR_STALLED, f"it was not heard of for {silent:.0f} s")
        else:
            self._note_readiness(worker, worker.process)

    def _start(self, worker: _Worker) -> None:
        process, worker.successor = worker.successor or self._process_for(worker), None
        worker.process, worker.state, worker.ready_since = process, _State.STARTING, None
        process.begin()
        logger.info("Worker started", extra=_names(worker))

    def _process_for(self, worker: _Worker) -> WorkerProcess:
        process = WorkerProcess(self._command, worker.role, self._errors)
        self._selector.register(process, selectors.EVENT_READ, process)
        return process

    def _note_readiness(self, worker: _Worker, process: WorkerProcess) -> None:
        now = time.monotonic()
        if not process.ready:
            worker.state, worker.ready_since = _State.STARTING, None
        elif worker.ready_since is None:
            worker.state, worker.ready_since = _State.READY, now
            logger.info("Worker ready", extra=_names(worker))
        elif now - worker.ready_since >= self._policy.good_work:
            worker.failures = 0

    def _ended(self, worker: _Worker, process: WorkerProcess, code: int) -> None:
        process.listen()
        words = process.last_words
        if code == ExitCode.DONE and words is not None and words.finished:
            self._say_ended(worker, code)
            self._let_go(worker)
            worker.state = _State.ENDED
        elif code in STOPPED or (worker.replaced_by is not None and code not in FATAL):
            pause = 0.0 if worker.replaced_by is not None else self._policy.first_pause
            self._say_ended(worker, code, pause)
            self._start_again(worker, pause)
        else:
            error = words.error if words is not None else None
            self._failed(worker, code, error or described(code))

    def _failed(self, worker: _Worker, code: int, error: str) -> None:
        """Plans a restart, if one may mend it."""
        worker.failures += 1
        if failure := self._policy.last_straw(worker.role.worker, code, worker.failures, error):
            self._say_ended(worker, code, error=error)
            self._let_go(worker)
            raise failure
        pause = self._policy.pause(worker.failures, random.random())  # noqa: S311 - no secret
        self._say_ended(worker, code, pause, error)
        self._start_again(worker, pause)

    def _say_ended(
        self, worker: _Worker, code: int, pause: float | None = None, error: str | None = None
    ) -> None:
        level = logging.INFO if error is None else logging.WARNING
        told = {"exit_code": code, "pause": None if pause is None else round(pause, 2), "error": error}
        logger.log(level, "Worker ended", extra=_names(worker) | told)
        self._gathered.ended(worker.role.worker, f"its process ended with exit code {code}")

    def _start_again(self, worker: _Worker, pause: float) -> None:
        self._let_go(worker)
        worker.state, worker.start_at = _State.BACKING_OFF, time.monotonic() + pause
        worker.replaced_by = None
        if not pause:
            self._start(worker)

    def _let_go(self, worker: _Worker) -> None:
        if worker.process is not None:
            self._close(worker.process)
            worker.process = None

    def _drop_successor(self, worker: _Worker) -> None:
        if worker.successor is not None:
            self._close(worker.successor)
            worker.successor = None

    def _close(self, process: WorkerProcess) -> None:
        with suppress(KeyError):  # it has closed its side of the line before
            self._selector.unregister(process)
        process.close()

    # --- all workers ------------------------------------------------------------------------------

    def _go_on_restarting(self) -> None:
        """A rolling restart: one worker at a time, the next when the former is ready again.

        Its successor loads the model beside it, and only then does the worker make room.
        """
        worker = self._restarting
        if worker is None or (worker.successor is None and worker.state in (_State.READY, _State.ENDED)):
            self._restarting = self._next_to_restart()
        elif worker.successor is not None and worker.process is not None:
            self._hand_over(worker, worker.process, worker.successor)

    def _next_to_restart(self) -> _Worker | None:
        while self._to_restart:
            worker = self._to_restart.popleft()
            # One that is between two processes is about to be started anyway.
            if worker.process is not None:
                worker.successor = self._process_for(worker)
                logger.info("Restarting worker", extra=_names(worker))
                return worker
        return None

    def _hand_over(self, worker: _Worker, process: WorkerProcess, successor: WorkerProcess) -> None:
        code = successor.exit_code()
        if code is not None or successor.silent > self._policy.stall_timeout:
            successor.listen()
            words = successor.last_words
            told = {
                "error": words.error if words else described(code) if code is not None else "it is silent"
            }
            logger.error("The restart is given up: a successor cannot start", extra=_names(worker) | told)
            self._drop_successor(worker)
            self._restarting = None
            self._to_restart.clear()
        elif worker.replaced_by is None and successor.loaded:
            worker.replaced_by = Deadline.after(self._policy.shutdown_timeout)
            process.signal(signal.SIGTERM)
        elif worker.replaced_by is not None and worker.replaced_by.passed:
            process.kill()

    def _drain(self) -> int:
        """Lets all workers finish what they have in hand, within one deadline; returns the exit code."""
        for worker in self._workers:
            self._drop_successor(worker)
        running = [worker for worker in self._workers if worker.process is not None]
        number = signal.SIGINT if self._stop.interrupted else signal.SIGTERM
        for worker in running:
            # One that is being replaced was told already: a second time would cut it off.
            if worker.process is not None and worker.replaced_by is None:
                worker.process.signal(number)
        deadline = Deadline.after(self._policy.shutdown_timeout)
        answer = ExitCode.INTERRUPTED if self._stop.interrupted else ExitCode.DONE
        while running and not deadline.passed:
            self._listen()
            for worker in [w for w in running if w.process is not None and w.process.exit_code() is not None]:
                running.remove(worker)
                answer = self._last_of(worker, answer)
        for worker in running:
            error = f"it had not ended {self._policy.shutdown_timeout:g} s after it was told to"
            self._say_ended(worker, -signal.SIGKILL, error=error)
            self._let_go(worker)
            answer = ExitCode.FENCED_OR_STALLED
        return answer

    def _last_of(self, worker: _Worker, answer: ExitCode) -> ExitCode:
        """Lets a worker go that was told to end; what becomes of the exit code."""
        process = worker.process
        code = process.exit_code() if process else None
        if process is None or code is None:
            return answer
        process.listen()
        started = process.snapshot is not None
        error = process.last_words.error if process.last_words else None
        clean = code in STOPPED or not started
        self._say_ended(worker, code, error=None if clean else error or described(code))
        self._let_go(worker)
        worker.state = _State.ENDED
        if clean:
            return answer
        return exit_code_of(code)


def _names(worker: _Worker) -> dict[str, object]:
    process = worker.process
    return {
        "worker": worker.role.worker,
        "pid": process.pid if process else None,
        "instance": worker.role.instance,
    }


def run_workers(settings: ConsumerSettings, arguments: Sequence[str]) -> int:
    """Runs --workers processes until they are done or told to stop; returns the exit code.

    Args:
        settings: What this process was told.
        arguments: The same as its command line had it, which the workers are given.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: The topics do not fit; with what to change.
        WorkerFailedError: A worker failed for good.
    """
    stop = Stop()
    stop.on_signals()
    # Asked for before there are workers, a restart is nothing; it must not end this process.
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    # Here once, for all of them.
    partitions = prepare_topics(settings).partitions
    policy = Policy(settings.max_restarts, settings.stall_timeout, settings.shutdown_timeout)
    command = [sys.executable, "-m", "consumer", "worker", *arguments]
    with ExitStack() as stack:
        instance = settings.instance or stack.enter_context(claim(settings.group, settings.host))
        gathered = Gathered(range(settings.workers))
        errors = stack.enter_context(facing(settings, gathered))
        if errors is not None:
            # It is no terminal, but what is written to it comes to one.
            command += ["--log-format", "human"]
        roles = [
            Role(number, f"{instance}-{number}", partitions, quiet=errors is not None)
            for number in range(settings.workers)
        ]
        supervisor = Supervisor(command, roles, policy, stop, gathered, errors)
        signal.signal(signal.SIGHUP, lambda _number, _frame: supervisor.restart_all())
        stop.begin()
        return supervisor.run()
