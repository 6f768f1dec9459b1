"""Batch: the real command beside other ways to score a file, and beside what cannot be beaten.

Every contender checks its input by the same rules and writes the same predictions and rejected rows; see
tests/benchmarks/stored/task.py, and tests/benchmarks/test_stored.py, which holds them to it.
"""

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.measure import Process
from tests.benchmarks.report import Row, show
from tests.benchmarks.stored.data import WRITERS, booster_file, linear_directory, xgboost_directory
from tests.benchmarks.stored.task import LINEAR, XGBOOST
from tests.benchmarks.stored.watch import run_tree

_CONTENDERS = ("pandas", "polars", "duckdb", "pyspark")
_CEILING, _BOOSTER = "read and write", "booster"
_START_ROWS = 1_000
#: A first run warms the page cache and the compiled files of Python, and does not count.
_START_RUNS = 7
_DIGITS = {"seconds": 2, "CPU s": 2}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        rows: Of the Parquet file that all contenders score with both models.
        text_rows: Of the CSV and the NDJSON file.
        growth: Rows of the files with which Tandem's time and memory are seen to grow.
        runs: Of each, in turn; the median counts.
    """

    rows: int = 5_000_000
    text_rows: int = 1_000_000
    growth: Sequence[int] = (1_000_000, 5_000_000, 20_000_000)
    runs: int = 3


class Bench:
    """The files and models of one benchmark.

    Args:
        folder: Where they are made, and where the results go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models = {
            LINEAR: linear_directory(folder / LINEAR),
            XGBOOST: xgboost_directory(folder / XGBOOST),
        }

    def source(self, form: str, rows: int) -> Path:
        """A file of so many rows, made when it is first asked for."""
        path = self._folder / f"{rows}.{form}"
        if not path.exists():
            WRITERS[form](path, rows)
        return path

    def run(self, name: str, model: str, source: Path) -> Process:
        """One run of a contender, whose results are deleted."""
        target = self._folder / "out"
        if name == "tandem":
            options = ["--model", str(self._models[model]), "--output", str(target)]
            done = run_tree(["-m", "batch", "score", str(source), *options])
        else:
            paths = (source, target, booster_file(self._models[XGBOOST]))
            done = run_tree(["-m", "tests.benchmarks.stored", name, model, *map(str, paths)])
        shutil.rmtree(target)
        return done

    def compare(self, names: Sequence[str], model: str, source: Path, rows: int, runs: int) -> list[Row]:
        """A row of figures for each of these, which run in turn."""
        found: dict[str, list[Process]] = {name: [] for name in names}
        for _ in range(runs):
            for name, done in found.items():
                done.append(self.run(name, model, source))
        return [
            {
                "format": source.suffix[1:],
                "model": model,
                "what": name,
                "rows": rows,
                **_figures(name, done, rows),
            }
            for name, done in found.items()
        ]


def _figures(name: str, done: Sequence[Process], rows: int) -> dict[str, float]:
    """The medians; of the booster alone only its scoring counts, not the making of its matrix."""
    lives = [json.loads(one.said)["seconds"] if name == _BOOSTER else one.seconds for one in done]
    seconds = median(lives)
    return {
        "rows/s": rows / seconds,
        "seconds": seconds,
        "CPU s": median(one.cpu_seconds for one in done),
        "peak MiB": median(one.peak_mib for one in done),
    }


def _installed() -> Iterator[str]:
    for name in _CONTENDERS:
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed, and is left out: see the extras `bench` and `spark`")
        else:
            yield name


def main(sizes: Sizes | None = None) -> list[Row]:
    """Measures and prints.

    Returns:
        All rows of all tables.
    """
    sizes = sizes or Sizes()
    others = list(_installed())
    found: list[Row] = []

    def tell(title: str, rows: list[Row]) -> None:
        show(title, rows, _DIGITS)
        found.extend(rows)

    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        start = bench.source("parquet", _START_ROWS)
        bench.run("tandem", XGBOOST, start)
        rows = [
            row
            for model in (LINEAR, XGBOOST)
            for row in bench.compare(["tandem"], model, start, _START_ROWS, _START_RUNS)
        ]
        tell("Start-up: the whole life of a small run", rows)
        for model in (LINEAR, XGBOOST):
            names = ["tandem", *others, _CEILING, *([_BOOSTER] if model == XGBOOST else [])]
            source = bench.source("parquet", sizes.rows)
            title = f"Parquet to Parquet, input checked, {model}: start-up included, memory of all processes"
            tell(title, bench.compare(names, model, source, sizes.rows, sizes.runs))
        for form in ("csv", "ndjson"):
            # Spark numbers the rows of no text, and pyarrow does not read lines with text among numbers.
            names = ["tandem", *(name for name in others if name != "pyspark")]
            names += [_CEILING] if form == "csv" else []
            source = bench.source(form, sizes.text_rows)
            rows = bench.compare(names, LINEAR, source, sizes.text_rows, sizes.runs)
            tell(f"{form} to Parquet, input checked, linear", rows)
        rows = []
        for count in sizes.growth:
            source = bench.source("parquet", count)
            rows += bench.compare(["tandem"], LINEAR, source, count, sizes.runs)
            source.unlink()
        tell("Growth: Parquet, linear", rows)
    return found
