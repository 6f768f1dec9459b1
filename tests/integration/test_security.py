"""The real commands on a real Kafka that asks who is there: TLS, passwords, certificates, access rights."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ACLOperation, ResourceType

from shared.deadline import Deadline
from shared.errors import BrokerUnreachableError, ConfigurationError
from shared.kafka.connection import KafkaSettings, wait_for_broker
from tests.support.broker import unique
from tests.support.commands import Finished, command
from tests.support.secure_broker import UNNAMED_HOST, Authority, SecureBroker, secure_broker
from tests.support.topics import Pipeline, make_pipeline

pytestmark = pytest.mark.broker

MODEL = Path("models/threshold")
# Each is looked for in all that a command says: no word that a broker or a library would say itself.
PASSWORD = "zq-Scram-Secret-1"  # noqa: S105 - made for the test's own broker
PLAIN_PASSWORD = "zq-Plain-Secret-2"  # noqa: S105
KEY_PASSWORD = "zq-Key-Secret-3"  # noqa: S105
WRONG = "zq-Wrong-Secret-4"
# Each of the two is allowed to look as well; no more than this is needed, as docs/operations.md says.
READ, WRITE = [ACLOperation.READ], [ACLOperation.WRITE]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where keys, certificates and passwords lie."""
    made = tmp_path_factory.mktemp("secrets")
    (made / "password").write_text(f"{PASSWORD}\n")
    (made / "wrong").write_text(f"{WRONG}\n")
    return made


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[SecureBroker]:
    """A broker with a user a way in, each of whom may do what a scorer needs."""
    with secure_broker(folder, {"plain": PLAIN_PASSWORD}) as started:
        started.add_users({"scorer": PASSWORD, "limited": PASSWORD})
        for user in ("scorer", "plain", "CN=client"):
            started.allow(
                user,
                (ResourceType.TOPIC, "pipeline-", [*READ, *WRITE]),
                (ResourceType.GROUP, "pipeline-", READ),
                (ResourceType.TRANSACTIONAL_ID, "pipeline-", WRITE),
            )
        yield started


@pytest.fixture
def pipeline(broker: SecureBroker) -> Pipeline:
    """Fresh topics and a fresh group, made by one who may do everything."""
    made = make_pipeline(broker.settings)
    made.send([*[b'{"customer_id": 1, "feature": 0.7}'] * 8, b"not JSON"])
    return made


def given(**options: str | Path) -> list[str]:
    """Client options as flags."""
    return [part for name, value in options.items() for part in ("--kafka-option", f"{name}={value}")]


def scram(broker: SecureBroker, folder: Path, **more: str | Path) -> list[str]:
    """What the user `scorer` gives on the encrypted listener."""
    options: dict[str, str | Path] = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "scorer",
        "sasl_plain_password": f"@{folder / 'password'}",
        "ssl_cafile": broker.authority.certificate,
    }
    return ["--bootstrap-servers", broker.encrypted, *given(**options | more)]


def consumed(
    pipeline: Pipeline, reached: list[str], *more: str, variables: Mapping[str, str] | None = None
) -> Finished:
    """What a consumer says that reaches the broker so."""
    # The pipeline's own options begin with the address of the listener without a password.
    options = [*reached, *pipeline.options(MODEL)[2:], "--no-http", "--broker-timeout", "10", *more]
    return command("consumer", *options, "--max-events", "9", variables=variables)


def all_scored(pipeline: Pipeline, done: Finished) -> bool:
    assert done.code == 0, done.errors
    content = pipeline.committed_content()
    return (len(content), set(content.values())) == (9, {1})


def secret_free(done: Finished) -> bool:
    said = done.output + done.errors
    return not any(secret in said for secret in (PASSWORD, PLAIN_PASSWORD, KEY_PASSWORD, WRONG))


def test_exactly_once_over_tls_with_scram_and_the_password_from_a_file(
    broker: SecureBroker, folder: Path, pipeline: Pipeline, tmp_path: Path
) -> None:
    reached = scram(broker, folder)
    sent = command("producer", *reached, "--lesson", "--topic", pipeline.events)
    assert sent.code == 0, sent.errors
    done = command(
        "consumer",
        *(*reached, *pipeline.options(MODEL)[2:], "--no-http", "--log-level", "debug"),
        *("--max-events", "14"),
    )
    assert done.code == 0, done.errors
    content = pipeline.committed_content()
    assert (len(content), set(content.values())) == (14, {1})
    assert secret_free(done)
    exported = command("batch", "export", pipeline.events, *reached, "--output", tmp_path / "snapshot")
    assert exported.code == 0, exported.errors


