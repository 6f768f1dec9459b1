"""Every contender of the batch benchmark does the whole work: the predictions and rejections of Tandem."""

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from tests.benchmarks.stored import RUNS
from tests.benchmarks.stored.data import (
    BAD_EVERY,
    WRITERS,
    booster_file,
    linear_directory,
    xgboost_directory,
)
from tests.benchmarks.stored.task import KEY, LINEAR, XGBOOST
from tests.support.commands import ROOT

pytestmark = pytest.mark.slow

_ROWS = 8 * BAD_EVERY
_CASES = [
    *((name, form) for name in ("pandas", "polars", "duckdb") for form in WRITERS),
    ("pyspark", "parquet"),
]


@dataclass(frozen=True)
class Work:
    """The files, the models, and what Tandem makes of them.

    Attributes:
        folder: With a file `rows` in each format, and a model directory of each kind.
        expected: By model and format, the predictions by id and the reasons by position.
    """

    folder: Path
    expected: dict[tuple[str, str], tuple[dict[str, Any], dict[str, str]]]


def predictions_in(paths: list[Path]) -> dict[str, Any]:
    """By id, each prediction's customer, score and decision."""
    rows = pa.concat_tables([pq.read_table(path) for path in paths]).to_pylist()
    found = {row["prediction_id"]: (row[KEY], row["score"], row["churn"]) for row in rows}
    assert len(found) == len(rows)
    return found


def reasons_in(paths: list[Path]) -> dict[str, str]:
    rows = pa.concat_tables(
        [pq.read_table(path, columns=["position", "reason"]) for path in paths]
    ).to_pylist()
    return {row["position"]: row["reason"] for row in rows}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder, expected = tmp_path_factory.mktemp("stored"), {}
    linear_directory(folder / LINEAR)
    xgboost_directory(folder / XGBOOST, trees=5)
    for form, write in WRITERS.items():
        source = folder / f"rows.{form}"
        write(source, _ROWS)
        for model in (LINEAR, XGBOOST):
            output = folder / f"tandem-{form}-{model}"
            assert main(["score", str(source), "--model", str(folder / model), "--output", str(output)]) == 0
            parts, rejected = sorted(output.glob("part-*")), sorted(output.glob("rejected-*"))
            expected[model, form] = predictions_in(parts), reasons_in(rejected)
    return Work(folder, expected)


@pytest.mark.parametrize("model", [LINEAR, XGBOOST])
@pytest.mark.parametrize(("name", "form"), _CASES)
def test_a_contender_scores_and_rejects_what_tandem_does(
    work: Work, name: str, form: str, model: str, tmp_path: Path
) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: it comes with the extra `bench`, pyspark with `spark`")
    arguments = [
        name,
        model,
        work.folder / f"rows.{form}",
        tmp_path / "out",
        booster_file(work.folder / XGBOOST),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.stored", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    predictions, reasons = (_files(tmp_path / "out", kind) for kind in ("predictions", "rejected"))
    wanted, rejected = work.expected[model, form]
    assert len(rejected) == _ROWS // BAD_EVERY
    assert len(set(rejected.values())) == 4
    assert reasons_in(reasons) == rejected
    found = predictions_in(predictions)
    assert found.keys() == wanted.keys()
    for position, (customer, score, decision) in found.items():
        assert (customer, decision) == (wanted[position][0], wanted[position][2])
        assert score == pytest.approx(wanted[position][1], abs=1e-12, rel=0)


def _files(folder: Path, name: str) -> list[Path]:
    path = folder / f"{name}.parquet"
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path]


def test_every_contender_is_tried() -> None:
    assert {name for name, _ in _CASES} | {"read and write", "booster"} == set(RUNS)
