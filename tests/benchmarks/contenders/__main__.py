"""`python -m tests.benchmarks.contenders NAME ...`: one contender, in the process that is measured."""

import argparse
import importlib

from tests.benchmarks.contenders import BOTH, CONTENDERS, EXACTLY_ONCE
from tests.benchmarks.contenders.job import Job


def main() -> None:
    """Runs a contender to its end, and prints the seconds that it took."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.contenders")
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument("bootstrap")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--guarantee", choices=BOTH, default=EXACTLY_ONCE)
    parser.add_argument("--count", type=int)
    parser.add_argument("--interval", type=float)
    told = parser.parse_args()
    contender = CONTENDERS[told.name]
    module = importlib.import_module(f"tests.benchmarks.contenders.{contender.module}")
    exactly_once = told.guarantee == EXACTLY_ONCE
    job = Job(told.bootstrap, told.source, told.target, exactly_once, told.count, told.interval)
    job.until_stopped()
    getattr(module, contender.function)(job)


if __name__ == "__main__":
    main()
