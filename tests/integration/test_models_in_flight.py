"""The real consumer on a real Kafka: models that are swapped under load, a shadow, and trace context."""

import json
import re
import shutil
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shared.deadline import Deadline
from shared.kafka.columns import Header, NewRecords, RecordColumns
from shared.kafka.connection import KafkaSettings
from shared.kafka.writer import Writer
from shared.predict import Predictor
from tests.support.broker import free_port
from tests.support.commands import Running, command, running
from tests.support.models import GOLDEN, INPUTS, WEIGHTS, change_model, linear_model, threshold_model
from tests.support.topics import Pipeline, make_pipeline

pytestmark = pytest.mark.broker

LESSON = Path("models/threshold")


@pytest.fixture
def pipeline(kafka: KafkaSettings) -> Pipeline:
    """Fresh topics and a fresh group."""
    return make_pipeline(kafka)


def event(customer: int, feature: float) -> bytes:
    return json.dumps({"customer_id": customer, "feature": feature}).encode()


def churn_event(random: Random) -> bytes:
    """An event of the linear test model."""
    contract = random.choice(["monthly", "yearly", "é"])
    fields = {"tenure": random.randrange(1200), "partner": random.random() < 0.5, "contract": contract}
    return json.dumps({"customer_id": random.randrange(1 << 40), **fields}).encode()


def switch(link: Path, target: Path) -> None:
    """Lets a link stand for another directory, at once."""
    following = link.with_name(f"{link.name}-next")
    following.symlink_to(target)
    following.rename(link)


def at(topic: Sequence[RecordColumns]) -> Iterator[tuple[int, bytes | None, bytes | None, list[Header]]]:
    """Each record's partition, key, value and headers, in the order of each partition."""
    for columns in sorted(topic, key=lambda columns: (columns.partition, columns.offsets[0])):
        for row, (key, value) in enumerate(zip(columns.keys, columns.values, strict=True)):
            yield columns.partition, key, value, columns.headers.get(row, [])


def scored_in_order(pipeline: Pipeline, topic: str) -> dict[int, list[dict[str, Any]]]:
    """The predictions of each partition as they stand."""
    found = [(partition, json.loads(value or b"")) for partition, _, value, _ in at(pipeline.read(topic))]
    return {
        partition: [prediction for _, prediction in own]
        for partition, own in groupby(found, key=lambda each: each[0])
    }


