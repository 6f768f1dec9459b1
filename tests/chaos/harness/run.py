"""One run: broker, proxy, sender, two deployments, a plan, and then the books."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException

from shared.deadline import Deadline
from tests.chaos.harness.actions import Director, Scene
from tests.chaos.harness.fleet import Deployment, Names
from tests.chaos.harness.models import Models
from tests.chaos.harness.plan import Step
from tests.chaos.harness.proxy import Proxy
from tests.chaos.harness.service import Answered
from tests.chaos.harness.topics import Observer, Topics
from tests.chaos.harness.verify import (
    ALLOWED_AT_LEAST_ONCE,
    Contents,
    Finding,
    Findings,
    Place,
    Record,
    verify,
)
from tests.support.broker import OwnBroker, free_port, own_broker, unique
from tests.support.commands import ROOT, command, environment

logger = logging.getLogger(__name__)

EXACTLY_ONCE: Final = "exactly-once"
#: Seconds of silence after which the group misses a member; the plan's stops are longer.
SESSION: Final = 3.0
# Longer than the broker is away: see Scene.restart_broker for what expires while it starts.
_TRANSACTION_SECONDS: Final = 60
_POISON_SHARE: Final = 0.02
_START_SECONDS: Final = 60.0
#: From the last event on, until every event must have been answered.
_DRAIN_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_TICK: Final = 0.05
_PROVE_SECONDS: Final = 120.0
_PROVED: Final = frozenset({"identical", "rejected_alike"})
#: What is done again stands there again, behind its successors.
_PROVED_AT_LEAST_ONCE: Final = frozenset({"duplicated", "out_of_order"})


class RunError(Exception):
    """The run could not be carried out, which says nothing about the consumer."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is to be.

    Attributes:
        steps: What goes wrong.
        seed: Of the events.
        seconds: How long events are sent.
        rate: Events a second.
        workers: Workers of each deployment.
    """

    steps: Sequence[Step]
    seed: int
    seconds: float
    rate: float
    workers: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a deployment did.

    Attributes:
        guarantee: What it promised.
        findings: What stands on its topics.
        answers: When each event was stored and its answer visible.
        drained: Seconds from the last event until nothing was left; None when that did not come.
        starts: Worker processes that were started.
        restarts: Exit codes of supervisors that ended unasked and were started again.
        fenced: What the consumers said when they lost what they held.
        zombies: Stopped workers that went on, and those of them that said they were refused or ended.
        exit_codes: Of the supervisor and of members that still ran at the end; None for one that did not end.
        proved: What `python -m batch prove` says of the same topics: events by class.
        holds: Whether it says that all is identical and conserved.
    """

    guarantee: str
    findings: Findings
    answers: Sequence[Answered]
    drained: float | None
    starts: int
    restarts: Sequence[int]
    zombies: int
    fenced: int
    exit_codes: Sequence[int | None]
    proved: Mapping[str, int]
    holds: bool

    @property
    def broken(self) -> list[Finding]:
        """What breaks the deployment's own guarantee."""
        exact = self.guarantee == EXACTLY_ONCE
        return self.findings.broken(frozenset() if exact else ALLOWED_AT_LEAST_ONCE)

    @property
    def unproved(self) -> dict[str, int]:
        """The classes of the proof that break the guarantee."""
        exact = self.guarantee == EXACTLY_ONCE
        allowed = _PROVED if exact else _PROVED | _PROVED_AT_LEAST_ONCE
        return {name: count for name, count in self.proved.items() if count and name not in allowed}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        done: The steps, and when each was begun, in seconds since the epoch.
        sender: What the sender says that the broker acknowledged.
        verdicts: One a deployment.
    """

    done: Sequence[tuple[float, Step]]
    sender: dict[str, Any]
    verdicts: Sequence[Verdict]


class SenderProcess:
    """The process that sends the events.

    Args:
        order: How many, and which.
        bootstrap: Where it connects to.
        topic: Where the events go.
        log: Where its standard error goes.
    """

    def __init__(self, order: Order, bootstrap: str, topic: str, log: Path) -> None:
        options = {
            "--bootstrap": bootstrap,
            "--topic": topic,
            "--rate": order.rate,
            "--poison": _POISON_SHARE,
            "--seed": order.seed,
        }
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.chaos.harness.sender"),
                    *(str(part) for option in options.items() for part in option),
                ],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def tell(self, command: str) -> None:
        """Gives it a command.

        Raises:
            RunError: It has ended.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{command}\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise RunError("the sender has ended; see sender.log") from error

    def finish(self) -> dict[str, Any]:
        """Tells it to stop; returns what it says.

        Raises:
            RunError: Not every event was acknowledged, so that the run shows nothing.
        """
        self.tell("stop")
        said, _ = self.process.communicate(timeout=_START_SECONDS + _DRAIN_SECONDS)
        told = dict(json.loads(said or "{}"))
        if not told or told["sent"] != told["acknowledged"]:
            raise RunError(f"the broker has not acknowledged every event: {told}")
        return told

    def destroy(self) -> None:
        """Kills it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()


class Run:
    """A run from start to end.

    Args:
        order: What it is to be.
        folder: Where the logs go.
        stack: What ends everything that is started here.
    """

    def __init__(self, order: Order, folder: Path, stack: ExitStack) -> None:
        self._order = order
        self._folder = folder
        port = free_port()
        broker = stack.enter_context(own_broker(advertised=port))
        stack.callback(_keep_log, broker, folder / "broker.log")
        assert broker.behind is not None
        proxy = stack.enter_context(Proxy(port, broker.behind))
        bootstrap = f"127.0.0.1:{port}"
        self._source = unique("chaos")
        self._topics = Topics(broker.address)
        names = [
            Names(guarantee, self._source, f"{self._source}-{guarantee}")
            for guarantee in (EXACTLY_ONCE, "at-least-once")
        ]
        self._targets = [topic for name in names for topic in (name.predictions, name.letters)]
        self._topics.make(self._source, self._targets)
        self._models = Models(folder)
        self._deployments = []
        for name in names:
            made = Deployment(name, _arguments(bootstrap, self._models), order.workers, folder)
            stack.callback(made.destroy)
            self._deployments.append(made)
        self._wait_until_ready()
        self._seen = stack.enter_context(Observer(broker.address, self._targets))
        self._sender = SenderProcess(order, bootstrap, self._source, folder / "sender.log")
        stack.callback(self._sender.destroy)
        self._scene = Scene(broker, proxy, port, self._deployments, self._models, self._sender.tell)

    def _wait_until_ready(self) -> None:
        deadline = Deadline.after(_START_SECONDS)
        while not all(deployment.ready for deployment in self._deployments):
            if deadline.passed:
                raise RunError(f"the consumers were not ready within {_START_SECONDS:.0f} s")
            self._listen()
            time.sleep(_TICK)

    def _listen(self) -> None:
        for deployment in self._deployments:
            deployment.listen()

    def go(self) -> Outcome:
        """Carries the plan out, waits until all is answered, and looks at what stands there.

        Raises:
            RunError: The sender or the broker failed.
        """
        try:
            outcome = self._carry_out()
        except RunError:
            self._keep_data()
            raise
        if any(verdict.drained is None or verdict.broken for verdict in outcome.verdicts):
            self._keep_data()
        return outcome

    def _keep_data(self) -> None:
        """Only the broker's own files tell which producer's transaction a record or an offset belonged to."""
        (self._folder / "broker-data.tar.gz").write_bytes(self._scene.broker.data())

    def _carry_out(self) -> Outcome:
        began = time.monotonic()
        director = Director(self._order.steps, self._scene, began)
        while director.go_on() or time.monotonic() - began < self._order.seconds:
            self._listen()
            time.sleep(_TICK)
        sender = self._sender.finish()
        drained = self._drain()
        codes = {deployment.names.group: deployment.end(_STOP_SECONDS) for deployment in self._deployments}
        self._wait_for_transactions()
        events = self._topics.read(self._source)
        if len(events) != sender["sent"]:
            raise RunError(f"the broker stored {len(events)} events, but the sender sent {sender['sent']}")
        verdicts = [
            self._judge(deployment, events, drained[deployment.names.group], codes[deployment.names.group])
            for deployment in self._deployments
        ]
        return Outcome(director.done, sender, verdicts)

    def _drain(self) -> dict[str, float | None]:
        """Waits until no group lags; returns the seconds that each took, None for too many."""
        began = time.monotonic()
        took: dict[str, float | None] = {name.names.group: None for name in self._deployments}
        while None in took.values() and time.monotonic() - began < _DRAIN_SECONDS:
            self._listen()
            for group in [group for group, seconds in took.items() if seconds is None]:
                try:
                    if self._topics.lag(group, self._source) == 0:
                        took[group] = time.monotonic() - began
                except KafkaException as error:
                    logger.info("the lag of %s is not known yet: %s", group, error)
            time.sleep(_TICK)
        return took

    def _wait_for_transactions(self) -> None:
        """What killed members left open the broker ends by itself; until then its readers wait."""
        deadline = Deadline.after(_DRAIN_SECONDS)
        while any(map(self._topics.has_open_transactions, self._targets)):
            if deadline.passed:
                raise RunError("a transaction stayed open")
            time.sleep(_TICK)

    def _judge(
        self, deployment: Deployment, events: Sequence[Record], drained: float | None, codes: list[int | None]
    ) -> Verdict:
        names = deployment.names
        predictions, letters = self._topics.read(names.predictions), self._topics.read(names.letters)
        thresholds = self._models.thresholds
        findings = verify(Contents(self._source, events, predictions, letters, thresholds))
        proof = self._proof(names)
        zombies = [zombie for zombie in self._scene.zombies if zombie.guarantee == names.guarantee]
        return Verdict(
            guarantee=names.guarantee,
            findings=findings,
            answers=self._answered(names, findings, events),
            drained=drained,
            starts=deployment.starts,
            restarts=deployment.ended,
            zombies=len(zombies),
            fenced=sum(deployment.was_refused(zombie.worker, zombie.woken) for zombie in zombies),
            exit_codes=codes,
            proved=proof["counts"],
            holds=proof["holds"],
        )

    def _proof(self, names: Names) -> dict[str, Any]:
        """What the product itself proves of the same topics, by all versions of the model."""
        topics = ("--input-topic", self._source, "--output-topic", names.predictions)
        more = ("--dead-letter-topic", names.letters, "--group", names.group)
        where = ("--bootstrap-servers", self._scene.broker.address)
        done = command(
            "batch",
            "prove",
            *where,
            *topics,
            *more,
            "--model",
            self._models.made,
            "--json",
            timeout=_PROVE_SECONDS,
        )
        if done.code not in {0, 1}:
            raise RunError(f"the proof of {names.group} could not be made: {done.errors}")
        return dict(json.loads(done.output))

    def _answered(self, names: Names, findings: Findings, events: Sequence[Record]) -> list[Answered]:
        """When each answer was first seen; one that was written again counts once."""
        stored = {event.place: event.timestamp / 1000 for event in events}
        first: dict[Place, float] = {}
        for topic, answers in ((names.predictions, findings.predictions), (names.letters, findings.letters)):
            for answer in answers:
                at = self._seen.get((topic, *answer.record.place))
                if at is not None:
                    first[answer.place] = min(at, first.get(answer.place, at))
        return [Answered(place[0], stored[place], at) for place, at in first.items()]


def _arguments(bootstrap: str, models: Models) -> list[str]:
    return [
        *("--bootstrap-servers", bootstrap, "--model", str(models.current), "--watch-model", "1"),
        *("--transaction-timeout", str(_TRANSACTION_SECONDS), "--http-port", "0"),
        *("--kafka-option", f"session_timeout_ms={SESSION * 1000:.0f}"),
        *("--kafka-option", "heartbeat_interval_ms=500"),
    ]


def _keep_log(broker: OwnBroker, path: Path) -> None:
    path.write_text(broker.said(), encoding="utf-8")


def carry_out(order: Order, folder: Path) -> Outcome:
    """Starts everything, carries the order out, and ends everything again, whatever happens.

    Raises:
        RunError: The run could not be carried out.
    """
    with ExitStack() as stack:
        return Run(order, folder, stack).go()
