"""Client options from text, secrets kept out of sight, addresses checked."""

from pathlib import Path

import pytest

from shared.deadline import Deadline
from shared.errors import ConfigurationError
from shared.kafka.connection import KafkaSettings, client_options, wait_for_broker


def settings(**options: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers="a:1, b:2", kafka_option=options)


def test_options_take_the_type_of_the_clients_own_defaults() -> None:
    options = client_options(
        settings(
            request_timeout_ms="5000",
            ssl_check_hostname="False",
            security_protocol="SASL_SSL",
            ssl_cafile="ca.pem",
            sasl_plain_username="none",
            api_version="4.3",
        ),
        role="consumer",
    )
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["request_timeout_ms"] == 5000
    assert options["ssl_check_hostname"] is False
    assert options["security_protocol"] == "SASL_SSL"
    assert options["ssl_cafile"] == "ca.pem"
    assert options["sasl_plain_username"] is None
    assert options["api_version"] == (4, 3)


def test_an_option_of_another_role_is_left_out() -> None:
    only_producer = settings(compression_type="gzip")
    assert client_options(only_producer, role="producer")["compression_type"] == "gzip"
    assert "compression_type" not in client_options(only_producer, role="consumer")
    assert "compression_type" not in client_options(only_producer, role="admin")


def test_an_unknown_option_names_the_closest_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"Did you mean .*security_protocol"):
        client_options(settings(security_protocoll="SSL"), role="admin")


@pytest.mark.parametrize("name", ["enable_auto_commit", "isolation_level", "acks", "partitioner", "group_id"])
def test_an_option_that_the_guarantee_rests_on_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name!r} is not yours to set: .+"):
        client_options(settings(**{name: "1"}), role="consumer")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("request_timeout_ms", "soon", "must be a number, not 'soon'"),
        ("ssl_check_hostname", "maybe", "must be true or false, not 'maybe'"),
        ("api_version", "newest", "must be a number"),
        ("selector", "epoll", "text cannot give it"),
        ("ssl_context", "x", "text cannot give it"),
    ],
)
def test_a_value_of_the_wrong_type_is_a_sentence(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        client_options(settings(**{name: value}), role="consumer")


def test_a_value_that_begins_with_at_is_read_from_that_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    kept = "ends in a blank "
    secret.write_text(f"{kept}\n")
    asked = settings(sasl_plain_password=f"@{secret}")
    assert client_options(asked, role="admin")["sasl_plain_password"] == kept


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'ssl_password' cannot be read from"):
        client_options(settings(ssl_password=f"@{tmp_path / 'nowhere'}"), role="admin")


@pytest.mark.parametrize("address", ["host:port", ":9092", "a:1,,b:2"])
def test_an_address_that_is_none_is_a_sentence(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the address of a broker"):
        wait_for_broker(KafkaSettings(bootstrap_servers=address), Deadline.after(0))
