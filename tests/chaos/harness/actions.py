"""Does what a plan's steps say, and undoes what lasts."""

import heapq
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings, wait_for_broker
from tests.chaos.harness.connections import client_ports
from tests.chaos.harness.fleet import Deployment
from tests.chaos.harness.models import Models
from tests.chaos.harness.plan import Action, Step
from tests.chaos.harness.proxy import Proxy
from tests.support.broker import OwnBroker

logger = logging.getLogger(__name__)

# What was sent before the connections were cut is done by then.
_LAST_REQUESTS_SECONDS: Final = 0.5
_BACK_SECONDS: Final = 60.0

Undo = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Zombie:
    """A worker that was stopped for longer than its session.

    Attributes:
        guarantee: Of its deployment.
        worker: Its number there.
        woken: When it went on, in seconds since the epoch.
    """

    guarantee: str
    worker: int
    woken: float


@dataclass(slots=True)
class Scene:
    """What can be troubled.

    Attributes:
        broker: The broker.
        proxy: What all its clients go through.
        proxy_port: Where that listens.
        deployments: The consumers under test.
        models: The folder of the model.
        tell_sender: Gives the sender a command.
        zombies: Workers that have been stopped and went on.
    """

    broker: OwnBroker
    proxy: Proxy
    proxy_port: int
    deployments: Sequence[Deployment]
    models: Models
    tell_sender: Callable[[str], None]
    zombies: list[Zombie] = field(default_factory=list)
    _extra: int = 0

    def do(self, step: Step) -> Sequence[Undo]:
        """Does a step; returns what undoes it when its time is over."""
        return _WAYS[step.action](self, step) or ()

    def signal_worker(self, worker: int, what: int) -> None:
        """Sends a signal to one worker of each deployment."""
        for deployment in self.deployments:
            if deployment.signal_worker(worker, what) is None:
                logger.info("%s: worker %d does not run", deployment.names.guarantee, worker)

    def stop_worker(self, worker: int) -> Sequence[Undo]:
        """Stops one worker of each deployment, without its knowing."""
        stopped = [
            (deployment, process)
            for deployment in self.deployments
            if (process := deployment.signal_worker(worker, signal.SIGSTOP)) is not None
        ]
        return [partial(self._wake, deployment, worker, process) for deployment, process in stopped]

    def _wake(self, deployment: Deployment, worker: int, process: int) -> None:
        # It may have been killed while it stood still.
        if deployment.owns(process):
            self.zombies.append(Zombie(deployment.names.guarantee, worker, time.time()))
            os.kill(process, signal.SIGCONT)

    def join(self) -> Sequence[Undo]:
        """Starts one more member of each deployment."""
        self._extra += 1
        members = [deployment.join(self._extra) for deployment in self.deployments]
        # Told to leave, but not waited for: what follows in the plan is not to wait either.
        return [member.process.terminate for member in members]

    def cut_worker(self, number: int) -> None:
        """Cuts the connections of one worker of each deployment."""
        for deployment in self.deployments:
            process = deployment.worker(number)
            if process is not None:
                self.proxy.cut(client_ports(process, self.proxy_port))

    def kill_supervisors(self) -> Sequence[Undo]:
        """Kills them alone; their workers see that they are gone, or meet the next ones."""
        for deployment in self.deployments:
            deployment.kill_supervisor()
        return [deployment.revive for deployment in self.deployments]

    def restart_in_turn(self) -> None:
        """Has each supervisor restart its workers one after the other."""
        for deployment in self.deployments:
            deployment.restart_in_turn()

    def away(self, take: Callable[[], None], bring: Callable[[], None]) -> Sequence[Undo]:
        """Takes something away until its time is over."""
        take()
        return [bring]

    def restart_broker(self) -> Sequence[Undo]:
        """Stops the broker in good order, with nobody connected, until its time is over.

        While the only broker stops or starts, its partitions have no leader for a moment, in which Kafka
        4.3.1 completes transactions without writing their marks ("Couldn't find leader endpoint"): with
        replicas another broker leads, and here nothing may be under way.
        """
        self.proxy.refuse()
        time.sleep(_LAST_REQUESTS_SECONDS)
        self.broker.stop()
        return [self._bring_broker_back]

    def _bring_broker_back(self) -> None:
        self.broker.start()
        settings = KafkaSettings(bootstrap_servers=self.broker.address, broker_timeout=_BACK_SECONDS)
        wait_for_broker(settings, Deadline.after(_BACK_SECONDS))
        self.proxy.admit()


