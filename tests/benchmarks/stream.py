"""Throughput: preloaded events, Tandem in both guarantees beside the others, each in turn."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.contenders import AT_LEAST_ONCE, BOTH, CONTENDERS, Contender
from tests.benchmarks.contenders.environment import make_own_python
from tests.benchmarks.measure import Run, run, typical
from tests.benchmarks.report import Row, show
from tests.benchmarks.workload import consumer_options, delete_topics, output_topics, preload, write_model

NAIVE: Final = ("confluent_naive", AT_LEAST_ONCE)
# Of the CPU seconds, those that a longer run took more.
FURTHER: Final = "CPU s a further million"
EXPERT: Final = "confluent_expert"
CEILING: Final = "passthrough"
TITLES: Final = {"tandem": "**Tandem**", "tandem_2": "**Tandem, --workers 2**"}
# A contender that would take more seconds than this has shown its rate with fewer events.
_LONGEST: Final = 20
# A supervisor's workers end when nothing is left; the wait is not counted.
_IDLE_SECONDS: Final = "2"


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender, or Tandem, under one guarantee."""

    name: str
    guarantee: str

    @property
    def title(self) -> str:
        """What a table calls it."""
        return TITLES[self.name] if self.name in TITLES else CONTENDERS[self.name].title


def entries(only: Sequence[str] = ()) -> list[Entry]:
    """Who takes part: all, or those that are named."""
    of_others = [(name, one.guarantees) for name, one in CONTENDERS.items()]
    of_tandem = [(name, BOTH) for name in TITLES]
    return [
        Entry(name, guarantee)
        for name, guarantees in [*of_others, *of_tandem]
        for guarantee in guarantees
        if not only or name in only
    ]


def python_for(contender: Contender) -> str:
    """The interpreter that has the contender's libraries."""
    return str(make_own_python()) if contender.own_environment else sys.executable


def run_entry(bootstrap: str, source: str, count: int, entry: Entry, model: Path) -> Run:
    """One run, into topics of its own, which are deleted afterwards."""
    with output_topics(bootstrap, entry.name) as target:
        if entry.name in CONTENDERS:
            options = [bootstrap, source, target, "--guarantee", entry.guarantee, "--count", str(count)]
            command = ["-m", "tests.benchmarks.contenders", entry.name, *options]
            return run(command, count, python_for(CONTENDERS[entry.name]))
        options = consumer_options(bootstrap, source, target, model, entry.guarantee)
        ends = ["--max-events", str(count)]
        if entry.name == "tandem_2":
            ends = ["--workers", "2", "--until-idle", _IDLE_SECONDS]
        return run(["-m", "consumer", *options, *ends], count)


def measure(bootstrap: str, count: int, rounds: int, taking_part: Sequence[Entry]) -> dict[Entry, Run]:
    """Every entry in turn, `rounds` times; the median of each."""
    source = preload(bootstrap, count)
    runs: dict[Entry, list[Run]] = {entry: [] for entry in taking_part}
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder))
        for _ in range(rounds):
            for entry, results in runs.items():
                results.append(run_entry(bootstrap, source, count, entry, model))
    delete_topics(bootstrap, source)
    return {entry: typical(results) for entry, results in runs.items()}


@dataclass(frozen=True, slots=True)
class Results:
    """What a number of events took."""

    count: int
    runs: Mapping[Entry, Run]


def rows_of(now: Results, fewer: Results | None = None) -> list[Row]:
    """The results as a table's rows, the slowest first: what is compared is compared under one guarantee.

    Args:
        now: What is shown.
        fewer: Results with fewer events; what is beyond them took no start-up.
    """
    results, count = now.runs, now.count
    rows: list[Row] = []
    rates = {(entry.name, entry.guarantee): run.events_per_second for entry, run in results.items()}
    for entry, result in sorted(results.items(), key=lambda item: item[1].events_per_second):
        ratios = {
            "of naive": rates.get(NAIVE),
            "of expert": rates.get((EXPERT, entry.guarantee)),
            "of passthrough": rates.get((CEILING, entry.guarantee)),
        }
        rows.append(
            {
                "contender": entry.title,
                "guarantee": entry.guarantee,
                "events/s": result.events_per_second,
                **{name: result.events_per_second / base if base else "" for name, base in ratios.items()},
                "CPU s a million": result.cpu_seconds / count * 1e6,
                **_without_start_up(entry, now, fewer),
                "peak MiB": result.peak_mib,
            }
        )
    return rows


def _without_start_up(entry: Entry, now: Results, fewer: Results | None) -> Row:
    if fewer is None:
        return {}
    seconds = now.runs[entry].cpu_seconds - fewer.runs[entry].cpu_seconds
    return {FURTHER: seconds / (now.count - fewer.count) * 1e6}


def main(bootstrap: str, counts: Sequence[int], rounds: int, only: Sequence[str] = ()) -> list[Row]:
    """Measures and prints; the rows of all tables."""
    taking_part, told = entries(only), list[Row]()
    fewer: Results | None = None
    for count in sorted(counts):
        if fewer is not None:
            rates = {entry: run.events_per_second for entry, run in fewer.runs.items()}
            taking_part = [entry for entry in taking_part if count <= rates[entry] * _LONGEST]
        results = Results(count, measure(bootstrap, count, rounds, taking_part))
        rows = rows_of(results, fewer)
        fewer = results
        title = f"Stream: {count:,} preloaded events of about 200 bytes; medians of {rounds} runs in turn"
        digits = {"of naive": 2, "of expert": 2, "of passthrough": 2, "CPU s a million": 1, FURTHER: 1}
        show(title, rows, digits)
        told += [{"events": count, **row} for row in rows]
    return told