def test_the_options_and_the_password_from_a_variable(broker: SecureBroker, pipeline: Pipeline) -> None:
    options = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "scorer",
        "sasl_plain_password": PASSWORD,
        "ssl_cafile": str(broker.authority.certificate),
    }
    variables = {"TANDEM_KAFKA_OPTION": json.dumps(options)}
    done = consumed(pipeline, ["--bootstrap-servers", broker.encrypted], variables=variables)
    assert all_scored(pipeline, done)
    assert secret_free(done)


def test_a_client_certificate_with_an_encrypted_key(
    broker: SecureBroker, pipeline: Pipeline, tmp_path: Path
) -> None:
    client = broker.authority.sign("client", password=KEY_PASSWORD)
    (tmp_path / "key-password").write_text(KEY_PASSWORD)
    options: dict[str, str | Path] = {
        "security_protocol": "SSL",
        "ssl_cafile": broker.authority.certificate,
        "ssl_certfile": client.certificate,
        "ssl_keyfile": client.key,
    }
    reached = ["--bootstrap-servers", broker.mutual]
    # Without its password the key cannot be read, and nobody is asked for it on a terminal.
    refused = consumed(pipeline, [*reached, *given(**options)])
    assert refused.code == 2
    assert "ssl_password" in refused.errors
    password = given(ssl_password=f"@{tmp_path / 'key-password'}")
    done = consumed(pipeline, [*reached, *given(**options), *password], "--log-level", "debug")
    assert all_scored(pipeline, done)
    assert secret_free(done)


def test_a_password_in_plain_without_tls(broker: SecureBroker, pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PLAIN_PASSWORD)
    options = given(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="plain",
        sasl_plain_password=f"@{tmp_path / 'password'}",
    )
    done = consumed(
        pipeline, ["--bootstrap-servers", broker.clear, *options], "--log-level", "debug",
        "--guarantee", "at-least-once",
    )  # fmt: skip
    assert all_scored(pipeline, done)
    assert secret_free(done)


@pytest.fixture(scope="module")
def strangers(folder: Path) -> Authority:
    """Someone whom the broker does not trust, and who did not sign its certificate."""
    return Authority(folder, "strangers")


def told(done: Finished, sentence: str) -> bool:
    """Whether a command ended with a sentence, and without a traceback or a secret."""
    _, error, said = done.errors.partition("error: ")
    assert error, done.errors
    assert sentence in said
    assert "Traceback" not in done.errors
    assert done.code == 2
    return secret_free(done)


def asked(reached: list[str]) -> Finished:
    """What the producer, which is the quickest to connect, says to this way of reaching a broker."""
    return command("producer", *reached, "--lesson", "--broker-timeout", "10", "--log-level", "debug")


def connecting(address: str, **options: str | Path) -> str:
    """The error of connecting so, as every command does first."""
    given = {name: str(value) for name, value in options.items()}
    settings = KafkaSettings(bootstrap_servers=address, kafka_option=given, broker_timeout=2)
    with pytest.raises((ConfigurationError, BrokerUnreachableError)) as raised:
        wait_for_broker(settings, Deadline.after(settings.broker_timeout))
    return str(raised.value)


def test_a_wrong_password_is_a_sentence(broker: SecureBroker, folder: Path) -> None:
    wrong = scram(broker, folder, sasl_plain_password=f"@{folder / 'wrong'}")
    assert told(asked(wrong), "does not let the user 'scorer' in")


def test_a_broker_that_is_not_trusted_is_a_sentence(
    broker: SecureBroker, folder: Path, strangers: Authority
) -> None:
    assert told(asked(scram(broker, folder, ssl_cafile=strangers.certificate)), "is not trusted")


def test_a_certificate_for_another_name_is_a_sentence(broker: SecureBroker) -> None:
    address = f"{UNNAMED_HOST}:{broker.encrypted.rpartition(':')[2]}"
    trusted = broker.authority.certificate
    assert "made out to another name" in connecting(address, security_protocol="SSL", ssl_cafile=trusted)


