"""What `consumer --sentinel` costs: a backlog of customers, a hundredth of them bad, without and with it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from shared.kafka.connection import KafkaSettings
from shared.models.shipped import shipped_model
from tests.benchmarks.contenders import EXACTLY_ONCE
from tests.benchmarks.measure import run_process, seconds_of
from tests.benchmarks.report import Row, show
from tests.benchmarks.workload import consumer_options, delete_topics, make_topic, output_topics
from tests.support.broker import unique

#: The shares of the events that are scored again; None: there is no sentinel.
SHARES: Final = (None, 0.01, 0.1, 1.0)
_SAID: Final = re.compile(r"The sentinel scored (\d+) events again: (\d+) disagree")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the consumer.

    Attributes:
        events_per_second: From the first event to the last commit.
        cpu_seconds: Of the whole process, start-up included.
        again: How many events were scored again.
        disagreeing: Of how many the two paths said different things.
    """

    events_per_second: float
    cpu_seconds: float
    again: int
    disagreeing: int


def _run(bootstrap: str, source: str, count: int, share: float | None) -> Run:
    with output_topics(bootstrap, "sentinel") as target:
        command = consumer_options(bootstrap, source, target, shipped_model("churn"), EXACTLY_ONCE)
        command += ["--max-events", str(count)]
        command += [] if share is None else ["--sentinel", str(share)]
        done = run_process(["-m", "consumer", *command])
    said = _SAID.search(done.said)
    again, disagreeing = (int(said[1]), int(said[2])) if said else (0, 0)
    return Run(count / seconds_of(done.said), done.cpu_seconds, again, disagreeing)


def measure(bootstrap: str, count: int, rounds: int) -> dict[float | None, list[Run]]:
    """Every share in turn, `rounds` times."""
    source = unique("bench-in")
    make_topic(KafkaSettings(bootstrap_servers=bootstrap), source)
    made_up = ["--count", str(count), "--bad-ratio", "0.01", "--model", str(shipped_model("churn"))]
    run_process(["-m", "producer", "--bootstrap-servers", bootstrap, "--topic", source, *made_up])
    runs: dict[float | None, list[Run]] = {share: [] for share in SHARES}
    for _ in range(rounds):
        for share, results in runs.items():
            results.append(_run(bootstrap, source, count, share))
    delete_topics(bootstrap, source)
    return runs


def main(bootstrap: str, counts: Sequence[int], rounds: int) -> list[Row]:
    """Measures and prints; the rows of all tables."""
    told: list[Row] = []
    for count in counts:
        runs = measure(bootstrap, count, rounds)
        rates, cpu = (
            {share: median(getattr(run, name) for run in results) for share, results in runs.items()}
            for name in ("events_per_second", "cpu_seconds")
        )
        rows: list[Row] = [
            {
                "--sentinel": "none" if share is None else f"{share:g}",
                "events/s": rates[share],
                "rate, % more": 100 * (rates[share] / rates[None] - 1),
                "CPU s a million": cpu[share] / count * 1e6,
                "CPU, % more": 100 * (cpu[share] / cpu[None] - 1),
                "scored again, %": 100 * median(run.again for run in results) / count,
                "disagree": sum(run.disagreeing for run in results),
            }
            for share, results in runs.items()
        ]
        digits = {"rate, % more": 1, "CPU s a million": 1, "CPU, % more": 1, "scored again, %": 2}
        what = f"{count:,} preloaded events, models/churn, exactly-once"
        show(f"Sentinel: {what}; medians of {rounds} runs in turn", rows, digits)
        told += [{"events": count, **row} for row in rows]
    return told
