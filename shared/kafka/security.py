"""TLS and SASL: what the options ask for, checked before a connection is tried.

The client itself would try again in silence until its time is over when a file cannot be read or a password
is missing.
"""

import ssl
from collections.abc import Mapping
from typing import Any, Final

from shared.errors import ConfigurationError

_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_DEFAULT_PROTOCOL: Final = "PLAINTEXT"
# Those that take a user and a password.
_WITH_PASSWORD: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
# Those whose credentials come from elsewhere.
_OTHERS: Final = ("GSSAPI", "AWS_MSK_IAM")
_TLS_FILES: Final = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile")


def protocol_of(options: Mapping[str, Any]) -> str:
    """The security protocol that a client's options name."""
    return str(options.get("security_protocol", _DEFAULT_PROTOCOL))


def uses_tls(options: Mapping[str, Any]) -> bool:
    """Whether the connection is encrypted."""
    return protocol_of(options) in ("SSL", "SASL_SSL")


def uses_sasl(options: Mapping[str, Any]) -> bool:
    """Whether the client says who it is by SASL."""
    return protocol_of(options).startswith("SASL_")


def uses_password(options: Mapping[str, Any]) -> bool:
    """Whether it does so by a user and a password."""
    return uses_sasl(options) and options.get("sasl_mechanism") in _WITH_PASSWORD


def check_security(options: Mapping[str, Any]) -> None:
    """Refuses security options that contradict each other or leave something out.

    Args:
        options: A client's options, typed.

    Raises:
        ConfigurationError: With what to change; no value of a secret is in it.
    """
    protocol = protocol_of(options)
    if protocol not in _PROTOCOLS:
        raise ConfigurationError(
            "The Kafka option 'security_protocol' names none that there is.",
            hint=f"It is one of {', '.join(_PROTOCOLS)}.",
        )
    if not uses_sasl(options) and (given := _given(options, "sasl_")):
        raise ConfigurationError(
            f"The Kafka option {given[0]!r} has no effect under security_protocol={protocol}.",
            hint="Give security_protocol=SASL_SSL, or SASL_PLAINTEXT where the network itself is trusted.",
        )
    if not uses_tls(options) and (given := _given(options, "ssl_")):
        raise ConfigurationError(
            f"The Kafka option {given[0]!r} has no effect under security_protocol={protocol}.",
            hint="Give security_protocol=SSL, or SASL_SSL with a user and a password.",
        )
    if uses_sasl(options):
        _check_sasl(options)


def _given(options: Mapping[str, Any], prefix: str) -> list[str]:
    return [name for name, value in options.items() if name.startswith(prefix) and value is not None]


def _check_sasl(options: Mapping[str, Any]) -> None:
    mechanism = options.get("sasl_mechanism")
    if mechanism not in (*_WITH_PASSWORD, *_OTHERS):
        told = "is missing" if mechanism is None else "names none that there is"
        raise ConfigurationError(
            f"The Kafka option 'sasl_mechanism' {told}.",
            hint=f"It is one of {', '.join((*_WITH_PASSWORD, *_OTHERS))}.",
        )
    for name in ("sasl_plain_username", "sasl_plain_password"):
        if mechanism in _WITH_PASSWORD and not options.get(name):
            raise ConfigurationError(
                f"{mechanism} needs the Kafka option {name!r}.",
                hint=f"Give it as --kafka-option {name}=@FILE, which reads it from a file.",
            )


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """What a connection with TLS trusts and shows, TLS 1.2 or later.

    Args:
        options: A client's options, typed.

    Raises:
        ConfigurationError: A file cannot be read or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = bool(options.get("ssl_check_hostname", True))
    try:
        if options.get("ssl_cafile"):
            context.load_verify_locations(options["ssl_cafile"])
        else:
            context.load_default_certs()
        if options.get("ssl_crlfile"):
            context.load_verify_locations(options["ssl_crlfile"])
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if options.get("ssl_ciphers"):
            context.set_ciphers(options["ssl_ciphers"])
        if options.get("ssl_certfile"):
            # Without a password of its own OpenSSL would ask for one on the terminal.
            password = options.get("ssl_password") or ""
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"), password)
    except (OSError, ValueError) as error:
        named = ", ".join(f"{name}={options[name]}" for name in _TLS_FILES if options.get(name))
        raise ConfigurationError(
            f"The files of the TLS options cannot be used ({named or 'no file is named'}): {error}",
            hint="They are PEM files; an encrypted key needs ssl_password as well.",
        ) from error
    return context
