"""`consumer status` on a real Kafka: who is at it, how far it has come, and whether its books balance."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.deadline import Deadline
from shared.kafka.columns import Mark, NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.groups import GroupLag
from shared.kafka.reader import Reader
from shared.kafka.writer import Writer
from tests.support.commands import ROOT, command, environment, running
from tests.support.topics import Pipeline, make_pipeline

pytestmark = pytest.mark.broker

MODEL = Path("models/threshold")
EVENT = b'{"customer_id": 1, "feature": 0.7}'


@pytest.fixture
def pipeline(kafka: KafkaSettings) -> Pipeline:
    """Fresh topics and a fresh group."""
    return make_pipeline(kafka)


def asked(pipeline: Pipeline) -> list[str]:
    where = ("--bootstrap-servers", pipeline.kafka.bootstrap_servers, "--log-format", "json")
    return [*where, "--group", pipeline.name, "--input-topic", pipeline.events]


def wait_until_committed(pipeline: Pipeline) -> None:
    """Returns once the group has committed all that there is."""
    lag = GroupLag(pipeline.kafka, pipeline.name, pipeline.events)
    deadline = Deadline.after(60)
    while lag.records():
        assert not deadline.passed, "the events were not committed"
    lag.close(Deadline.after(2))


def test_a_running_group_shows_its_members_lag_and_ledger(pipeline: Pipeline) -> None:
    pipeline.send([*[EVENT] * 20, b"not JSON"])
    with running("consumer", *pipeline.options(MODEL, "--no-http")) as consumer:
        wait_until_committed(pipeline)
        answer = command("consumer", "status", *asked(pipeline), "--json")
        consumer.end(signal.SIGTERM)
    assert answer.code == 0, answer.errors
    status = json.loads(answer.output)
    assert (status["state"], status["lag"]) == ("Stable", 0)
    assert status["ledger"] == {"read": 21, "scored": 20, "rejected": 1, "balanced": True}
    (member,) = status["members"]
    assert member["partitions"] == [0, 1, 2]
    assert sum(one["committed"] for one in status["partitions"]) == 21
    pipeline.send([EVENT] * 6)
    table = command("consumer", "status", *asked(pipeline))
    assert table.code == 0
    assert "lag 6" in table.output
    assert "ledger: 21 read = 20 scored + 1 rejected: it balances" in table.output


def test_books_that_do_not_balance_are_said_so_with_code_1(pipeline: Pipeline) -> None:
    pipeline.send([EVENT] * 3)
    reader = Reader(pipeline.kafka, pipeline.events, group=pipeline.name)
    deadline = Deadline.after(30)
    while not reader.assignment:
        assert not deadline.passed
        reader.poll(0.2)
    reader.commit(
        {0: Mark(1, '{"since":0,"read":3,"scored":1,"rejected":1}'), 1: Mark(1, "\x1b[2J not ours")}
    )
    reader.close(Deadline.after(5))
    answer = command("consumer", "status", *asked(pipeline))
    assert answer.code == 1
    assert "DOES NOT BALANCE" in answer.output
    assert "\x1b" not in answer.output


def test_an_open_transaction_of_an_instance_is_shown(pipeline: Pipeline) -> None:
    pipeline.send([EVENT])
    assert command("consumer", *pipeline.options(MODEL, "--no-http", "--max-events", "1")).code == 0
    writer = Writer(pipeline.kafka, transactional_id=f"{pipeline.name}/gone", transaction_timeout=60)
    writer.begin()
    writer.write(NewRecords(pipeline.predictions, 0, [None], [b"unfinished"], 1))
    writer.flush(Deadline.after(10))
    status = json.loads(command("consumer", "status", *asked(pipeline), "--json").output)
    writer.abort_transaction(Deadline.after(10))
    writer.close(Deadline.after(5))
    (left,) = status["transactions"]
    assert (left["id"], left["state"], left["timeout"]) == (f"{pipeline.name}/gone", "Ongoing", 60)


def test_a_group_that_does_not_exist_is_a_sentence(pipeline: Pipeline) -> None:
    answer = command("consumer", "status", *asked(pipeline))
    assert answer.code == 2
    assert answer.errors.startswith(f"error: there is no group '{pipeline.name}'")


def test_watching_ends_with_ctrl_c_in_good_order(pipeline: Pipeline) -> None:
    pipeline.send([EVENT])
    assert command("consumer", *pipeline.options(MODEL, "--no-http", "--max-events", "1")).code == 0
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", "status", *asked(pipeline), "--watch", "0.1", "--json"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as watching:  # fmt: skip
        # Ends the wait for a line that does not come.
        limit = threading.Timer(60, watching.kill)
        limit.start()
        try:
            assert watching.stdout is not None
            shown = [json.loads(watching.stdout.readline()) for _ in range(2)]
            watching.send_signal(signal.SIGINT)
            _, errors = watching.communicate(timeout=30)
        finally:
            limit.cancel()
            watching.kill()
    assert (watching.returncode, errors) == (0, "")
    assert [one["ledger"]["read"] for one in shown] == [1, 1]
