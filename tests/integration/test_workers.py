"""Several workers on a real Kafka: killed, restarted one by one, orphaned; a name in the group."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient

from shared.deadline import Deadline
from shared.errors import FencedError
from shared.kafka.connection import KafkaSettings, client_options, open_client
from shared.kafka.reader import Reader
from tests.support.broker import unique
from tests.support.commands import Running, command, running
from tests.support.records import MakeReader, MakeTopic
from tests.support.topics import Pipeline, make_pipeline

pytestmark = pytest.mark.broker

MODEL = Path("models/threshold")
WORKERS = 3


@pytest.fixture
def pipeline(kafka: KafkaSettings) -> Pipeline:
    """Fresh topics and a fresh group."""
    return make_pipeline(kafka, partitions=6)


def events(count: int) -> list[bytes]:
    return [json.dumps({"customer_id": number, "feature": 0.7}).encode() for number in range(count)]


def said(consumer: Running, message: str) -> list[dict[str, Any]]:
    """The log lines that begin so."""
    lines = [json.loads(line) for line in list(consumer.lines) if line.startswith("{")]
    return [line for line in lines if line["message"].startswith(message)]


def wait_until_shared(consumer: Running) -> dict[int, list[int]]:
    """Waits until all partitions are read; returns those of each worker."""
    deadline = Deadline.after(60)
    while True:
        latest = {line["worker"]: line["partitions"] for line in said(consumer, "Ready")}
        if len(latest) == WORKERS and sorted(chain.from_iterable(latest.values())) == list(range(6)):
            return latest
        assert not deadline.passed, consumer.lines
        deadline.pause(0.05)


def wait_for(consumer: Running, message: str, times: int) -> None:
    deadline = Deadline.after(60)
    while len(said(consumer, message)) < times:
        assert not deadline.passed, consumer.lines
        deadline.pause(0.05)


def options(pipeline: Pipeline, *more: str) -> list[str]:
    """Workers whose places in the group are kept for longer than a busy machine takes to start them again."""
    patience = ("--kafka-option", "session_timeout_ms=60000")
    return pipeline.options(MODEL, "--workers", str(WORKERS), "--no-http", *patience, *more)


@contextmanager
def load(pipeline: Pipeline) -> Iterator[None]:
    """Sends events all the while."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.1):
            pipeline.send(events(60))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()


def assert_each_event_once(pipeline: Pipeline) -> None:
    sent = {
        f"{columns.topic}/{columns.partition}/{offset}"
        for columns in pipeline.read(pipeline.events)
        for offset in columns.offsets
    }
    content = pipeline.committed_content()
    assert (set(content), set(content.values())) == (sent, {1})


def test_a_killed_worker_is_back_with_its_partitions_and_the_others_notice_nothing(
    pipeline: Pipeline,
) -> None:
    with running("consumer", *options(pipeline)) as consumer, load(pipeline):
        shared = wait_until_shared(consumer)
        assert sorted(map(len, shared.values())) == [2, 2, 2]
        before = len(consumer.lines)
        (killed,) = {line["pid"] for line in said(consumer, "Worker started") if line["worker"] == 1}
        assigned = len(said(consumer, "Assigned"))
        os.kill(killed, signal.SIGKILL)
        wait_for(consumer, "Assigned", assigned + 1)
        wait_for(consumer, "Worker started", WORKERS + 1)
        wait_until_shared(consumer)
        after = [json.loads(line) for line in consumer.lines[before:] if line.startswith("{")]
        moved = [line for line in after if line["message"].startswith(("Assigned", "Revoked"))]
        assert [(line["worker"], line["message"]) for line in moved] == [
            (1, f"Assigned partitions {shared[1]}")
        ]
        (ended,) = said(consumer, "Worker ended")
        assert (ended["worker"], ended["pid"], ended["exit_code"]) == (1, killed, -signal.SIGKILL)
        assert consumer.end(signal.SIGTERM) == 0
    assert command("consumer", *options(pipeline, "--until-idle", "1")).code == 0
    assert_each_event_once(pipeline)


def test_a_rolling_restart_moves_no_partition_and_a_killed_supervisor_leaves_no_worker(
    pipeline: Pipeline,
) -> None:
    with running("consumer", *options(pipeline)) as consumer:
        with load(pipeline):
            shared = wait_until_shared(consumer)
            assigned = len(said(consumer, "Assigned"))
            wait_for(consumer, "Worker ready", WORKERS)
            ready = len(said(consumer, "Worker ready"))
            began = time.time()
            consumer.process.send_signal(signal.SIGHUP)
            wait_for(consumer, "Assigned", assigned + WORKERS)
            wait_for(consumer, "Worker ready", ready + WORKERS)
            took = time.time() - began
            anew = said(consumer, "Assigned")[assigned:]
            # One after the other, and each is given what it had.
            assert [(line["worker"], line["message"]) for line in anew] == [
                (worker, f"Assigned partitions {shared[worker]}") for worker in range(WORKERS)
            ]
            pids = [line["pid"] for line in said(consumer, "Worker started")]
            consumer.process.kill()
            consumer.process.wait()
        deadline = Deadline.after(30)
        while any(map(alive, pids)):
            assert not deadline.passed, [pid for pid in pids if alive(pid)]
            deadline.pause(0.05)
    assert command("consumer", *options(pipeline, "--until-idle", "1")).code == 0
    assert_each_event_once(pipeline)
    waited = longest_wait(pipeline, began, began + took)
    print(f"rolling restart in {took:.1f} s; longest wait for a prediction {waited:.2f} s")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    # An orphan that nobody has asked for its exit code has ended as well.
    return state.rpartition(")")[2].split()[0] != "Z"


