"""What those who run a consumer see of it: health, metrics, and how it ends when it does not get on."""

import json
import re
import signal
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from shared.deadline import Deadline
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.writer import Writer
from shared.models.directory import KINDS
from tests.support.broker import own_broker, unique
from tests.support.commands import Running, command, running
from tests.support.models import threshold_model
from tests.support.promlint import problems
from tests.support.topics import Pipeline, make_pipeline
from tests.support.unstable import ByThread

pytestmark = pytest.mark.broker

MODEL = Path("models/threshold")
PORT = re.compile(r'"http_port": (\d+)')


def events(count: int) -> list[bytes]:
    """Events, every tenth of which is none."""
    good = (json.dumps({"customer_id": number, "feature": 0.7}).encode() for number in range(count))
    return [b"junk" if number % 10 == 0 else event for number, event in enumerate(good)]


class Port:
    """The HTTP port of a running consumer."""

    def __init__(self, consumer: Running) -> None:
        consumer.wait_for('"http_port"')
        (line,) = [line for line in consumer.lines if "http_port" in line]
        found = PORT.search(line)
        assert found is not None
        self.number = int(found[1])

    def ask(self, path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.number, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """Each series and its value, from a page without a fault."""
        _, page = self.ask("/metrics")
        assert problems(page) == []
        series = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in series}

    def wait_for(self, path: str, status: int) -> dict[str, Any]:
        """The answer, once it has this status."""
        deadline, told = Deadline.after(60), self.ask(path)
        while told[0] != status:
            assert not deadline.passed, f"{path} is not {status}: {told}"
            time.sleep(0.1)
            told = self.ask(path)
        answer: dict[str, Any] = json.loads(told[1])
        return answer

    def wait_until(self, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """The metrics, once something holds of them."""
        deadline, told = Deadline.after(60), self.metrics()
        while not holds(told):
            assert not deadline.passed, told
            time.sleep(0.1)
            told = self.metrics()
        return told


def total(metrics: dict[str, float], name: str) -> float:
    return sum(value for series, value in metrics.items() if series.partition("{")[0] == name)


def caught_up(pipeline: Pipeline) -> Callable[[dict[str, float]], bool]:
    lags = [f'tandem_partition_lag{{partition="{number}"}}' for number in range(pipeline.partitions)]
    return lambda metrics: [metrics.get(lag) for lag in lags] == [0] * len(lags)


@pytest.fixture
def pipeline(kafka: KafkaSettings) -> Pipeline:
    """Fresh topics and a fresh group."""
    return make_pipeline(kafka)


def send_in_transactions(pipeline: Pipeline, values: list[bytes]) -> None:
    """Sends one transaction that counts and one that does not, so that each partition ends in markers."""
    writer = Writer(pipeline.kafka, transactional_id=unique("sender"))
    for commit in (True, False):
        writer.begin()
        for partition in range(pipeline.partitions):
            mine = values[partition :: pipeline.partitions]
            writer.write(NewRecords(pipeline.events, partition, [None] * len(mine), mine, 1))
        writer.flush(Deadline.after(20))
        writer.commit_transaction() if commit else writer.abort_transaction()
    writer.close(Deadline.after(10))


@pytest.mark.parametrize("workers", [1, 2])
def test_health_and_metrics_under_load(pipeline: Pipeline, workers: int) -> None:
    pipeline.send(events(3_000))
    options = pipeline.options(MODEL, "--http-port", "0", "--workers", str(workers), "--batch-events", "500")
    with running("consumer", *options) as consumer:
        port = Port(consumer)
        assert len(port.wait_for("/readyz", 200)["workers"]) == workers
        assert port.ask("/livez")[0] == 200
        pipeline.send(events(2_000))
        # Whose last offsets hold no event: the lag must not stay above 0 for them.
        send_in_transactions(pipeline, events(1_000))
        port.wait_until(lambda now: total(now, "tandem_events_read_total") == 6_000)
        metrics = port.wait_until(caught_up(pipeline))
        assert port.ask("/readyz")[0] == 200
    assert metrics['tandem_events_rejected_total{reason="not_json"}'] == 600
    assert total(metrics, "tandem_events_scored_total") == 5_400
    assert metrics["tandem_event_age_seconds_count"] == metrics["tandem_batch_events_sum"] == 6_000
    assert total(metrics, "tandem_assigned_partitions") == pipeline.partitions
    committed = metrics['tandem_transactions_total{outcome="committed"}']
    assert committed == metrics["tandem_batch_events_count"] == metrics["tandem_batch_duration_seconds_count"]
    assert total(metrics, "tandem_ready") == workers
    (model,) = [series for series in metrics if series.startswith("tandem_model_info")]
    assert 'role="champion"' in model
    assert metrics["tandem_process_cpu_seconds_total"] > 0


def test_a_broker_that_falls_silent_makes_it_unready_but_does_not_end_it(kafka: KafkaSettings) -> None:
    with own_broker() as broker:
        pipeline = make_pipeline(kafka.model_copy(update={"bootstrap_servers": broker.address}))
        options = pipeline.options(MODEL, "--http-port", "0", "--stall-timeout", "5")
        with running("consumer", *options) as consumer:
            port = Port(consumer)
            port.wait_for("/readyz", 200)
            with broker.frozen():
                told = port.wait_for("/readyz", 503)
                assert told["workers"]["0"]["why"][0].startswith("no broker has answered for")
                assert port.ask("/livez")[0] == 200
                assert problems(port.ask("/metrics")[1]) == []
            port.wait_for("/readyz", 200)
            pipeline.send(events(100))
            port.wait_until(lambda now: total(now, "tandem_events_read_total") == 100)
            assert consumer.process.poll() is None


def error_line(consumer: Running) -> dict[str, Any]:
    (line,) = [line for line in consumer.lines if '"Stalled: ' in line]
    told: dict[str, Any] = json.loads(line)
    return told


def test_a_partition_that_stands_still_ends_the_consumer_which_says_which_one_and_where(
    pipeline: Pipeline,
) -> None:
    pipeline.send(events(300))
    options = pipeline.options(MODEL, "--http-port", "0", "--stall-timeout", "5")
    with running("tests.support.stuck_consumer", "paused", *options) as consumer:
        port = Port(consumer)
        port.wait_until(lambda now: total(now, "tandem_events_read_total") == 200)
        assert consumer.wait() == 5
    told = error_line(consumer)
    said = r"Stalled: partition 1 has stood at offset 0 for ([5-9]|\d\d+) s, and ends at 100"
    assert re.match(said, told["message"])
    assert (told["partition"], told["position"], told["end"], told["level"]) == (1, 0, 100, "error")
    assert "File" in told["stack"]
    assert any("error: The consumer does not get on: partition 1" in line for line in consumer.lines)
    assert not any("Traceback" in line for line in consumer.lines)
    # What it had done is done, and the next one does the rest.
    assert command("consumer", *pipeline.options(MODEL, "--max-events", "100", "--no-http")).code == 0
    content = pipeline.committed_content()
    assert (len(content), set(content.values())) == (300, {1})


def test_a_loop_that_hangs_is_ended_by_force_with_the_stack_that_shows_where(pipeline: Pipeline) -> None:
    pipeline.send(events(30))
    options = pipeline.options(MODEL, "--http-port", "0", "--stall-timeout", "5")
    with running("tests.support.stuck_consumer", "hanging", *options) as consumer:
        port = Port(consumer)
        why = port.wait_for("/livez", 503)["workers"]["0"]["why"][0]
        assert re.match(r"the step 'score' has taken ([5-9]|\d\d+) s", why)
        assert port.ask("/readyz")[0] == 503
        assert consumer.wait() == 5
    told = error_line(consumer)
    assert told["step"] == "score"
    assert "_never_score" in told["stack"]
    assert told["offsets_by_partition"].keys() <= {"0", "1", "2"}
    assert any("Ended by the watchdog" in line for line in consumer.lines)
    assert pipeline.committed_content() == {}


def test_the_sentinel_scores_live_events_again_and_nothing_disagrees(pipeline: Pipeline) -> None:
    pipeline.send(events(3_000))
    options = pipeline.options(MODEL, "--http-port", "0", "--workers", "2", "--sentinel", "1")
    with running("consumer", *options, "--batch-events", "500") as consumer:
        metrics = Port(consumer).wait_until(lambda now: total(now, "tandem_sentinel_events_total") == 3_000)
        assert metrics['tandem_events_rejected_total{reason="not_json"}'] == 300
        assert metrics["tandem_sentinel_cpu_seconds_total"] > 0
        for name in ("disagreements", "left_out"):
            values = [value for series, value in metrics.items() if f"sentinel_{name}" in series]
            assert set(values) == {0}


def test_the_sentinel_tells_of_a_model_that_says_something_else_elsewhere(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(KINDS, ByThread.kind, ByThread)
        model = threshold_model(tmp_path / "planted", kind=ByThread.kind)
    pipeline.send(events(300))
    options = pipeline.options(model, "--http-port", "0", "--sentinel", "0.5", "--reject-limit", "1")
    decision = 'tandem_sentinel_disagreements_total{kind="decision"}'
    with running("tests.support.planted_consumer", *options) as consumer:
        metrics = Port(consumer).wait_until(lambda now: now.get(decision, 0) > 0)
        assert consumer.end(signal.SIGTERM) == 0
    others = [value for series, value in metrics.items() if "disagreements" in series and series != decision]
    assert set(others) == {0}
    [line] = [json.loads(line) for line in consumer.lines if "batch path disagree" in line]
    assert (line["level"], line["kind"]) == ("error", "decision")
    assert line["position"].startswith(f"{pipeline.events}/")
    said = "the stream says 0x1.6666666666666p-1 (true), the batch path 0x0.0p+0 (false)"
    assert said in line["message"]
    # It says so, and changes nothing.
    assert len(pipeline.committed_content()) == 300
