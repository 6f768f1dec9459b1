"""A first word with a broker: why it does not let a client in, which the client itself would not tell.

The client takes a refused certificate, or a broker that speaks another protocol, for a broker that is away,
and tries again until its time is over. A refused password is no better. So each connection is tried once by
hand, with a few requests that every Kafka since 1.0 answers in the same form.
"""

import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any, Final

from kafka.net.sasl import get_sasl_mechanism

from shared.errors import ConfigurationError
from shared.kafka.security import protocol_of, uses_password, uses_sasl, uses_tls
from shared.visible import visible

_METADATA: Final = 3
_SASL_HANDSHAKE: Final = 17
_API_VERSIONS: Final = 18
_SASL_AUTHENTICATE: Final = 36
_UNSUPPORTED_SASL_MECHANISM: Final = 33
_ILLEGAL_SASL_STATE: Final = 34
# The first bytes of a TLS alert: what a listener with TLS answers to one who speaks without.
_TLS_ALERT: Final = b"\x15\x03"
# No answer to these requests is anywhere near as long.
_MOST_BYTES: Final = 1 << 20
# OpenSSL's codes for a certificate that is good, but made out to another name or address.
_OTHER_NAME: Final = (62, 64)
_TRY_TLS: Final = "Give --kafka-option security_protocol=SSL, or SASL_SSL with a user and a password."


class NoTalkError(ConnectionError):
    """Something took the connection, but did not talk to this client; it may be starting or stopping."""


def greet(plain: socket.socket, host: str, port: int, options: Mapping[str, Any]) -> None:
    """Sees whether the broker at the other end would talk to this client.

    Args:
        plain: A connection to it, with a timeout; it is closed.
        host: The name that it was reached by.
        port: Its port.
        options: The client's options, from `client_options`.

    Raises:
        ConfigurationError: It never will, with what to change.
        OSError: It did not now.
    """
    at = f"{host}:{port}"
    if not uses_tls(options):
        with plain:
            _talk(plain, at, options)
        return
    with _encrypted(plain, host, at, options["ssl_context"]) as connection:
        try:
            _talk(connection, at, options)
        except ssl.SSLError as error:
            # TLS 1.3 tells a client only now what became of its certificate.
            raise _certificate_refused(at, error) from error


