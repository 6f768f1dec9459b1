"""How every command reaches Kafka: settings, the client's options, and waiting for a broker."""

import difflib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as client
from kafka.net.compat import KafkaNetClient
from pydantic import BaseModel, Field

from shared.deadline import Deadline
from shared.errors import BrokerUnreachableError, ConfigurationError
from shared.kafka.choice import fast_path
from shared.kafka.errors import translated
from shared.kafka.greeting import NoTalkError, greet
from shared.kafka.security import check_security, tls_context, uses_tls

logger = logging.getLogger(__name__)

Role = Literal["consumer", "producer", "admin"]
Client = TypeVar("Client", KafkaConsumer, KafkaProducer, KafkaAdminClient)

_DEFAULT_PORT = 9092
_KNOWN: Mapping[Role, Mapping[str, Any]] = {
    "consumer": KafkaConsumer.DEFAULT_CONFIG,
    "producer": KafkaProducer.DEFAULT_CONFIG,
    "admin": KafkaAdminClient.DEFAULT_CONFIG,
}
_EXACTLY_ONCE = "the guarantee rests on it; choose with --guarantee"
_BYTES = "Tandem reads and writes bytes"
_OWNED: Mapping[str, str] = {
    "bootstrap_servers": "give it as --bootstrap-servers",
    "group_id": "give it as --group",
    "group_instance_id": "Tandem derives it from the instance; give it as --instance",
    "transactional_id": "Tandem derives it from the group and the instance",
    "transaction_timeout_ms": "Tandem sets it to fit its own deadlines",
    "enable_auto_commit": "offsets are committed together with the predictions only",
    "auto_commit_interval_ms": "offsets are committed together with the predictions only",
    "default_offset_commit_callback": "offsets are committed together with the predictions only",
    "isolation_level": _EXACTLY_ONCE,
    "auto_offset_reset": "a group without offsets starts at the beginning",
    "acks": _EXACTLY_ONCE,
    "enable_idempotence": _EXACTLY_ONCE,
    "check_crcs": "damaged records must be noticed",
    "max_poll_records": "Tandem reads whole record batches",
    "linger_ms": "Tandem forms the record batches itself",
    "partitioner": "an event's prediction goes to the partition number of the event",
    "key_serializer": _BYTES,
    "value_serializer": _BYTES,
    "key_deserializer": _BYTES,
    "value_deserializer": _BYTES,
    "allow_auto_create_topics": "topics are created by name, never by a slip of the pen",
    "bootstrap_timeout_ms": "give it as --broker-timeout, in seconds",
}
# Options whose default is None, though their values are numbers.
_NUMBERS = frozenset({"receive_buffer_bytes", "send_buffer_bytes"})
_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class KafkaSettings(BaseModel):
    """What a command needs to know to reach Kafka."""

    bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Addresses of brokers, host:port, separated by commas."
    )
    kafka_option: dict[str, str] = Field(
        default_factory=dict,
        description="Any option of the client library, e.g. security_protocol=SASL_SSL; "
        "a value that begins with @ is read from that file, as a password should be.",
    )
    broker_timeout: float = Field(30.0, gt=0, description="Seconds to wait for a broker before giving up.")


def client_options(settings: KafkaSettings, *, role: Role) -> dict[str, Any]:
    """The options for one client, typed as the library wants them.

    Args:
        settings: Where the brokers are, and options as text.
        role: Which client; an option that only another one knows is left out.

    Raises:
        ConfigurationError: An option is unknown, belongs to Tandem, or has a value of the wrong type.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in settings.bootstrap_servers.split(",")],
        "bootstrap_timeout_ms": int(settings.broker_timeout * 1000),
        # The library's own 30 s would outlast most outages.
        "reconnect_backoff_max_ms": 1000,
    }
    for name, text in settings.kafka_option.items():
        _refuse_unknown_or_owned(name)
        if name in _KNOWN[role]:
            options[name] = _typed(name, text, _KNOWN[role][name])
    return options


def wait_for_broker(settings: KafkaSettings, deadline: Deadline) -> None:
    """Returns once a broker has answered.

    Raises:
        BrokerUnreachableError: None did before the deadline.
        ConfigurationError: One did, but does not let this client in.
    """
    open_client(KafkaAdminClient, client_options(settings, role="admin"), settings, deadline).close()


def open_client(
    kind: Callable[..., Client], options: Mapping[str, Any], settings: KafkaSettings, deadline: Deadline
) -> Client:
    """A connected client of the library; what it opened is closed again when it cannot connect.

    Args:
        kind: The library's class.
        options: Its options, from `client_options` and the caller.
        settings: Where the brokers are, for the messages.
        deadline: When to give up.

    Raises:
        BrokerUnreachableError: No broker answered before the deadline.
        ConfigurationError: A broker does not let this client in, or an option is wrong.
    """
    options = _secured(options)
    if _direct(options):
        _wait_for_broker(settings, options, deadline)
    opened: list[KafkaNetClient] = []

    def network(**configs: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**configs))
        if fast := fast_path(public_calls=False):
            fast.back_off(opened[-1])
            fast.close_sockets(opened[-1])
        return opened[-1]

    timeout_ms = max(1, int(deadline.remaining * 1000))
    try:
        with translated("connecting"):
            made = kind(**{**options, "bootstrap_timeout_ms": timeout_ms, "kafka_client": network})
            if fast := fast_path(public_calls=False):
                for connections in opened:
                    fast.ask_at_once(connections)
            return made
    except Exception as error:
        for connections in opened:
            connections.close()
        if isinstance(error.__cause__, client.KafkaTimeoutError):
            raise _unreachable(settings) from error
        if isinstance(error, (ValueError, TypeError, AssertionError, OSError)):
            raise ConfigurationError(f"The Kafka client does not accept its options: {error}") from error
        raise


def _secured(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options, checked, with what TLS trusts read from its files."""
    check_security(options)
    return {**options, "ssl_context": tls_context(options)} if uses_tls(options) else options


