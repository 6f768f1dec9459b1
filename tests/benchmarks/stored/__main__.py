"""`python -m tests.benchmarks.stored NAME MODEL SOURCE TARGET BOOSTER`: one contender does the job once."""

import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks.stored import RUNS
from tests.benchmarks.stored.task import Job

if __name__ == "__main__":
    name, model, *paths = sys.argv[1:]
    source, target, booster = map(Path, paths)
    target.mkdir()
    module, function = RUNS[name]
    getattr(import_module(f"tests.benchmarks.stored.{module}"), function)(Job(model, source, target, booster))
