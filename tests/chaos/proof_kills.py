"""Proves what a consumer did while its processes were killed and its model was swapped twice.

`python -m tests.chaos.proof_kills --events 1000000 --kills 20`
"""

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.deadline import Deadline
from tests.chaos.harness.fleet import Deployment, Names
from tests.chaos.harness.topics import Topics
from tests.support.broker import own_broker, unique
from tests.support.commands import ROOT, Finished, command, environment
from tests.support.models import change_model

logger = logging.getLogger(__name__)

_THRESHOLDS: Final = {"2": 0.5, "3": 0.4, "4": 0.6}
_BAD_RATIO: Final = 0.01
_SESSION_MS: Final = 3_000
_READY_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 30.0
_PROVE_SECONDS: Final = 900.0
_TICK: Final = 0.05


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is to be.

    Attributes:
        events: How many are sent, 1 % of them bad.
        rate: Events a second.
        kills: How many times at least a process is killed meanwhile.
        workers: Workers of the deployment.
        seed: Of the events and of the moments.
    """

    events: int
    rate: float
    kills: int
    workers: int = 2
    seed: int = 7

    def part(self, number: int) -> int:
        """Events that are sent between one swap of the model and the next."""
        parts = len(_THRESHOLDS)
        return self.events // parts + (number < self.events % parts)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What came of it.

    Attributes:
        events: Events on the input topic.
        predictions: Predictions on the output topic, as an independent reader sees it under read_committed.
        letters: Dead letters likewise.
        positions: Different positions that these speak of.
        kills: Kills that met a process.
        proof: What `python -m batch prove --json` said.
        seconds: How long that took.
    """

    events: int
    predictions: int
    letters: int
    positions: int
    kills: int
    proof: dict[str, Any]
    seconds: float