def _direct(options: Mapping[str, Any]) -> bool:
    return not options.get("proxy_url") and not options.get("socks5_proxy")


def try_broker(host: str, port: int, options: Mapping[str, Any], deadline: Deadline) -> None:
    """Sees whether one broker talks to this client; through a proxy it is not tried.

    Args:
        host: Its name.
        port: Its port.
        options: The client's options, from `client_options`.
        deadline: When to give up.

    Raises:
        ConfigurationError: It never will, with what to change.
        OSError: It did not now.
    """
    options = _secured(options)
    if _direct(options):
        _greet(host, port, options, deadline)


def _greet(host: str, port: int, options: Mapping[str, Any], deadline: Deadline) -> None:
    connection = socket.create_connection((host, port), timeout=_within(deadline, 2))
    # A broker may be slow, and one that is frozen must leave time for the next.
    connection.settimeout(_within(deadline, max(2, deadline.remaining / 2)))
    greet(connection, host, port, options)


def addresses(settings: KafkaSettings) -> list[tuple[str, int]]:
    """The brokers' addresses, host and port.

    Raises:
        ConfigurationError: One is none.
    """
    found = []
    for address in settings.bootstrap_servers.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not colon or address.strip().endswith("]"):
            host, port = address.strip(), str(_DEFAULT_PORT)
        if not port.isdecimal() or not host:
            raise ConfigurationError(
                f"{address.strip()!r} is not the address of a broker.",
                hint="Write it as host:port, e.g. localhost:9092.",
            )
        found.append((host.strip("[]"), int(port)))
    return found


def _unreachable(settings: KafkaSettings, reason: Exception | None = None) -> BrokerUnreachableError:
    told = f" {reason}." if isinstance(reason, NoTalkError) else ""
    return BrokerUnreachableError(
        f"No Kafka broker answered at {settings.bootstrap_servers} within"
        f" {settings.broker_timeout:g} s.{told}",
        hint="Start Kafka, correct --bootstrap-servers, or wait longer with --broker-timeout.",
    )


def _within(deadline: Deadline, seconds: float) -> float:
    return max(0.05, min(seconds, deadline.remaining))


def _wait_for_broker(settings: KafkaSettings, options: Mapping[str, Any], deadline: Deadline) -> None:
    """Returns once a broker talks to this client: the library itself would wait in silence."""
    candidates = addresses(settings)
    pause, next_word = 0.05, time.monotonic() + 2
    while True:
        for host, port in candidates:
            try:
                _greet(host, port, options, deadline)
            except OSError as error:
                reason = error
            else:
                return
        if deadline.passed:
            raise _unreachable(settings, reason) from reason
        if time.monotonic() >= next_word:
            logger.warning("Still waiting for a Kafka broker at %s: %s", settings.bootstrap_servers, reason)
            next_word = time.monotonic() + 5
        time.sleep(min(pause, deadline.remaining))
        pause = min(1.0, pause * 2)


def _refuse_unknown_or_owned(name: str) -> None:
    if name in _OWNED:
        raise ConfigurationError(f"The Kafka option {name!r} is not yours to set: {_OWNED[name]}.")
    known = {option for options in _KNOWN.values() for option in options}
    if name not in known:
        close = difflib.get_close_matches(name, known - _OWNED.keys(), n=3)
        raise ConfigurationError(
            f"There is no Kafka option {name!r}.",
            hint=f"Did you mean {' or '.join(close)}?"
            if close
            else "See the options of the kafka-python client.",
        )


def _typed(name: str, text: str, default: Any) -> Any:
    """The value as the library wants it, judged by its default."""
    value = _from_file(name, text[1:]) if text.startswith("@") else text
    try:
        if name == "api_version":
            return tuple(int(part) for part in value.split("."))
        if isinstance(default, bool):
            return _TRUTH[value.lower()]
        if isinstance(default, int) or name in _NUMBERS:
            return int(value)
        if isinstance(default, float):
            return float(value)
    except (ValueError, KeyError):
        kind = "true or false" if isinstance(default, bool) else "a number"
        # What a file holds may be a secret that the wrong option was given.
        told = f"the content of {text[1:]!r}" if text.startswith("@") else repr(value)
        raise ConfigurationError(f"The Kafka option {name!r} must be {kind}, not {told}.") from None
    if isinstance(default, str) or (
        default is None and name not in {"ssl_context", "sasl_oauth_token_provider"}
    ):
        return None if value.lower() == "none" else value
    raise ConfigurationError(
        f"The Kafka option {name!r} is an object of the client library; text cannot give it."
    )


def _from_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The Kafka option {name!r} cannot be read from {path!r}: {error}"
        ) from error
