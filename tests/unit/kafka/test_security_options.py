"""Security options that contradict each other are a sentence, before any connection."""

from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.kafka.security import check_security, tls_context

USER = {"sasl_plain_username": "tandem", "sasl_plain_password": "hunter2"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"security_protocol": "TLS"}, "names none that there is"),
        ({"sasl_mechanism": "PLAIN"}, "no effect under security_protocol=PLAINTEXT"),
        ({"ssl_cafile": "ca.pem"}, "no effect under security_protocol=PLAINTEXT"),
        ({"security_protocol": "SSL", **USER}, "no effect under security_protocol=SSL"),
        ({"security_protocol": "SASL_SSL", **USER}, "'sasl_mechanism' is missing"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "hunter2"}, "names none that there is"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_plain_password": "hunter2"},
            "'sasl_plain_username'",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", "sasl_plain_username": "me"},
            "'sasl_plain_password'",
        ),
    ],
)
def test_what_cannot_work_is_said_without_a_secret(options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_security(options)
    assert says in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"security_protocol": "PLAINTEXT", "sasl_plain_username": None},
        {"security_protocol": "SSL", "ssl_check_hostname": False},
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", **USER},
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "GSSAPI"},
    ],
)
def test_what_can_work_is_let_pass(options: dict[str, object]) -> None:
    check_security(options)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    for name in ("ssl_cafile", "ssl_certfile", "ssl_crlfile"):
        with pytest.raises(ConfigurationError, match=f"{name}={file}"):
            tls_context({name: str(file)})


def test_ciphers_that_are_named_are_used() -> None:
    cipher = "ECDHE-ECDSA-AES256-GCM-SHA384"
    names = {one["name"] for one in tls_context({"ssl_ciphers": cipher}).get_ciphers()}
    assert cipher in names
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" not in names
