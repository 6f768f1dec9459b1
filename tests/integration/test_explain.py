"""Explanations on both paths, on a real Kafka: the same contributions to the bit."""

import json
from pathlib import Path

import pytest

from batch.__main__ import main
from producer.generate import churn_customers
from shared.errors import ExitCode
from shared.kafka.connection import KafkaSettings
from tests.support.commands import command
from tests.support.topics import make_pipeline
from tests.support.trained import onnx_model

pytestmark = pytest.mark.broker

EVENTS = 3_000


@pytest.mark.parametrize("name", ["churn", "churn-linear"])
def test_stream_and_batch_explain_each_score_alike(
    name: str, kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path("models") / name
    customers = churn_customers(21)
    values = [json.dumps(next(customers).event).encode() for _ in range(EVENTS)]
    pipeline = make_pipeline(kafka)
    pipeline.send([*values, b'{"customerID": "none of the rest"}'])
    options = pipeline.options(model, "--explain", "3", "--max-events", str(EVENTS + 1))
    consumed = command("consumer", *options, "--batch-events", "700")
    assert consumed.code == 0, consumed.errors

    predictions = pipeline.scored()
    assert len(predictions) == EVENTS
    assert all(len(prediction["contributions"]) == 3 for prediction in predictions)
    if name == "churn-linear":
        assert {prediction["base"] for prediction in predictions} == {
            json.loads((model / "coefficients.json").read_bytes())["intercept"]
        }

    reach = ("--bootstrap-servers", kafka.bootstrap_servers)
    snapshot, scored, plain = (tmp_path / part for part in ("snapshot", "scored", "plain"))
    batch("export", pipeline.events, "--model", model, "--output", snapshot, *reach)
    for output, more in ((scored, ("--explain", "3")), (plain, ())):
        batch("score", snapshot, "--model", model, "--output", output, *more)
    stream = (f"topic:{pipeline.predictions}", "--dead-letter-topic", pipeline.dead_letters, "--json", *reach)
    for output, explained in ((scored, EVENTS), (plain, 0)):
        capsys.readouterr()
        batch("compare", stream[0], output, *stream[1:])
        answer = json.loads(capsys.readouterr().out)
        assert answer["counts"]["identical"] == EVENTS
        assert (answer["explained"], answer["explained_differently"]) == (explained, 0)


def batch(*arguments: str | Path) -> None:
    assert main([str(argument) for argument in arguments]) == ExitCode.DONE


def test_a_consumer_of_a_kind_that_cannot_explain_does_not_start(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    model = onnx_model(tmp_path / "onnx")
    refused = command("consumer", *make_pipeline(kafka).options(model, "--explain", "3"))
    assert refused.code == 3
    assert "kind onnx cannot say what each input contributed" in refused.errors
