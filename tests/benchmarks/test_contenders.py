"""Every contender does the whole work: the same predictions as Tandem's, each once."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import extents, read_to_end
from shared.models.directory import read_model
from shared.position import position_prefix
from shared.predict import Predictor
from shared.predictions import PredictionEncoder
from tests.benchmarks.contenders import CONTENDERS, EXACTLY_ONCE
from tests.benchmarks.contenders.environment import own_python
from tests.benchmarks.workload import make_topic, preload, write_model
from tests.support.broker import unique

pytestmark = pytest.mark.broker

_EVENTS = 3_000
_REPOSITORY = Path(__file__).parents[2]
_LIBRARIES = {"confluent": "confluent_kafka", "aio": "aiokafka", "kafka_python": "kafka"}


def _cases() -> Iterator[Any]:
    for name, contender in CONTENDERS.items():
        for guarantee in contender.guarantees:
            yield pytest.param(name, guarantee, id=f"{name}-{guarantee}")


@pytest.fixture(scope="module")
def events(broker: str) -> str:
    """A topic of events, all of them valid."""
    return preload(broker, _EVENTS)


@pytest.fixture(scope="module")
def expected(events: str, broker: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Tandem's predictions of the events by their id, each with the event's key, partition and bytes."""
    predictor = Predictor(read_model(write_model(tmp_path_factory.mktemp("bench") / "model")))
    encoder = PredictionEncoder(predictor.model)
    found = {}
    for columns in read_to_end(KafkaSettings(bootstrap_servers=broker), events):
        prefix = position_prefix(events, columns.partition)
        values = encoder.encode(predictor.score_json(columns.values), prefix, columns.offsets)
        for key, event, value in zip(columns.keys, columns.values, values, strict=True):
            prediction = json.loads(value)
            found[prediction["prediction_id"]] = (key, columns.partition, event, prediction)
    assert len(found) == _EVENTS
    return found


def _python_for(name: str) -> str:
    contender = CONTENDERS[name]
    if contender.own_environment:
        python = own_python()
        if python is None:
            pytest.skip("its environment is made by `make bench`")
        return str(python)
    if importlib.util.find_spec(_LIBRARIES[contender.module]) is None:
        pytest.skip("the extra `bench` is not installed")
    return sys.executable


@pytest.mark.parametrize(("name", "guarantee"), list(_cases()))
def test_a_contender_writes_what_tandem_would(
    name: str, guarantee: str, broker: str, kafka: KafkaSettings, events: str, expected: dict[str, Any]
) -> None:
    python, target = _python_for(name), unique("bench-out")
    make_topic(kafka, target)
    options = [broker, events, target, "--guarantee", guarantee, "--count", str(_EVENTS)]
    done = subprocess.run(
        [python, "-m", "tests.benchmarks.contenders", name, *options],
        capture_output=True, text=True, cwd=_REPOSITORY, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["events"] == _EVENTS
    written = list(read_to_end(kafka, target))
    assert sum(map(len, written)) == _EVENTS
    # Only a transaction leaves a marker behind the last record of a partition.
    ends = extents(kafka, target)
    last = {columns.partition: columns.offsets[-1] for columns in written}
    marked = all(ends[partition].end > offset + 1 for partition, offset in last.items())
    assert marked == (guarantee == EXACTLY_ONCE)
    if CONTENDERS[name].scores:
        _check_predictions(name, written, expected)
    else:
        passed = [zip(columns.keys, columns.values, strict=True) for columns in written]
        assert sorted(chain(*passed)) == sorted((key, event) for key, _, event, _ in expected.values())


def _check_predictions(name: str, written: list[Any], expected: dict[str, Any]) -> None:
    seen = set()
    for columns in written:
        for key, value in zip(columns.keys, columns.values, strict=True):
            prediction = json.loads(value)
            wanted_key, partition, _, wanted = expected[prediction["prediction_id"]]
            seen.add(prediction["prediction_id"])
            assert key == wanted_key
            assert columns.partition == partition or CONTENDERS[name].own_environment
            assert list(prediction) == list(wanted)
            assert prediction.pop("score") == pytest.approx(wanted["score"], abs=1e-12, rel=0)
            unknown = {"score", "model_sha256"}
            assert {name: wanted[name] for name in wanted if name not in unknown} == {
                name: value for name, value in prediction.items() if name not in unknown
            }
    assert len(seen) == _EVENTS
