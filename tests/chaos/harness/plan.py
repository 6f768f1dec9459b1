"""What goes wrong and when: a pure function of a seed, all of it drawn before anything starts."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Action(StrEnum):
    """One kind of trouble; what names a worker means the one of that number in each deployment."""

    KILL_WORKER = "SIGKILL of a worker"
    END_WORKER = "SIGTERM of a worker"
    STOP_WORKER = "SIGSTOP of a worker past its session"
    KILL_SUPERVISOR = "SIGKILL of the supervisor"
    ROLLING_RESTART = "rolling restart"
    JOIN_MEMBER = "a member joins and leaves"
    RESTART_BROKER = "broker restarted"
    KILL_BROKER = "broker killed"
    FREEZE_BROKER = "broker frozen"
    CUT_ALL = "all connections cut"
    CUT_WORKER = "a worker's connections cut"
    REFUSE = "connections refused"
    HALF_OPEN = "connections silent"
    DELAY = "connections slow"
    SWAP_MODEL = "model swapped"
    BURST = "burst of events"
    POISON = "burst of poison"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that goes wrong.

    Attributes:
        at: Seconds after the start.
        action: What.
        seconds: How long it lasts; 0 when it is over at once.
        amount: The number of the worker, of events, or of milliseconds that every exchange is slowed by.
    """

    at: float
    action: Action
    seconds: float = 0.0
    amount: int = 0

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        unit = _UNITS.get(self.action)
        amount = f" ({unit.format(self.amount)})" if unit else ""
        return f"{self.at:6.1f} s  {self.action}{amount}{lasts}"


_UNITS: Final = {
    Action.KILL_WORKER: "number {}",
    Action.END_WORKER: "number {}",
    Action.STOP_WORKER: "number {}",
    Action.CUT_WORKER: "number {}",
    Action.DELAY: "{} ms",
    Action.BURST: "{} events",
    Action.POISON: "{} events",
}
#: How long an action lasts, in seconds, from and to. A stopped worker's are counted beyond its session.
_LASTS: Final = {
    Action.STOP_WORKER: (2.0, 4.0),
    Action.KILL_SUPERVISOR: (0.2, 1.5),
    Action.JOIN_MEMBER: (5.0, 8.0),
    Action.RESTART_BROKER: (0.1, 1.0),
    Action.KILL_BROKER: (0.1, 2.0),
    Action.FREEZE_BROKER: (2.0, 5.0),
    Action.REFUSE: (1.0, 4.0),
    Action.HALF_OPEN: (2.0, 5.0),
    Action.DELAY: (3.0, 6.0),
}
_AMOUNTS: Final = {Action.DELAY: (20, 150), Action.BURST: (1_000, 3_000), Action.POISON: (50, 150)}
_OF_A_WORKER: Final = frozenset(
    {Action.KILL_WORKER, Action.END_WORKER, Action.STOP_WORKER, Action.CUT_WORKER}
)
#: Seconds beyond its end in which nothing else is begun: what follows is to meet something that runs.
_ROOM: Final = {Action.RESTART_BROKER: 7.0, Action.KILL_BROKER: 7.0, Action.FREEZE_BROKER: 1.0}
#: Seconds before the first trouble, and of calm after the last.
FIRST: Final = 3.0
CALM: Final = 15.0


def make_plan(
    seed: int, seconds: float, *, workers: int, session: float, kill_broker: bool = False
) -> list[Step]:
    """Draws a plan.

    Every kind of action comes once, in an order of the seed's, before any comes again.

    Args:
        seed: The same seed gives the same plan.
        seconds: How long events are sent; the last of them are calm.
        workers: How many workers a deployment has.
        session: Seconds after which the group misses a silent member.
        kill_broker: Whether the broker is killed, too. Kafka 4.3.1 without replicas may then take a
            transaction for complete whose marks it has not written: nothing that a client does mends that.
    """
    actions = [action for action in Action if kill_broker or action is not Action.KILL_BROKER]
    rng = random.Random(seed)  # noqa: S311 - a plan that can be had again
    steps: list[Step] = []
    at, last = FIRST, seconds - CALM
    while True:
        for action in rng.sample(actions, len(actions)):
            step = _draw(rng, at, action, workers, session)
            if at > last:
                return steps
            steps.append(step)
            # Most actions overlap with those that follow; a broker that is away hides them.
            at += rng.uniform(2.0, 4.5) + (step.seconds + _ROOM[action] if action in _ROOM else 0.0)


def _draw(rng: random.Random, at: float, action: Action, workers: int, session: float) -> Step:
    lasts = round(rng.uniform(*_LASTS.get(action, (0.0, 0.0))), 1)
    if action is Action.STOP_WORKER:
        lasts += session
    amount = rng.randint(*_AMOUNTS.get(action, (0, 0)))
    if action in _OF_A_WORKER:
        amount = rng.randrange(workers)
    return Step(round(at, 1), action, lasts, amount)
