"""Throughput: preloaded events through one process, Tandem in both guarantees beside the others."""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shared.kafka.connection import KafkaSettings
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.measure import Run, run, typical
from tests.benchmarks.workload import consumer_options, make_topic, preload, write_model
from tests.support.broker import unique

TANDEM = {"tandem_at_least_once": "at-least-once", "tandem_exactly_once": "exactly-once"}
BASELINE = "confluent_naive"


def tandem(bootstrap: str, source: str, target: str, count: int, model: Path, guarantee: str) -> Run:
    """The real consumer, as a user starts it."""
    options = consumer_options(bootstrap, source, target, model, guarantee)
    return run(["-m", "consumer", *options, "--max-events", str(count)], count)


def measure(bootstrap: str, count: int, rounds: int) -> dict[str, Run]:
    """Every contender in turn, `rounds` times; the median of each."""
    source = preload(bootstrap, count)
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    runs: dict[str, list[Run]] = {name: [] for name in (*TANDEM, *CONTENDERS)}
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder))
        for _ in range(rounds):
            for name, results in runs.items():
                target = unique(f"bench-{name.replace('_', '-')}")
                make_topic(settings, target, f"{target}-dead", max_message_bytes=2 << 20)
                if name in TANDEM:
                    results.append(tandem(bootstrap, source, target, count, model, TANDEM[name]))
                else:
                    arguments = [name, bootstrap, source, target, str(count)]
                    results.append(run(["-m", "tests.benchmarks.contenders", *arguments], count))
    return {name: typical(results) for name, results in runs.items()}


def show(results: dict[str, Run], count: int) -> Table:
    """The results as ratios to the naive confluent-kafka loop."""
    table = Table(title=f"Stream: {count:,} preloaded events of about 200 bytes, one process")
    for column in ("contender", "events/s", f"of {BASELINE}", "CPU s per million", "peak MiB"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for name, result in sorted(results.items(), key=lambda item: item[1].events_per_second):
        table.add_row(
            name,
            f"{result.events_per_second:,.0f}",
            f"{result.events_per_second / results[BASELINE].events_per_second:.2f}",
            f"{result.cpu_seconds / count * 1e6:.1f}",
            f"{result.peak_mib:,.0f}",
        )
    return table


def main(bootstrap: str, count: int = 300_000, rounds: int = 3) -> None:
    """Measures and prints."""
    Console(width=100).print(show(measure(bootstrap, count, rounds), count))
