"""`python -m tests.chaos`: the measured guarantee of the real consumer under a seeded plan of trouble."""

import argparse
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.chaos.harness import report
from tests.chaos.harness.plan import make_plan
from tests.chaos.harness.run import SESSION, Order, Outcome, RunError, carry_out


def main(arguments: Sequence[str]) -> int:
    """Runs one seed or several; returns 0 when every guarantee held."""
    told = _read(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.ERROR)
    logging.getLogger("tests.chaos").setLevel(logging.INFO)
    # A broker that starts refuses connections, which the client tells at length.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # As Ctrl-C does: everything that was started is ended.
    signal.signal(signal.SIGTERM, _interrupt)
    seeds = range(told.seed, told.seed + told.seeds)
    lines, held = [], 0
    for seed in seeds:
        steps = make_plan(
            seed, told.seconds, workers=told.workers, session=SESSION, kill_broker=told.kill_broker
        )
        order = Order(steps, seed, told.seconds, told.rate, told.workers)
        good, said = _run(order, told.evidence)
        held += good
        lines.append(said)
    if len(lines) > 1:
        print(*lines, f"{held} of {len(lines)} seeds held", sep="\n")
    return 0 if held == len(seeds) else 1


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="of the plan and the events (default: 7)")
    parser.add_argument("--seeds", type=int, default=1, help="run so many seeds, one after the other")
    parser.add_argument("--seconds", type=float, default=120, help="how long events are sent (default: 120)")
    parser.add_argument("--rate", type=float, default=500, help="events a second (default: 500)")
    parser.add_argument("--workers", type=int, default=3, help="workers of each deployment (default: 3)")
    parser.add_argument(
        "--kill-broker",
        action="store_true",
        help="kill the broker, too: without replicas, Kafka itself may then leave a transaction half marked",
    )
    parser.add_argument("--evidence", type=Path, help="where to keep the logs, even of a run that held")
    return parser.parse_args(arguments)


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _run(order: Order, evidence: Path | None) -> tuple[bool, str]:
    """Runs one seed and prints what it showed; returns whether it held, and the line for the total."""
    folder = Path(tempfile.mkdtemp(prefix=f"tandem-chaos-{order.seed}-", dir=evidence))
    print(f"seed {order.seed}, logs in {folder}", report.plan_text(order.steps), sep="\n", flush=True)
    keep = True
    try:
        outcome = carry_out(order, folder)
        keep = evidence is not None or bool(report.failures(outcome))
        return _tell(order, outcome, folder)
    except RunError as error:
        said = f"seed {order.seed}: not carried out: {error}"
        print(said, f"logs: {folder}", sep="\n", flush=True)
        return False, said
    except KeyboardInterrupt:
        print(f"interrupted; logs: {folder}", flush=True)
        raise
    finally:
        if not keep:
            shutil.rmtree(folder)


def _tell(order: Order, outcome: Outcome, folder: Path) -> tuple[bool, str]:
    text = f"{report.table(outcome)}\n\n{report.pause_table(outcome)}\n"
    failed = report.failures(outcome)
    print("", text, sep="\n", flush=True)
    (folder / "report.txt").write_text(text, encoding="utf-8")
    if failed:
        for name, content in report.evidence(outcome):
            (folder / name).write_text(content, encoding="utf-8")
        print(*failed, f"evidence: {folder}", sep="\n", flush=True)
    said = report.line(order.seed, outcome)
    print(said, flush=True)
    return not failed, said


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