_WAYS: Final[Mapping[Action, Callable[[Scene, Step], Sequence[Undo] | None]]] = {
    Action.KILL_WORKER: lambda scene, step: scene.signal_worker(step.amount, signal.SIGKILL),
    Action.END_WORKER: lambda scene, step: scene.signal_worker(step.amount, signal.SIGTERM),
    Action.STOP_WORKER: lambda scene, step: scene.stop_worker(step.amount),
    Action.KILL_SUPERVISOR: lambda scene, _: scene.kill_supervisors(),
    Action.ROLLING_RESTART: lambda scene, _: scene.restart_in_turn(),
    Action.JOIN_MEMBER: lambda scene, _: scene.join(),
    Action.RESTART_BROKER: lambda scene, _: scene.restart_broker(),
    Action.KILL_BROKER: lambda scene, _: scene.away(scene.broker.kill, scene.broker.start),
    Action.FREEZE_BROKER: lambda scene, _: scene.away(scene.broker.freeze, scene.broker.thaw),
    Action.CUT_ALL: lambda scene, _: scene.proxy.cut_all(),
    Action.CUT_WORKER: lambda scene, step: scene.cut_worker(step.amount),
    Action.REFUSE: lambda scene, _: scene.away(scene.proxy.refuse, scene.proxy.admit),
    Action.HALF_OPEN: lambda scene, _: scene.away(scene.proxy.silence, scene.proxy.resume),
    Action.DELAY: lambda scene, step: scene.away(
        partial(scene.proxy.slow, step.amount / 1000), partial(scene.proxy.slow, 0.0)
    ),
    Action.SWAP_MODEL: lambda scene, _: scene.models.swap(),
    Action.BURST: lambda scene, step: scene.tell_sender(f"burst {step.amount}"),
    Action.POISON: lambda scene, step: scene.tell_sender(f"poison {step.amount}"),
}


class Director:
    """Does the steps of a plan when it is time, and undoes each when its time is over.

    Args:
        steps: In order of time.
        scene: What they trouble.
        began: When the plan began, by the monotonic clock.
    """

    def __init__(self, steps: Sequence[Step], scene: Scene, began: float) -> None:
        self._scene = scene
        self._began = began
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], Sequence[Undo]], float]] = []
        #: The steps that were done, and when each was begun, in seconds since the epoch.
        self.done: list[tuple[float, Step]] = []
        for step in steps:
            self._add(step.at, partial(self._do, step), step.seconds)

    def _add(self, at: float, work: Callable[[], Sequence[Undo]], seconds: float) -> None:
        heapq.heappush(self._due, (at, next(self._order), work, seconds))

    def _do(self, step: Step) -> Sequence[Undo]:
        logger.info("%s", step)
        self.done.append((time.time(), step))
        return self._scene.do(step)

    def go_on(self) -> bool:
        """Does what is due; returns whether anything is left."""
        while self._due and self._due[0][0] <= time.monotonic() - self._began:
            _, _, work, seconds = heapq.heappop(self._due)
            undoing = work()
            if undoing:
                self._add(time.monotonic() - self._began + seconds, partial(_undo, undoing), 0.0)
        return bool(self._due)


def _undo(undoing: Sequence[Undo]) -> Sequence[Undo]:
    for undo in undoing:
        undo()
    return ()
