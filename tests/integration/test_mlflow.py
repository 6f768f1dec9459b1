"""Model folders that mlflow itself wrote: imported, they score as mlflow's own pyfunc does."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch.model.importing.command import main
from batch.model.importing.facts import read_table
from shared.cells import read_cell
from shared.predict import Predictor
from tests.support.commands import ROOT, environment
from tests.support.trouble import give_up

PINS = (
    "mlflow-skinny==3.17.2",
    "pandas==3.1.1",
    "numpy==2.4.6",
    "scikit-learn==1.9.1",
    "xgboost-cpu==3.2.0",
    "lightgbm==4.7.0",
)
pytestmark = pytest.mark.slow

ROWS = 1_000
SCRIPT = ROOT / "tests" / "support" / "mlflow_models.py"


@pytest.fixture(scope="session")
def mlflow_python() -> Path:
    """An interpreter that has mlflow, which this project does not need; made once for a set of pins."""
    key = hashlib.sha256(json.dumps([sys.version, *PINS]).encode()).hexdigest()[:12]
    folder = ROOT / ".cache" / f"mlflow-{key}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if complete.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--disable-pip-version-check",
        *PINS,
    ]
    make: list[str | Path] = [sys.executable, "-m", "venv", folder]
    for arguments in (make, install):
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            give_up(f"{PINS[0]} could not be installed; connect to a package registry: {done.stderr[-500:]}")
    complete.touch()
    return python


@dataclass(frozen=True)
class Made:
    """What the script made.

    Attributes:
        folder: With an MLflow model folder for each model, and sample.csv.
        predictions: By model, what mlflow's pyfunc predicts for each row of the sample.
    """

    folder: Path
    predictions: dict[str, list[float]]

    @property
    def sample(self) -> Path:
        return self.folder / "sample.csv"


@pytest.fixture(scope="module")
def made(mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("mlflow")
    done = subprocess.run(
        [mlflow_python, SCRIPT, folder],
        cwd=folder,
        env={**environment(), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Made(folder, json.loads((folder / "predictions.json").read_bytes()))


@pytest.fixture(scope="module")
def imported(made: Made) -> dict[str, Predictor]:
    """Each folder, imported as a user does it."""
    predictors = {}
    for name in made.predictions:
        output = made.folder / f"imported-{name}"
        options = ["--sample", str(made.sample), "--output", str(output), "--decision", "churn"]
        assert main([str(made.folder / name), *options]) == 0
        predictors[name] = Predictor.load(output)
    return predictors


def events_of(predictor: Predictor, sample: Path) -> list[bytes]:
    types = {declared.name: declared.type for declared in predictor.model.schema.inputs}
    with sample.open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = [
            {name: read_cell(cell, types.get(name)) for name, cell in row.items()}
            for row in csv.DictReader(file)
        ]
    for row in rows:
        row["customer_id"] = int(row["customer_id"])
    return [json.dumps(row).encode() for row in rows]


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_an_imported_booster_scores_a_thousand_rows_as_the_pyfunc_does(
    made: Made, imported: dict[str, Predictor], name: str
) -> None:
    predictor = imported[name]
    table = read_table(made.sample)
    outcome = predictor.score_table(table.batch, text=table.text)
    expected = np.array(made.predictions[name])
    assert len(expected) == len(outcome.scores) == ROWS
    assert np.abs(outcome.scores - expected).max() < 1e-6
    assert outcome.decisions.tolist() == (expected > 0.5).tolist()
    assert 100 < outcome.decisions.sum() < 900
    stream = predictor.score_json(events_of(predictor, made.sample))
    assert stream.scores.tobytes() == outcome.scores.tobytes()


def test_an_imported_classifier_decides_a_thousand_rows_as_the_pyfunc_does(
    made: Made, imported: dict[str, Predictor]
) -> None:
    table = read_table(made.sample)
    outcome = imported["classifier"].score_table(table.batch, text=table.text)
    # The pyfunc of a classifier gives its class.
    assert outcome.decisions.tolist() == [value == 1 for value in made.predictions["classifier"]]


def test_categories_missing_values_and_provenance_come_along(imported: dict[str, Predictor]) -> None:
    for name, encoding in (("xgboost", "one-hot"), ("lightgbm", None)):
        model = imported[name].model
        by_name = {declared.name: declared for declared in model.schema.inputs}
        contract = by_name["contract"]
        assert contract.values == ("Month-to-month", "One year", "Two year")
        assert (contract.encoding, contract.missing) == (encoding, "nan")
        assert by_name["charges"].missing == "nan"
        assert by_name["payment"].required
        assert model.declaration.provenance["mlflow version"] == "3.17.2"
        assert model.declaration.provenance["flavor"] == name
