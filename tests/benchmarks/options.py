"""What each of the consumer's options costs: CPU time and rate, beside the consumer without it, in turn."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.contenders import EXACTLY_ONCE
from tests.benchmarks.measure import Run, run, typical
from tests.benchmarks.model import INTERCEPT
from tests.benchmarks.report import Row, show
from tests.benchmarks.workload import consumer_options, delete_topics, output_topics, preload, write_model

_TRACE: Final = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
_IDLE_SECONDS: Final = "2"


@dataclass(frozen=True, slots=True)
class Option:
    """A way to run the consumer.

    Attributes:
        title: What the table calls it.
        words: What is added to the command.
        traced: Whether each event has a trace context, which its prediction passes on.
        workers: How many processes there are.
    """

    title: str
    words: tuple[str, ...] = ()
    traced: bool = False
    workers: int = 1


# Of a path in `words`, {model} and {topic} are filled in.
PLAIN: Final = Option("as it is")
OPTIONS: Final = (
    PLAIN,
    Option("--no-http: no metrics either", ("--no-http",)),
    Option("trace context in every event's headers", traced=True),
    Option("--explain 3", ("--explain", "3")),
    Option("--shadow", ("--shadow", "{shadow}", "--shadow-topic", "{topic}-shadow")),
    Option("--watch-model 1", ("--watch-model", "1")),
    Option("--workers 2", ("--workers", "2"), workers=2),
)


def _run(bootstrap: str, source: str, count: int, option: Option, folder: Path) -> Run:
    with output_topics(bootstrap, "option") as target:
        command = consumer_options(bootstrap, source, target, folder / "model", EXACTLY_ONCE)
        command += [word.format(shadow=folder / "shadow", topic=target) for word in option.words]
        command += ["--max-events", str(count)] if option.workers == 1 else ["--until-idle", _IDLE_SECONDS]
        return run(["-m", "consumer", *command], count)


def measure(bootstrap: str, count: int, rounds: int) -> dict[Option, Run]:
    """Every option in turn, `rounds` times; the median of each."""
    plain, traced = preload(bootstrap, count), preload(bootstrap, count, _TRACE)
    runs: dict[Option, list[Run]] = {option: [] for option in OPTIONS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        write_model(folder / "shadow", INTERCEPT + 0.05)
        for _ in range(rounds):
            for option, results in runs.items():
                source = traced if option.traced else plain
                results.append(_run(bootstrap, source, count, option, folder))
    delete_topics(bootstrap, plain, traced)
    return {option: typical(results) for option, results in runs.items()}


def main(bootstrap: str, counts: Sequence[int], rounds: int) -> list[Row]:
    """Measures and prints; the rows of all tables."""
    told: list[Row] = []
    for count in counts:
        results = measure(bootstrap, count, rounds)
        plain = results[PLAIN]
        rows: list[Row] = [
            {
                "option": option.title,
                "events/s": result.events_per_second,
                "rate, % more": 100 * (result.events_per_second / plain.events_per_second - 1),
                "CPU s a million": result.cpu_seconds / count * 1e6,
                "CPU, % more": 100 * (result.cpu_seconds / plain.cpu_seconds - 1),
                "peak MiB": result.peak_mib,
            }
            for option, result in results.items()
        ]
        title = f"Options: {count:,} preloaded events, exactly-once; medians of {rounds} runs in turn"
        show(title, rows, {"rate, % more": 1, "CPU s a million": 1, "CPU, % more": 1})
        told += [{"events": count, **row} for row in rows]
    return told