def metrics(port: int) -> dict[str, float]:
    """The consumer's metrics by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    told = [line.rpartition(" ") for line in lines if line and not line.startswith("#")]
    return {series: float(value) for series, _, value in told}


def wait_until_read(port: int, events: int, consumer: Running) -> dict[str, float]:
    """The metrics once so many events are committed."""
    deadline = Deadline.after(60)
    while True:
        found = metrics(port)
        if (
            sum(value for name, value in found.items() if name.startswith("tandem_events_read_total"))
            >= events
        ):
            return found
        assert not deadline.passed, f"not read in time:\n{''.join(consumer.lines)}"
        assert consumer.process.poll() is None, "".join(consumer.lines)
        deadline.pause(0.1)


def test_models_are_swapped_under_load_and_every_score_is_that_of_the_model_it_names(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    random, sent = Random(5), dict[tuple[int, int], bytes]()  # noqa: S311 - any events do
    versions = {
        str(number): linear_model(tmp_path / f"v{number}", version=str(number), intercept=number / 7)
        for number in (1, 2, 3)
    }
    link = tmp_path / "model"
    link.symlink_to(versions["1"])
    counts = Counter[int]()

    def send() -> None:
        values = [churn_event(random) for _ in range(900)]
        pipeline.send(values, batch_bytes=4_000)
        for number, value in enumerate(values):
            partition = number % pipeline.partitions
            sent[partition, counts[partition]] = value
            counts[partition] += 1

    options = pipeline.options(link, "--watch-model", "0.1", "--batch-events", "500", "--until-idle", "3")
    with running("consumer", *options, "--no-http") as consumer:
        consumer.wait_for('"Ready"')
        send()
        for version in ("2", "3"):
            switch(link, versions[version])
            deadline = Deadline.after(60)
            while not any(f"linear@{version} (sha256" in line for line in consumer.lines):
                assert not deadline.passed, "".join(consumer.lines)
                send()
            send()
        assert consumer.wait() == 0, "".join(consumer.lines)

    content = pipeline.committed_content()
    assert (len(content), set(content.values())) == (len(sent), {1})
    predictors = {f"linear@{version}": Predictor.load(path) for version, path in versions.items()}
    seen = set()
    for partition, predictions in scored_in_order(pipeline, pipeline.predictions).items():
        models = [model for model, _ in groupby(predictions, key=lambda one: one["model"])]
        assert models == sorted(set(models)), f"partition {partition} went back: {models}"
        seen |= set(models)
        for model, group in groupby(predictions, key=lambda one: one["model"]):
            own = list(group)
            values = [sent[partition, int(one["prediction_id"].rpartition("/")[2])] for one in own]
            expected = predictors[model].score_json(values)
            assert [one["score"] for one in own] == expected.scores.tolist()
            assert {one["model_sha256"] for one in own} == {predictors[model].model.short_sha256}
    assert seen == set(predictors)


def test_bad_models_are_refused_with_a_sentence_and_the_old_one_goes_on(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    first = linear_model(tmp_path / "v1", version="1")
    link = tmp_path / "model"
    link.symlink_to(first)
    wrong_hash = linear_model(tmp_path / "wrong-hash", version="2")
    (wrong_hash / "coefficients.json").write_bytes(b"{}")
    wrong_golden = linear_model(tmp_path / "wrong-golden", version="3")
    change_model(wrong_golden, golden=[{"event": dict(GOLDEN[0]), "score": 0.5}])
    whole = linear_model(tmp_path / "whole", version="4", intercept=1.0)
    half = shutil.copytree(whole, tmp_path / "half")
    (half / "coefficients.json").write_bytes((whole / "coefficients.json").read_bytes()[:20])
    other_form = linear_model(tmp_path / "other-form", version="5", outputs={"decision": "leaves"})
    golden = [{**row, "age": 40} for row in GOLDEN]
    inputs, weights = [*INPUTS, {"name": "age", "type": "integer"}], {**WEIGHTS, "age": 0.1}
    other_events = linear_model(tmp_path / "other-events", inputs=inputs, weights=weights, golden=golden)
    port, read = free_port(), 0
    random = Random(1)  # noqa: S311 - any events do
    values = [churn_event(random) for _ in range(30)]
    options = pipeline.options(link, "--watch-model", "0.1", "--http-port", str(port))
    with running("consumer", *options) as consumer:
        consumer.wait_for('"Ready"')
        for model, why in (
            (wrong_hash, "has the sha256"),
            (wrong_golden, "golden row 0 scores"),
            (other_form, "the decision's name is 'leaves'"),
            (other_events, "of the last 90 events"),
            (half, "has the sha256"),
        ):
            before = len(consumer.lines)
            switch(link, model)
            deadline = Deadline.after(30)
            while not any("is refused" in line and why in line for line in consumer.lines[before:]):
                assert not deadline.passed, "".join(consumer.lines)
                deadline.pause(0.05)
            pipeline.send(values)
            read += len(values)
            wait_until_read(port, read, consumer)
        # The copy goes on to its end.
        shutil.copy(whole / "coefficients.json", half / "coefficients.json")
        consumer.wait_for("linear@4 (sha256", 30)
        pipeline.send(values)
        told = wait_until_read(port, read + len(values), consumer)
        assert told['tandem_model_swaps_total{outcome="refused"}'] == 5
        assert told['tandem_model_swaps_total{outcome="swapped"}'] == 1
        assert not any("Traceback" in line for line in consumer.lines)
    stamped = Counter(one["model"] for one in pipeline.scored())
    assert stamped == {"linear@1": 5 * len(values), "linear@4": len(values)}


def test_the_shadows_flips_are_those_computed_by_hand(pipeline: Pipeline, tmp_path: Path) -> None:
    """The champion says yes above 0.6, the challenger above 0.4, and it takes nothing above 0.8."""
    inputs = [
        {"name": "customer_id", "type": "integer"},
        {"name": "feature", "type": "number", "maximum": 0.8},
    ]
    shadow = change_model(threshold_model(tmp_path / "next"), version="2", threshold=0.4, inputs=inputs)
    topic = f"{pipeline.name}-shadow"
    features = [number / 100 for number in range(100)]
    values: list[bytes | None] = [event(number, feature) for number, feature in enumerate(features)]
    values += [b"junk"] * 5
    port = free_port()
    options = pipeline.options(LESSON, "--shadow", str(shadow), "--shadow-topic", topic, "--create-topics")
    with running("consumer", *options, "--http-port", str(port)) as consumer:
        consumer.wait_for('"Ready"')
        pipeline.send(values)
        told = wait_until_read(port, len(values), consumer)
    raised = [feature for feature in features if 0.4 < feature <= 0.6]
    refused = [feature for feature in features if feature > 0.8]
    compared = len(features) - len(refused)
    assert told['tandem_shadow_decisions_total{outcome="raised"}'] == len(raised) == 20
    assert told['tandem_shadow_decisions_total{outcome="lowered"}'] == 0
    assert told['tandem_shadow_decisions_total{outcome="agreed"}'] == compared - len(raised)
    assert told['tandem_shadow_rejected_total{reason="out_of_range"}'] == len(refused) == 19
    assert told["tandem_shadow_score_difference_count"] == compared
    assert told["tandem_shadow_score_difference_sum"] == 0
    assert told['tandem_shadow_running{worker="0"}'] == 1
    [info] = [name for name in told if name.startswith("tandem_model_info") and 'role="shadow"' in name]
    assert 'version="2"' in info
    champions = {one["prediction_id"]: one for one in pipeline.scored()}
    beside = [one for own in scored_in_order(pipeline, topic).values() for one in own]
    assert len(champions) == len(features)
    assert len(beside) == compared
    flipped = [one for one in beside if one["churn"] != champions[one["prediction_id"]]["churn"]]
    assert len(flipped) == len(raised)
    assert {one["model"] for one in beside} == {"threshold@2"}
    assert len(pipeline.letters()) == 5


@pytest.mark.parametrize("kind", ["raising", "slow"])
def test_a_challenger_that_fails_changes_no_byte_of_the_champions_output(
    pipeline: Pipeline, tmp_path: Path, kind: str
) -> None:
    values: list[bytes | None] = [event(number, 0.4 + number % 5 / 10) for number in range(600)]
    values[7] = b"junk"
    shadow = change_model(threshold_model(tmp_path / kind), kind=kind, version="bad")
    topic = f"{pipeline.name}-shadow"
    pipeline.send(values, batch_bytes=2_000)
    ending = ("--max-events", str(len(values)), "--no-http", "--batch-events", "100")
    done = command("consumer", *pipeline.options(LESSON, *ending))
    assert done.code == 0, done.errors
    expected = [list(at(pipeline.read(name))) for name in (pipeline.predictions, pipeline.dead_letters)]
    # The same events once more, by another group, to the same topics: both halves are to be alike.
    options = pipeline.options(LESSON, *ending, "--shadow", str(shadow), "--shadow-topic", topic)
    options += ["--group", f"{pipeline.name}-b", "--create-topics"]
    done = command("tests.support.planted_consumer", *options)
    assert done.code == 0, done.errors
    assert re.search("shadow threshold@bad failed for .* batches in a row and is switched off", done.errors)
    for before, name in zip(expected, (pipeline.predictions, pipeline.dead_letters), strict=True):
        both = list(at(pipeline.read(name)))
        assert len(both) == 2 * len(before)
        for partition in range(pipeline.partitions):
            own = [record for record in both if record[0] == partition]
            assert own[: len(own) // 2] == own[len(own) // 2 :]
            assert own[: len(own) // 2] == [record for record in before if record[0] == partition]


def test_a_shadow_that_cannot_be_loaded_is_refused_at_the_start(pipeline: Pipeline, tmp_path: Path) -> None:
    shadow = linear_model(tmp_path / "shadow")
    (shadow / "coefficients.json").write_bytes(b"{}")
    options = pipeline.options(LESSON, "--shadow", str(shadow), "--create-topics", "--no-http")
    refused = command("consumer", *options, "--shadow-topic", f"{pipeline.name}-shadow")
    assert refused.code == 3
    assert "has the sha256" in refused.errors


def test_trace_context_comes_unchanged_to_predictions_shadow_predictions_and_dead_letters(
    kafka: KafkaSettings, pipeline: Pipeline, tmp_path: Path
) -> None:
    trace: list[Header] = [
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", b"congo=t61rcWkgMzE,odd=\x00\xff"),
        ("baggage", b"userId=alice"),
    ]
    other: list[Header] = [("content-type", b"application/json")]
    long: list[Header] = [trace[0], ("baggage", b"x" * 8_193)]
    headers = [trace + other, [], other, long, trace]
    values = [*[event(number, 0.7) for number in range(4)], b"junk"]
    writer = Writer(kafka)
    keys = [str(number).encode() for number in range(5)]
    writer.write(NewRecords(pipeline.events, 0, keys, values, 1_700_000_000_000, headers))
    writer.flush(Deadline.after(20))
    writer.close(Deadline.after(10))
    topic = f"{pipeline.name}-shadow"
    shadow = threshold_model(tmp_path / "next", version="2")
    done = command(
        "consumer",
        *pipeline.options(LESSON, "--max-events", "5", "--no-http", "--create-topics"),
        *("--shadow", str(shadow), "--shadow-topic", topic),
    )
    assert done.code == 0, done.errors
    expected = {b"0": trace, b"1": [], b"2": [], b"3": [trace[0]]}
    for name in (pipeline.predictions, topic):
        assert {key: found for _, key, _, found in at(pipeline.read(name))} == expected
    [(_, key, _, letter)] = at(pipeline.read(pipeline.dead_letters))
    assert (key, letter[:3]) == (b"4", trace)