def longest_wait(pipeline: Pipeline, start: float, stop: float) -> float:
    """Seconds from an event of that time to its prediction, at worst, as the records' timestamps tell."""
    sent = {
        f"{columns.topic}/{columns.partition}/{offset}": at
        for columns in pipeline.read(pipeline.events)
        for offset, at in zip(columns.offsets, columns.timestamps, strict=True)
        if start * 1000 <= at <= stop * 1000
    }
    waits = [
        at - sent[position]
        for columns in pipeline.read(pipeline.predictions)
        for value, at in zip(columns.values, columns.timestamps, strict=True)
        if (position := json.loads(value or b"")["prediction_id"]) in sent
    ]
    return max(waits) / 1000


def admin_of(kafka: KafkaSettings) -> KafkaAdminClient:
    """A client that leaves no socket open when it is closed, as the library's own may."""
    return open_client(KafkaAdminClient, client_options(kafka, role="admin"), kafka, Deadline.after(20))


def members(kafka: KafkaSettings, group: str) -> list[str]:
    """The names of a group's members."""
    admin = admin_of(kafka)
    found = admin.describe_groups([group])[group]["members"]
    admin.close()
    return [member["group_instance_id"] for member in found]


@pytest.mark.parametrize("public_calls", [False], indirect=True, ids=["fast path"])
def test_a_reader_with_a_name_keeps_its_place_in_the_group_or_gives_it_up_as_told(
    kafka: KafkaSettings, topic_factory: MakeTopic, reader: MakeReader
) -> None:
    topic, group = topic_factory(partitions=2), unique("group")
    first = reader(topic, group, instance="name")
    join(first)
    first.close(Deadline.after(10), leave=False)
    assert members(kafka, group) == ["name"]
    second = reader(topic, group, instance="name")
    join(second)
    assert members(kafka, group) == ["name"]
    second.close(Deadline.after(10), leave=True)
    assert members(kafka, group) == []


@pytest.mark.parametrize("public_calls", [False], indirect=True, ids=["fast path"])
def test_a_reader_learns_that_another_of_its_name_has_its_place_and_leaves_it_alone(
    kafka: KafkaSettings, topic_factory: MakeTopic, reader: MakeReader
) -> None:
    topic, group = topic_factory(partitions=2), unique("group")
    older = reader(topic, group, instance="name")
    join(older)
    newer = reader(topic, group, instance="name")
    join(newer)
    deadline = Deadline.after(30)
    # There is no event: without one, nothing but its heartbeats could tell it.
    with pytest.raises(FencedError):
        poll_until(older, deadline)
    older.close(Deadline.after(10), leave=True)
    assert members(kafka, group) == ["name"]


@pytest.mark.parametrize("public_calls", [False], indirect=True, ids=["fast path"])
def test_a_member_knows_its_topic_before_it_joins_the_group(
    topic_factory: MakeTopic, reader: MakeReader
) -> None:
    topic = topic_factory(partitions=3)
    for _ in range(5):
        assert reader(topic, unique("group"))._consumer._cluster.partitions_for_topic(topic) == {0, 1, 2}


def test_a_member_reads_partitions_that_its_topic_was_given(
    kafka: KafkaSettings, topic_factory: MakeTopic, public_calls: bool
) -> None:
    often = kafka.model_copy(update={"kafka_option": {"metadata_max_age_ms": "50"}})
    topic, admin = topic_factory(), admin_of(kafka)
    reader = Reader(often, topic, group=unique("group"), public_calls=public_calls)
    try:
        for partitions in range(2, 8):
            admin.create_partitions({topic: partitions})
            deadline = Deadline.after(30)
            while len(reader.assignment) < partitions:
                assert not deadline.passed
                # Shorter than an exchange with the group: it ends in the midst of one.
                reader.poll(0.001)
    finally:
        reader.close(Deadline.after(5))
        admin.close()


def poll_until(reader: Reader, deadline: Deadline) -> None:
    while not deadline.passed:
        reader.poll(0.1)


def join(reader: Reader) -> None:
    deadline = Deadline.after(30)
    while not reader.assignment:
        assert not deadline.passed
        reader.poll(0.1)
