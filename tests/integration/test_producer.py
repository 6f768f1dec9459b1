"""The real producer on a real Kafka: what then stands in the topic, and what it says of it."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from producer.generate import lesson_events
from producer.malformed import kinds_for
from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings
from shared.kafka.partitioning import partition_for
from shared.kafka.reader import Reader
from shared.predict import Predictor
from tests.support.broker import free_port
from tests.support.commands import ROOT, command, environment
from tests.support.records import MakeTopic, read

pytestmark = pytest.mark.broker

Stored = list[tuple[int, bytes | None, bytes | None]]


@pytest.fixture
def stored(kafka: KafkaSettings) -> Callable[[str, int], Stored]:
    """Reads a topic that must hold so many records and no more: partition, key and value of each."""

    def look(topic: str, count: int) -> Stored:
        reader = Reader(kafka, topic, group=None)
        try:
            assert sum(reader.end_offsets().values()) == count
            found = read(reader, count)
        finally:
            reader.close(Deadline.after(5))
        return [
            (partition, key, value)
            for partition, columns in sorted(found.items())
            for key, value in zip(columns.keys, columns.values, strict=True)
        ]

    return look


def said(output: str) -> dict[str, int]:
    """The figures of the summary."""
    return {
        name: int(figure.replace(",", ""))
        for name, figure in re.findall(r"^([a-z ]+?) +([\d,]+)", output, re.MULTILINE)
    }


def test_the_lesson_arrives_keyed_by_customer(
    kafka: KafkaSettings, topic_factory: MakeTopic, stored: Callable[[str, int], Stored]
) -> None:
    topic = topic_factory("lesson", partitions=4)
    done = command("producer", "--lesson", "--topic", topic, "--bootstrap-servers", kafka.bootstrap_servers)
    assert (done.code, said(done.output)) == (0, {"sent": 5, "acknowledged": 5, "failed": 0}), done.errors
    records = stored(topic, 5)
    events = [json.loads(value or b"") for _, _, value in records]
    assert sorted(events, key=lambda event: str(event["customer_id"])) == list(lesson_events())
    for (partition, key, _), event in zip(records, events, strict=True):
        assert key == str(event["customer_id"]).encode()
        assert partition == partition_for(key, 4)


def test_a_script_reads_what_became_of_the_events(
    kafka: KafkaSettings, topic_factory: MakeTopic, stored: Callable[[str, int], Stored]
) -> None:
    topic = topic_factory("lesson")
    done = command(
        "producer", "--lesson", "--json", "--topic", topic, "--bootstrap-servers", kafka.bootstrap_servers
    )
    told = json.loads(done.output)
    assert told.pop("seconds") > 0
    assert told.pop("events_per_second") > 0
    counts = {"sent": 5, "acknowledged": 5, "failed": 0, "not_sent": 0}
    assert (done.code, told) == (0, {"topic": topic, **counts, "errors": []}), done.errors
    stored(topic, 5)


def test_malformed_events_of_every_kind_arrive_and_a_seed_sends_the_same_bytes(
    kafka: KafkaSettings, topic_factory: MakeTopic, stored: Callable[[str, int], Stored]
) -> None:
    first, second = (topic_factory("mixed", partitions=3, max_message_bytes=str(2 << 20)) for _ in range(2))
    options = ("--count", "200", "--bad-ratio", "0.4", "--seed", "7", "--broker-timeout", "20")
    for topic in (first, second):
        done = command("producer", *options, "--topic", topic, "--bootstrap-servers", kafka.bootstrap_servers)
        assert (done.code, said(done.output).get("acknowledged")) == (0, 200), done.errors
    records = stored(first, 200)
    assert records == stored(second, 200)
    predictor = Predictor.load(ROOT / "models" / "churn-linear")
    outcome = predictor.score_json([value for _, _, value in records])
    reasons = {rejection.reason for rejection in outcome.rejections}
    assert reasons == {kind.reason for kind in kinds_for(predictor.model.schema).values()}
    assert len(outcome.rows) > 80


def test_too_large_events_are_left_out_unless_asked_for_where_the_topic_does_not_take_them(
    kafka: KafkaSettings, topic_factory: MakeTopic, stored: Callable[[str, int], Stored]
) -> None:
    topic = topic_factory("small", max_message_bytes="1048588")
    reach = ("--topic", topic, "--bootstrap-servers", kafka.bootstrap_servers)
    without = command("producer", "--count", "100", "--bad-ratio", "0.5", *reach)
    assert (without.code, said(without.output).get("acknowledged")) == (0, 100), without.errors
    assert "too-large" in without.errors
    asked = command("producer", "--count", "10", "--bad-ratio", "0.5", "--bad-kinds", "too-large", *reach)
    figures = said(asked.output)
    assert (asked.code, figures["sent"]) == (1, 10)
    assert figures["failed"] > 0
    assert figures["acknowledged"] + figures["failed"] == 10
    assert "max.message.bytes" in asked.errors
    stored(topic, 100 + figures["acknowledged"])


def test_a_csv_is_sent_row_by_row_and_what_is_no_row_is_counted(
    kafka: KafkaSettings, topic_factory: MakeTopic, stored: Callable[[str, int], Stored], tmp_path: Path
) -> None:
    topic = topic_factory("rows", partitions=2)
    path = tmp_path / "rows.csv"
    path.write_text("CUSTOMER_ID,feature\n" + "".join(f"{n},{n / 10}\n" for n in range(50)) + "1,2,3\n")
    done = command(
        *("producer", path, "--model", "models/threshold", "--ignore-case", "--topic", topic),
        *("--bootstrap-servers", kafka.bootstrap_servers),
    )
    assert done.code == 1, done.errors
    assert said(done.output) == {"sent": 50, "acknowledged": 50, "failed": 0, "not sent": 1}
    assert "row 50" in done.errors
    events = [json.loads(value or b"") for _, _, value in stored(topic, 50)]
    assert sorted(event["customer_id"] for event in events) == list(range(50))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_with_a_summary_of_what_really_arrived(
    number: int,
    code: int,
    kafka: KafkaSettings,
    topic_factory: MakeTopic,
    stored: Callable[[str, int], Stored],
) -> None:
    topic = topic_factory("stopped", partitions=2)
    reader = Reader(kafka, topic, group=None)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "producer", "--count", "0", "--rate", "200", "--topic", topic),
            *("--bootstrap-servers", kafka.bootstrap_servers),
        ],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = Deadline.after(60)
        while not reader.poll(0.5):
            assert not deadline.passed
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        reader.close(Deadline.after(5))
    assert process.returncode == code, errors
    figures = said(output)
    assert figures["sent"] == figures["acknowledged"] > 0
    stored(topic, figures["sent"])


def test_no_broker_is_a_sentence_with_the_address_and_exit_code_4() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = command("producer", "--lesson", "--bootstrap-servers", address, "--broker-timeout", "1")
    assert done.code == 4
    assert f"No Kafka broker answered at {address} within 1 s." in done.errors
    assert "Traceback" not in done.errors


def test_a_missing_topic_is_named_and_not_created(kafka: KafkaSettings) -> None:
    reach = ("--bootstrap-servers", kafka.bootstrap_servers, "--topic", "nobody-made-this")
    for _ in range(2):
        done = command("producer", "--lesson", *reach)
        assert done.code == 2
        assert "there is no topic 'nobody-made-this'" in done.errors


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing-here.csv"], 3, "nothing-here.csv"),
        (["rows.xlsx"], 3, "rows.xlsx"),
        (["--lesson", "rows.csv"], 2, "give one of them"),
        (["--bad-kinds", "nan"], 2, "--bad-ratio"),
        (["--bad-ratio", "1"], 2, "--bad-ratio"),
        (["--rate", "-1"], 2, "--rate"),
        (["--model", "models/threshold"], 2, "does not take made-up churn customers"),
        (["--model", "models/none"], 3, "models/none"),
    ],
)
def test_a_slip_on_the_command_line_is_a_sentence(arguments: list[str], code: int, sentence: str) -> None:
    done = command("producer", *arguments, "--bootstrap-servers", "127.0.0.1:1", "--broker-timeout", "1")
    assert done.code == code, done.errors
    assert sentence in done.errors
    assert "Traceback" not in done.errors