def test_a_client_that_the_broker_does_not_trust_is_a_sentence(
    broker: SecureBroker, strangers: Authority
) -> None:
    stranger = strangers.sign("stranger")
    trusting: dict[str, str | Path] = {
        "security_protocol": "SSL",
        "ssl_cafile": broker.authority.certificate,
    }
    assert "certificate required" in connecting(broker.mutual, **trusting)
    trusting |= {"ssl_certfile": stranger.certificate, "ssl_keyfile": stranger.key}
    assert "refuses this client's TLS" in connecting(broker.mutual, **trusting)


def test_a_mechanism_that_is_not_offered_is_a_sentence(broker: SecureBroker) -> None:
    answer = connecting(
        broker.clear,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="scorer",
        sasl_plain_password=PASSWORD,
    )
    assert "does not offer the SASL mechanism SCRAM-SHA-512" in answer
    assert "It offers PLAIN and SCRAM-SHA-256" in answer


def test_the_wrong_port_is_a_sentence(broker: SecureBroker) -> None:
    trusted = broker.authority.certificate
    assert "speaks TLS on this port" in connecting(broker.encrypted)
    assert "perhaps it wants a user and a password" in connecting(broker.clear)
    tls = connecting(broker.open, security_protocol="SSL", ssl_cafile=trusted)
    assert "perhaps it does not speak TLS on this port" in tls


RIGHTS: Mapping[str, tuple[ResourceType, str, list[ACLOperation]]] = {
    "input": (ResourceType.TOPIC, "-events", READ),
    "output": (ResourceType.TOPIC, "-predictions", WRITE),
    "dead letters": (ResourceType.TOPIC, "-dead-letters", WRITE),
    "group": (ResourceType.GROUP, "", READ),
    "transactional id": (ResourceType.TRANSACTIONAL_ID, "/", WRITE),
}


@pytest.mark.parametrize("missing", RIGHTS)
def test_a_missing_right_is_a_sentence_that_names_what_for(
    broker: SecureBroker, folder: Path, pipeline: Pipeline, missing: str
) -> None:
    user = unique("limited")
    broker.add_users({user: PASSWORD})
    granted = [right for name, right in RIGHTS.items() if name != missing]
    broker.allow(user, *((kind, f"{pipeline.name}{ending}", rights) for kind, ending, rights in granted))
    done = consumed(pipeline, scram(broker, folder, sasl_plain_username=user))
    assert told(done, f"{pipeline.name}{RIGHTS[missing][1]}")


def test_the_check_finds_each_missing_right(broker: SecureBroker, folder: Path, pipeline: Pipeline) -> None:
    user = unique("limited")
    broker.add_users({user: PASSWORD})
    # One topic may be looked at and not written to; of the others nothing is allowed.
    broker.allow(user, (ResourceType.TOPIC, pipeline.predictions, [ACLOperation.DESCRIBE]))
    reached = scram(broker, folder, sasl_plain_username=user)
    checked = command("consumer", "check", *reached, *pipeline.options(MODEL)[2:], "--json")
    assert checked.code == 1, checked.errors
    wrong = [found for found in json.loads(checked.output)["findings"] if found["severity"] == "must"]
    assert {found["subject"] for found in wrong} == {
        *(f"rights on topic {name}" for name in (pipeline.events, pipeline.predictions)),
        f"rights on topic {pipeline.dead_letters}",
        f"rights on group {pipeline.name}",
        f"transactional id {pipeline.name}/...",
    }
    assert secret_free(checked)


def test_the_check_and_the_status_work_with_a_password(
    broker: SecureBroker, folder: Path, pipeline: Pipeline
) -> None:
    reached = scram(broker, folder)
    assert all_scored(pipeline, consumed(pipeline, reached))
    checked = command("consumer", "check", *reached, *pipeline.options(MODEL)[2:], "--json")
    assert checked.code == 0, checked.output
    severities: dict[str, Any] = {
        found["subject"]: found["severity"] for found in json.loads(checked.output)["findings"]
    }
    assert severities["encryption"] == "ok"
    # A scorer needs no right to read the brokers' settings; the check says what it could not look at.
    assert severities["broker's settings"] == "warn"
    group = ("--group", pipeline.name, "--input-topic", pipeline.events)
    status = command("consumer", "status", *reached, *group, "--json")
    assert status.code == 0, status.errors
    assert json.loads(status.output)["ledger"] == {"read": 9, "scored": 8, "rejected": 1, "balanced": True}
    assert secret_free(checked)
    assert secret_free(status)