def _encrypted(plain: socket.socket, host: str, at: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(plain, server_hostname=host.rstrip("."))
    except ssl.SSLCertVerificationError as error:
        plain.close()
        if error.verify_code in _OTHER_NAME:
            raise ConfigurationError(
                f"The certificate of the broker at {at} is made out to another name: {error.verify_message}",
                hint="Name the broker in --bootstrap-servers as its certificate does.",
            ) from error
        raise ConfigurationError(
            f"The certificate of the broker at {at} is not trusted: {error.verify_message}",
            hint="Name the file with the certificate of who signed it: --kafka-option ssl_cafile=FILE.",
        ) from error
    except (ssl.SSLEOFError, ConnectionResetError) as error:
        plain.close()
        raise NoTalkError(
            f"{at} ends the connection at the beginning of TLS; perhaps it does not speak TLS on this port"
        ) from error
    except ssl.SSLError as error:
        plain.close()
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
            raise ConfigurationError(
                f"The broker at {at} does not speak TLS on this port.",
                hint="Name its port with TLS, or give the security_protocol that this port has.",
            ) from error
        raise _certificate_refused(at, error) from error
    except OSError:
        plain.close()
        raise


def _certificate_refused(at: str, error: ssl.SSLError) -> ConfigurationError:
    said = (error.reason or str(error)).lower().replace("_", " ")
    return ConfigurationError(
        f"The broker at {at} refuses this client's TLS: {said}",
        hint="Give a certificate that it trusts: --kafka-option ssl_certfile=FILE, and ssl_keyfile=FILE.",
    )


def _talk(connection: socket.socket, at: str, options: Mapping[str, Any]) -> None:
    if uses_sasl(options):
        _agree_on_mechanism(connection, at, str(options["sasl_mechanism"]))
        if uses_password(options):
            _authenticate(connection, at, options)
        return
    versions = _ask(connection, _API_VERSIONS, 0, b"")
    if versions.startswith(_TLS_ALERT):
        raise ConfigurationError(f"The broker at {at} speaks TLS on this port.", hint=_TRY_TLS)
    if not _offers(versions, _METADATA, 1):
        return
    try:
        # Of no topic: the shortest answer. A broker that wants a password answers nothing but the above.
        _ask(connection, _METADATA, 1, struct.pack(">i", 0))
    except ConnectionError as error:
        raise NoTalkError(
            f"{at} ends the connection at the first request under security_protocol={protocol_of(options)};"
            " perhaps it wants a user and a password (SASL)"
        ) from error


def _agree_on_mechanism(connection: socket.socket, at: str, wanted: str) -> None:
    name = wanted.encode()
    answer = _ask(connection, _SASL_HANDSHAKE, 1, struct.pack(">h", len(name)) + name)
    if answer.startswith(_TLS_ALERT):
        raise ConfigurationError(
            f"The broker at {at} speaks TLS on this port.",
            hint="Give --kafka-option security_protocol=SASL_SSL.",
        )
    (code,) = struct.unpack_from(">h", answer, 4)
    if code == _UNSUPPORTED_SASL_MECHANISM:
        raise ConfigurationError(
            f"The broker at {at} does not offer the SASL mechanism {wanted}.",
            hint=f"It offers {' and '.join(_mechanisms(answer)) or 'none'} on this port.",
        )
    if code == _ILLEGAL_SASL_STATE:
        raise ConfigurationError(
            f"The broker at {at} takes no SASL on this port.",
            hint="Name its port with SASL, or give security_protocol=SSL or PLAINTEXT, as this port has.",
        )


def _authenticate(connection: socket.socket, at: str, options: Mapping[str, Any]) -> None:
    mechanism = get_sasl_mechanism(options["sasl_mechanism"])(host=at.rpartition(":")[0], **options)
    while not mechanism.is_done():
        token = mechanism.auth_bytes()
        answer = _ask(connection, _SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
        code, length = struct.unpack_from(">hh", answer, 4)
        end = 8 + max(0, length)
        if code:
            raise _not_let_in(at, options, answer[8:end].decode(errors="replace"))
        try:
            mechanism.receive(answer[end + 4 :])
        except ValueError as error:
            raise _not_let_in(at, options, f"it does not know the password itself: {error}") from error


def _not_let_in(at: str, options: Mapping[str, Any], said: str) -> ConfigurationError:
    return ConfigurationError(
        f"The broker at {at} does not let the user {options['sasl_plain_username']!r} in: {visible(said)}",
        hint="Check sasl_plain_username, sasl_plain_password and sasl_mechanism.",
    )


def _mechanisms(answer: bytes) -> list[str]:
    (count,) = struct.unpack_from(">i", answer, 6)
    at, names = 10, []
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        names.append(answer[at + 2 : at + 2 + length].decode(errors="replace"))
        at += 2 + length
    return names


def _offers(versions: bytes, api: int, version: int) -> bool:
    """Whether a broker's answer on versions holds one of a request."""
    if len(versions) < 10:
        return False
    (count,) = struct.unpack_from(">i", versions, 6)
    known = struct.iter_unpack(">hhh", versions[10 : 10 + 6 * count])
    return any(found == api and least <= version <= most for found, least, most in known)


def _ask(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """Sends one request without a client id; the answer after its length, or the start of a TLS alert."""
    request = struct.pack(">hhih", api, version, 0, -1) + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    head = _exactly(connection, 4)
    if head.startswith(_TLS_ALERT):
        return head
    (length,) = struct.unpack(">i", head)
    if not 6 <= length <= _MOST_BYTES:
        raise NoTalkError("what answers there does not speak Kafka's protocol")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise ConnectionResetError("the connection was closed")
        received += part
    return bytes(received)
