"""A real Kafka that asks who is there: TLS, passwords, client certificates and access rights."""

import datetime as dt
import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.admin import ACLResourcePatternType as PatternType

from shared.deadline import Deadline
from shared.errors import BrokerUnreachableError
from shared.kafka.connection import KafkaSettings, wait_for_broker
from tests.support import broker as plain_broker
from tests.support.trouble import give_up

# A name that stands in no certificate, and that resolves to this machine.
UNNAMED_HOST: Final = "localhost"
_START_SECONDS: Final = 60
_SECRETS: Final = "/etc/kafka/made-for-tests"


@dataclass(frozen=True, slots=True)
class Party:
    """Who can show a certificate: its key and certificate in PEM files, and both in one."""

    key: Path
    certificate: Path
    both: Path


class Authority:
    """Signs certificates; its own is in `certificate`.

    Args:
        folder: Where files are written.
        name: Its name, and the prefix of its files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        built = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / f"{name}.pem"
        self.certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, address: str | None = None, password: str | None = None) -> Party:
        """A new key and a certificate for it.

        Args:
            name: The common name.
            address: The one IP address that a server is reached by.
            password: What the key's file is encrypted with.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(name), self._name, key)
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption(),
        )
        party = Party(*(self._folder / f"{name}{ending}" for ending in (".key", ".crt", ".pem")))
        for path, content in zip(
            (party.key, party.certificate, party.both), (secret, certificate), strict=False
        ):
            path.write_bytes(content)
        party.both.write_bytes(secret + certificate)
        return party


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
    )


@dataclass(frozen=True, slots=True)
class SecureBroker:
    """A broker whose listeners each ask for something else.

    Attributes:
        open: Address without a password, whose clients may do everything: for what the test itself does.
        encrypted: Address with TLS and a password (SCRAM or PLAIN).
        mutual: Address with TLS that asks for a client's certificate.
        clear: Address with a password and without TLS.
        authority: Who signed the broker's certificate, and whose clients it trusts.
    """

    open: str
    encrypted: str
    mutual: str
    clear: str
    authority: Authority

    @property
    def settings(self) -> KafkaSettings:
        """Settings of one who may do everything."""
        return KafkaSettings(bootstrap_servers=self.open, broker_timeout=20)

    def add_users(self, passwords: Mapping[str, str]) -> None:
        """Gives users a password for both kinds of SCRAM."""
        with KafkaAdminClient(bootstrap_servers=self.open) as admin:
            # A request may name a user once only.
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                asked = [
                    UserScramCredentialUpsertion(user, mechanism, password)
                    for user, password in passwords.items()
                ]
                refused = admin.alter_user_scram_credentials(asked)
                assert not any(refused.values()), refused
            deadline = Deadline.after(10)
            while any(
                len(known.get("credential_infos", ())) < 2
                for known in admin.describe_user_scram_credentials(list(passwords)).values()
            ):
                assert not deadline.passed, "the broker does not take the users in"

    def allow(self, user: str, *rights: tuple[ResourceType, str, Sequence[ACLOperation]]) -> None:
        """Gives a user rights on resources, named by what their names begin with."""
        acls = [
            ACL(
                f"User:{user}",
                "*",
                operation,
                ACLPermissionType.ALLOW,
                ResourcePattern(kind, name, PatternType.PREFIXED),
            )
            for kind, name, operations in rights
            for operation in operations
        ]
        with KafkaAdminClient(bootstrap_servers=self.open) as admin:
            assert not admin.create_acls(acls)["failed"]


def _environment(ports: Mapping[str, int], plain_users: Mapping[str, str]) -> dict[str, str]:
    """The broker's settings. Its listeners' names hold no protocol, on which the image's script would act."""
    users = " ".join(f'user_{user}="{password}"' for user, password in plain_users.items())
    plain = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    jaas = {
        f"KAFKA_LISTENER_NAME_{listener}_{mechanism}_SASL_JAAS_CONFIG": config
        for listener in ("ENCRYPTED", "CLEAR")
        for mechanism, config in (
            ("PLAIN", plain),
            ("SCRAM___SHA___256", scram),
            ("SCRAM___SHA___512", scram),
        )
    }
    listeners = ",".join(f"{name}://0.0.0.0:{port}" for name, port in ports.items())
    mechanisms = "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN"
    return {
        **plain_broker._environment(ports["OPEN"]),
        **jaas,
        "KAFKA_LISTENERS": f"{listeners},CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,OPEN:PLAINTEXT,ENCRYPTED:SASL_SSL,"
        "MUTUAL:SSL,CLEAR:SASL_PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "OPEN",
        "KAFKA_SSL_KEYSTORE_TYPE": "PEM",
        "KAFKA_SSL_KEYSTORE_LOCATION": f"{_SECRETS}/server.pem",
        "KAFKA_SSL_TRUSTSTORE_TYPE": "PEM",
        "KAFKA_SSL_TRUSTSTORE_LOCATION": f"{_SECRETS}/authority.pem",
        "KAFKA_LISTENER_NAME_MUTUAL_SSL_CLIENT_AUTH": "required",
        "KAFKA_LISTENER_NAME_ENCRYPTED_SASL_ENABLED_MECHANISMS": mechanisms,
        "KAFKA_LISTENER_NAME_CLEAR_SASL_ENABLED_MECHANISMS": "SCRAM-SHA-256,PLAIN",
        "KAFKA_AUTHORIZER_CLASS_NAME": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Nobody on the open listener has a name, and the controller is reached without one as well.
        "KAFKA_SUPER_USERS": "User:ANONYMOUS",
    }


@contextmanager
def secure_broker(folder: Path, plain_users: Mapping[str, str]) -> Iterator[SecureBroker]:
    """A broker with TLS, passwords and access rights, removed at the end.

    Skips the test where there is no Docker, and fails it under CI=true.

    Args:
        folder: Where keys and certificates are written.
        plain_users: Users and passwords of the mechanism PLAIN.
    """
    # Read by testcontainers when it is imported; its reaper is another image to pull.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    try:
        from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415 - only here
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415
    except ImportError as error:
        give_up(f"testcontainers is not installed ({error}); install the extra `test`")
    authority = Authority(folder, "authority")
    authority.sign("server", address="127.0.0.1")
    ports = {name: plain_broker.free_port() for name in ("OPEN", "ENCRYPTED", "MUTUAL", "CLEAR")}
    container = DockerContainer(plain_broker.IMAGE, user="root", env=_environment(ports, plain_users))
    container.with_volume_mapping(str(folder), _SECRETS, "ro")
    for port in ports.values():
        container.with_bind_ports(port, port)
    try:
        container.start()
    except DockerException as error:
        give_up(f"no Docker ({error}); start it")
    try:
        at = {name.lower(): f"127.0.0.1:{port}" for name, port in ports.items()}
        broker = SecureBroker(at["open"], at["encrypted"], at["mutual"], at["clear"], authority)
        try:
            wait_for_broker(broker.settings, Deadline.after(_START_SECONDS))
        except BrokerUnreachableError:
            output = b"\n".join(container.get_logs()).decode(errors="replace")
            pytest.fail(f"Kafka did not start:\n{output[-4000:]}")
        yield broker
    finally:
        container.stop()
