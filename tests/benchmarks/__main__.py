"""`python -m tests.benchmarks [NAME ...]`: all of them unless some are named.

Example:
  python -m tests.benchmarks stream --counts 300000 --runs 3 --json build/stream.json
  python -m tests.benchmarks batch --rows 1000000 --growth 1000000,5000000 --json build/batch.json
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import batch, codec, kinds, latency, options, sentinel, soak, stream
from tests.benchmarks.report import Row
from tests.support.broker import running_broker

#: In the order in which they run.
_ALONE = ("kinds", "batch")
_WITH_BROKER = ("latency", "stream", "options", "sentinel", "codec", "soak")


def _numbers(text: str) -> list[int]:
    return [int(number.replace("_", "")) for number in text.split(",")]


def _told() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__.splitlines()[0])
    # An empty list is what argparse checks where no name is given.
    parser.add_argument("names", nargs="*", choices=[[], *_ALONE, *_WITH_BROKER], metavar="NAME")
    parser.add_argument("--counts", type=_numbers, default=[300_000, 1_500_000], help="events of stream")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, of which the median is taken")
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of batch, of Parquet")
    parser.add_argument("--text-rows", type=int, default=1_000_000, help="rows of batch, of CSV and NDJSON")
    growth = [1_000_000, 5_000_000, 20_000_000]
    parser.add_argument("--growth", type=_numbers, default=growth, help="rows of batch as they grow")
    parser.add_argument("--rates", type=_numbers, default=[1_000, 5_000], help="events a second of latency")
    parser.add_argument("--seconds", type=int, default=15, help="seconds of latency, after the warm-up")
    parser.add_argument("--soak-events", type=int, default=10_000_000, help="events of soak")
    parser.add_argument("--only", nargs="*", default=[], help="contenders of stream and latency")
    parser.add_argument("--json", type=Path, help="write all rows to this file too")
    return parser.parse_args()


def main() -> None:
    """Measures one thing after the other, and prints."""
    told = _told()
    names = told.names or [*_ALONE, *_WITH_BROKER]
    found: dict[str, list[Row]] = {}
    if "kinds" in names:
        kinds.main()
    if "batch" in names:
        found["batch"] = batch.main(batch.Sizes(told.rows, told.text_rows, told.growth, told.runs))
    if set(_WITH_BROKER) & set(names):
        found |= _measured_with_broker(names, told)
    if told.json is not None:
        told.json.write_text(json.dumps(found, indent=1) + "\n")


def _measured_with_broker(names: Sequence[str], told: argparse.Namespace) -> dict[str, list[Row]]:
    few = told.counts[:1]
    with running_broker() as bootstrap:
        measures: Mapping[str, Callable[[], list[Row]]] = {
            "latency": lambda: latency.main(bootstrap, told.rates, told.seconds, told.only),
            "stream": lambda: stream.main(bootstrap, told.counts, told.runs, told.only),
            "options": lambda: options.main(bootstrap, few, told.runs),
            "sentinel": lambda: sentinel.main(bootstrap, few, told.runs),
            "codec": lambda: codec.main(bootstrap, few, told.runs),
            "soak": lambda: soak.main(bootstrap, told.soak_events),
        }
        return {name: measures[name]() for name in _WITH_BROKER if name in names}


# The sender of the latency benchmark is a process that imports this file again.
if __name__ == "__main__":
    main()
