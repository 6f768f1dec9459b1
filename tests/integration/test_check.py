"""`consumer check` on a real Kafka: each finding by what is wrong with the cluster it looks at."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from consumer.check.cluster import limit_findings
from consumer.check.command import findings_of
from consumer.check.finding import Finding, Severity
from consumer.check.topics import duration, topic_findings
from consumer.settings import ConsumerSettings
from shared.deadline import Deadline
from shared.kafka.cluster import Broker, Cluster
from shared.kafka.connection import KafkaSettings
from shared.kafka.topics import TopicInfo, TopicSpec, create_topics, describe_topics
from tests.support.broker import free_port, unique
from tests.support.commands import command
from tests.support.topics import Pipeline, make_pipeline

MODEL = Path("models/threshold")
GOOD: Mapping[str, str] = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "max.message.bytes": "1048588",
}
ROOM = {**GOOD, "max.message.bytes": "2000000"}


def settings(**more: object) -> ConsumerSettings:
    return ConsumerSettings(model=MODEL, **more)  # type: ignore[arg-type]


def topics(source: TopicInfo | None = None, target: TopicInfo | None = None) -> dict[str, TopicInfo | None]:
    """The three topics as they should be, but for those given."""
    rights = frozenset({"READ", "WRITE", "DESCRIBE"})
    known: dict[str, TopicInfo | None] = {
        name: TopicInfo(name, 6, ROOM, replicas=3, rights=rights) for name in ("predictions", "dead-letters")
    }
    known["customers"] = source or TopicInfo("customers", 6, GOOD, replicas=3, rights=rights)
    return known if target is None else known | {target.name: target}


def good(name: str = "customers", configs: Mapping[str, str] = GOOD) -> TopicInfo:
    return TopicInfo(name, 6, configs, replicas=3, rights=frozenset({"READ", "WRITE", "DESCRIBE"}))


def found(findings: list[Finding], subject: str) -> Finding:
    (one,) = [finding for finding in findings if finding.subject == subject]
    return one


def test_topics_as_they_should_be_are_all_ok() -> None:
    assert {finding.severity for finding in topic_findings(settings(), topics())} == {Severity.OK}


@pytest.mark.parametrize(
    ("source", "subject", "severity", "says"),
    [
        (
            good(configs={**GOOD, "cleanup.policy": "compact"}),
            "cleanup of topic customers", "must", "only the last",
        ),
        (good(configs={**GOOD, "retention.ms": "3600000"}), "retention of topic customers", "warn", "3600 s"),
        (good(configs={**GOOD, "retention.bytes": "1000"}), "retention of topic customers", "warn", "sooner"),
        (good(configs={**GOOD, "retention.ms": "-1"}), "retention of topic customers", "ok", "for ever"),
        (replace(good(), replicas=1), "durability of topic customers", "warn", "1 replicas"),
        (replace(good(), replicas=2), "durability of topic customers", "warn", "while one broker is down"),
        (
            replace(good(), rights=frozenset({"DESCRIBE"})),
            "rights on topic customers", "must", "Read not allowed",
        ),
        (replace(good(), rights=None), "rights on topic customers", "ok", "does not tell"),
        (replace(good(), configs={}), "topic customers", "warn", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_input_topic_is_found(
    source: TopicInfo, subject: str, severity: str, says: str
) -> None:
    finding = found(list(topic_findings(settings(), topics(source))), subject)
    assert finding.severity == severity
    assert says in finding.detail
    assert (finding.change is None) == (severity == "ok")


def test_unclean_elections_must_be_forbidden() -> None:
    target = good("predictions", {**ROOM, "unclean.leader.election.enable": "true"})
    wrong = [one for one in topic_findings(settings(), topics(target=target)) if one.severity == "must"]
    assert [one.subject for one in wrong] == ["durability of topic predictions"]


def test_all_that_would_refuse_the_start_is_found_at_once() -> None:
    target = replace(good("predictions"), partitions=5)
    known = topics(target=target) | {"dead-letters": None}
    wrong = [one.detail for one in topic_findings(settings(), known) if one.severity == "must"]
    assert len(wrong) == 3
    assert "there is no topic dead-letters" in wrong[0]
    assert "5 partitions" in wrong[1]
    assert "max.message.bytes" in str([one.change for one in topic_findings(settings(), known)])


def test_topics_that_the_consumer_will_create_are_no_obstacle() -> None:
    new: dict[str, TopicInfo | None] = dict.fromkeys(("customers", "predictions", "dead-letters"))
    (finding,) = topic_findings(settings(create_topics=True, partitions=4), new)
    assert (finding.severity, finding.subject) == ("ok", "topics")
    assert "customers, predictions, dead-letters" in finding.detail
    assert "4 partitions" in finding.detail
    some = topics(replace(good(), partitions=6)) | {"dead-letters": None}
    told = found(list(topic_findings(settings(create_topics=True, partitions=4), some)), "topics")
    assert "dead-letters: missing" in told.detail
    assert "6 partitions" in told.detail


def test_a_topic_that_does_not_fit_is_found_beside_one_that_will_be_created() -> None:
    known = topics(target=replace(good("predictions", ROOM), partitions=5)) | {"dead-letters": None}
    findings = list(topic_findings(settings(create_topics=True), known))
    assert ["5 partitions" in one.detail for one in findings if one.severity == "must"] == [True]


def test_sizes_that_this_client_may_not_read_refuse_nothing() -> None:
    known = {name: topic and replace(topic, configs={}) for name, topic in topics().items()}
    assert {one.severity for one in topic_findings(settings(), known)} == {Severity.OK, Severity.WARN}


class OneBroker(Cluster):
    """A cluster whose broker has these settings."""

    def __init__(self, configs: Mapping[str, str] | None) -> None:
        self._configs = configs

    def brokers(self) -> list[Broker]:
        return [Broker(1, "broker", 9092)]

    def configs(self, broker: Broker) -> Mapping[str, str] | None:
        return self._configs if broker.id == 1 else None


LIMITS: Mapping[str, str] = {
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
    "offsets.retention.minutes": "10080",
    "transaction.max.timeout.ms": "900000",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
}


@pytest.mark.parametrize(
    ("changed", "subject", "severity"),
    [
        ({}, "transaction timeout", "ok"),
        ({"transaction.max.timeout.ms": "5000"}, "transaction timeout", "must"),
        ({"group.min.session.timeout.ms": "30000"}, "session timeout", "must"),
        ({"group.max.session.timeout.ms": "9000"}, "session timeout", "must"),
        ({"offsets.retention.minutes": "60"}, "retention of offsets", "warn"),
        ({"transaction.state.log.min.isr": "1"}, "transaction log", "warn"),
    ],
)
def test_what_the_brokers_settings_forbid_is_found(
    changed: Mapping[str, str], subject: str, severity: str
) -> None:
    findings = list(limit_findings(settings(), OneBroker({**LIMITS, **changed}), good()))
    assert found(findings, subject).severity == severity
    assert [one.severity for one in findings if one.subject != subject] == ["ok"] * 3


def test_settings_of_brokers_that_cannot_be_read_are_said_to_be_unchecked() -> None:
    (finding,) = limit_findings(settings(), OneBroker(None), good())
    assert (finding.severity, finding.subject) == ("warn", "broker's settings")


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [(604_800_000, "7 days"), (10_000, "10 s"), (7_200_000, "2 hours"), (9_000_000, "2.5 hours")],
)
def test_a_duration_is_told_for_people(milliseconds: int, told: str) -> None:
    assert duration(milliseconds) == told


@pytest.fixture
def pipeline(kafka: KafkaSettings) -> Pipeline:
    """Fresh topics and a fresh group."""
    return make_pipeline(kafka)


@pytest.mark.broker
def test_a_cluster_that_is_well_answers_0_and_nothing_is_created(
    pipeline: Pipeline, kafka: KafkaSettings
) -> None:
    options = pipeline.options(MODEL, "--shadow", "models/churn", "--shadow-topic", f"{pipeline.name}-shadow")
    answer = command("consumer", "check", *options, "--json")
    assert answer.code == 1
    wrong = [one for one in json.loads(answer.output)["findings"] if one["severity"] == "must"]
    assert [one["subject"] for one in wrong] == ["topics"]
    missing = f"{pipeline.name}-shadow"
    assert missing in wrong[0]["detail"]
    answer = command("consumer", "check", *options, "--create-topics")
    assert (answer.code, missing in answer.output) == (0, True), answer.output
    assert describe_topics(kafka, [missing], Deadline.after(10)) == {missing: None}
    answer = command("consumer", "check", *pipeline.options(MODEL))
    assert answer.code == 0, answer.output
    assert "0 to change" in answer.output
    assert any(line.startswith("ok    broker ") for line in answer.output.splitlines())
    assert pipeline.read(pipeline.predictions) == []


@pytest.mark.broker
def test_a_real_topic_that_compacts_and_a_model_that_does_not_load_are_found(
    pipeline: Pipeline, kafka: KafkaSettings, tmp_path: Path, unique_name: Callable[[str], str]
) -> None:
    compacted = unique_name("compacted")
    configs = {"cleanup.policy": "compact", "max.message.bytes": "1000000"}
    create_topics(kafka, {compacted: TopicSpec(pipeline.partitions, configs=configs)}, Deadline.after(20))
    broken = tmp_path / "model"
    shutil.copytree(MODEL, broken)
    declared = json.loads((broken / "model.json").read_text())
    declared["golden"][0]["score"] = 0.123
    (broken / "model.json").write_text(json.dumps(declared))
    asked = ConsumerSettings(
        model=broken,
        bootstrap_servers=kafka.bootstrap_servers,
        input_topic=compacted,
        output_topic=pipeline.predictions,
        dead_letter_topic=pipeline.dead_letters,
        group=unique("group"),
    )
    wrong = {one.subject for one in findings_of(asked) if one.severity is Severity.MUST}
    assert wrong == {"model", f"cleanup of topic {compacted}"}


def test_no_broker_is_code_4_after_what_was_found_before() -> None:
    address = f"127.0.0.1:{free_port()}"
    asked = ("--model", "models/none-here", "--bootstrap-servers", address, "--broker-timeout", "1")
    answer = command("consumer", "check", *asked)
    assert answer.code == 4
    assert answer.output.startswith("must  model ")
    assert "1 to change; the rest could not be looked at" in answer.output
    answer = command("consumer", "check", *asked, "--json")
    assert answer.code == 4
    told = json.loads(answer.output)
    assert (told["ok"], told["findings"][0]["subject"]) == (False, "model")
    assert told["error"] in answer.errors