class Versions:
    """Versions of models/churn with thresholds of their own, behind a link that a consumer watches."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = list(_THRESHOLDS.items())
        self.made: list[Path] = []
        self.current = folder / "current"
        self.swap()

    def swap(self) -> None:
        """Makes the next version and lets the link point to it, in one step."""
        version, threshold = self._left.pop(0)
        made = self._folder / f"churn-{version}"
        made.mkdir()
        for name in ("model.json", "booster.json"):
            shutil.copy(ROOT / "models/churn" / name, made)
        change_model(made, version=version, threshold=threshold)
        link = self._folder / "next"
        link.symlink_to(made)
        os.replace(link, self.current)  # noqa: PTH105 - Path.replace would do the same; this names the call
        self.made.append(made)


def run(order: Order, folder: Path) -> Evidence:
    """Sends, kills and swaps, waits until all is answered, and proves it.

    Args:
        order: What the run is to be.
        folder: Where models, logs and the report go.
    """
    with ExitStack() as stack:
        address = stack.enter_context(own_broker()).address
        source = unique("proof")
        names = Names("exactly-once", source, f"{source}-group")
        topics = Topics(address)
        topics.make(source, [names.predictions, names.letters])
        versions = Versions(folder)
        arguments = [
            *("--bootstrap-servers", address, "--model", str(versions.current), "--watch-model", "0.5"),
            *("--http-port", "0", "--kafka-option", f"session_timeout_ms={_SESSION_MS}"),
            *("--kafka-option", "heartbeat_interval_ms=500"),
        ]
        deployment = Deployment(names, arguments, order.workers, folder)
        stack.callback(deployment.destroy)
        _wait(lambda: deployment.ready, deployment, _READY_SECONDS, "the workers to be ready")
        rng = random.Random(order.seed)  # noqa: S311 - moments that can be had again
        kills = 0
        for part in range(len(_THRESHOLDS)):
            if part:
                # Some events of each third are scored by its own model, however slowly it all goes.
                versions.swap()
                logger.info("swapped to %s", versions.made[-1].name)
            with _sending(order, part, address, source, folder) as sender:
                kills += _trouble(rng, order, deployment, sender)
            _wait(lambda: topics.lag(names.group, source) == 0, deployment, _DRAIN_SECONDS, "the lag to end")
        deployment.end(_STOP_SECONDS)
        _wait(
            lambda: not any(map(topics.has_open_transactions, (names.predictions, names.letters))),
            deployment,
            _DRAIN_SECONDS,
            "transactions to end",
        )
        began = time.monotonic()
        proof = json.loads(_proved(names, versions.made, address, folder).output)
        seconds = time.monotonic() - began
        return _evidence(topics, names, kills, proof, seconds)


@contextmanager
def _sending(
    order: Order, part: int, address: str, source: str, folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """The producer of a third of the events, which must have ended well when the block does."""
    options = {
        "--count": order.part(part),
        "--rate": order.rate,
        "--bad-ratio": _BAD_RATIO,
        "--seed": order.seed + part,
    }
    given = [str(word) for option in options.items() for word in option]
    log = folder / f"producer-{part}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "producer", "--bootstrap-servers", address, "--topic", source, *given],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield process
        assert process.wait() == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def _trouble(
    rng: random.Random, order: Order, deployment: Deployment, sender: "subprocess.Popen[bytes]"
) -> int:
    """Kills workers and now and then the supervisor while events are sent."""
    parts = len(_THRESHOLDS)
    lasts = order.events / order.rate / parts
    due = sorted(rng.uniform(0.05, 0.95) * lasts for _ in range(-(-order.kills // parts)))
    began, met = time.monotonic(), 0
    while sender.poll() is None or due:
        deployment.listen()
        if due and (time.monotonic() - began >= due[0] or sender.poll() is not None):
            due.pop(0)
            met += _kill(rng, order, deployment)
        time.sleep(_TICK)
    return met


def _kill(rng: random.Random, order: Order, deployment: Deployment) -> bool:
    if rng.random() < 0.2:
        deployment.kill_supervisor()
        deployment.revive()
        logger.info("killed the supervisor")
        return True
    worker = rng.randrange(order.workers)
    process = deployment.signal_worker(worker, signal.SIGKILL)
    logger.info("killed worker %d: %s", worker, process or "it did not run")
    return process is not None


def _proved(names: Names, models: Sequence[Path], address: str, folder: Path) -> Finished:
    done = command(
        "batch",
        "prove",
        *("--bootstrap-servers", address, "--group", names.group, "--input-topic", names.source),
        *("--output-topic", names.predictions, "--dead-letter-topic", names.letters),
        *(part for model in models for part in ("--model", str(model))),
        *("--json", "--report", str(folder / "report"), "--work-folder", str(folder / "work")),
        timeout=_PROVE_SECONDS,
    )
    assert done.code in {0, 1}, done.errors
    return done


def _evidence(topics: Topics, names: Names, kills: int, proof: dict[str, Any], seconds: float) -> Evidence:
    """The raw content of the topics beside what the proof says."""
    events = len(topics.read(names.source))
    predictions, letters = topics.read(names.predictions), topics.read(names.letters)
    positions = {json.loads(record.value or b"")["prediction_id"] for record in predictions}
    positions |= {
        "/".join(record.headers[f"tandem.{name}"].decode() for name in ("topic", "partition", "offset"))
        for record in letters
    }
    return Evidence(events, len(predictions), len(letters), len(positions), kills, proof, seconds)


def _wait(done: Any, deployment: Deployment, seconds: float, what: str) -> None:
    deadline = Deadline.after(seconds)
    while not done():
        assert not deadline.passed, f"waited too long for {what}"
        deployment.listen()
        time.sleep(_TICK)


def main(arguments: Sequence[str]) -> int:
    """Runs it once and prints what it showed; returns 0 when the proof holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.proof_kills", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where logs, models and the report are kept")
    told = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    # A broker that starts refuses connections, which the client tells at length.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    folder = told.folder or Path(tempfile.mkdtemp(prefix="tandem-proof-"))
    folder.mkdir(parents=True, exist_ok=True)
    found = run(Order(told.events, told.rate, told.kills, seed=told.seed), folder)
    proof = found.proof
    print(
        f"{found.events:,} events, {found.predictions:,} predictions, {found.letters:,} dead letters,"
        f" {found.positions:,} positions, {found.kills} kills, {len(proof['models'])} models\n"
        f"proved in {found.seconds:.1f} s: {proof['counts']}\n"
        f"identical {proof['identical']}, conserved {proof['conserved']}; all in {folder}"
    )
    held = bool(proof["holds"]) and found.positions == found.events == found.predictions + found.letters
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
