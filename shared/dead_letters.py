"""The form of a dead letter: a rejection on its topic, with the original key and bytes unchanged.

Where its topic does not take even the compressed letter, it goes without the bytes: see `stub_of`.
Written by the consumer, read by compare; the headers are UTF-8 text.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.schema import Reason, Rejection

Header = tuple[str, bytes | None]

PREFIX: Final = "tandem."
REASON: Final = "tandem.reason"
DETAIL: Final = "tandem.detail"
FIELD: Final = "tandem.field"
TOPIC: Final = "tandem.topic"
PARTITION: Final = "tandem.partition"
OFFSET: Final = "tandem.offset"
TIMESTAMP: Final = "tandem.timestamp"
MODEL: Final = "tandem.model"
ATTEMPT: Final = "tandem.attempt"
BYTES: Final = "tandem.bytes"
SHA256: Final = "tandem.sha256"

#: The most bytes that the headers add to an event; the dead-letter topic must take as much more.
MAX_HEADER_BYTES: Final = 8 * 1024
# In characters, of which one takes up to four bytes; for the field and for the sentence.
_MAX_TEXT: Final = 900
# An id of 1,024 characters fits.
_MAX_STUB_KEY: Final = 4 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a dead letter's event stood.

    Attributes:
        topic: The input topic.
        partition: Its partition.
        offset: The event's offset there.
        timestamp: The event's record timestamp, in milliseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int

    @property
    def position(self) -> str:
        """`topic/partition/offset`, as a prediction would carry it."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def headers_for(
    rejection: Rejection, origin: Origin, model: str, original: Sequence[Header] = (), attempt: int = 1
) -> list[Header]:
    """A dead letter's headers: the event's own, then what happened to it.

    Args:
        rejection: Why the event could not be scored.
        origin: Where it stood.
        model: `name@version` of the model that refused it.
        original: The event's own headers, kept unless they pretend to be Tandem's.
        attempt: How often the event has been tried.
    """
    told = {
        REASON: str(rejection.reason),
        DETAIL: rejection.detail[:_MAX_TEXT],
        FIELD: None if rejection.field is None else rejection.field[:_MAX_TEXT],
        TOPIC: origin.topic,
        PARTITION: str(origin.partition),
        OFFSET: str(origin.offset),
        TIMESTAMP: str(origin.timestamp),
        MODEL: model,
        ATTEMPT: str(attempt),
    }
    kept = [header for header in original if not header[0].startswith(PREFIX)]
    return kept + [(name, text.encode()) for name, text in told.items() if text is not None]


def stub_of(
    key: bytes | None, value: bytes | None, headers: Sequence[Header]
) -> tuple[bytes | None, list[Header]]:
    """The key and headers of a letter that goes without its event's bytes, which its topic does not take.

    The event's own headers are left out, and its key where it is longer than 4 KiB. Two headers say what
    the bytes were, by which the event is known again at its position: `tandem.bytes` and `tandem.sha256`.

    Args:
        key: The event's key.
        value: The event's bytes.
        headers: The letter's, from `headers_for`.
    """
    told = [header for header in headers if header[0].startswith(PREFIX)]
    whole = value or b""
    told += [
        (BYTES, str(len(whole)).encode()),
        (SHA256, hashlib.sha256(whole).hexdigest().encode()),
    ]
    return key if key is not None and len(key) <= _MAX_STUB_KEY else None, told


def read_headers(headers: Sequence[Header]) -> Mapping[str, str]:
    """Tandem's own headers of a dead letter, as text by name."""
    own = [(name, value or b"") for name, value in headers if name.startswith(PREFIX)]
    return {name: value.decode(errors="replace") for name, value in own}


def origin_of(told: Mapping[str, str]) -> Origin:
    """Where a dead letter's event stood.

    Raises:
        ValueError: A header is missing or is not a number: the record is no dead letter of Tandem's.
    """
    try:
        return Origin(told[TOPIC], int(told[PARTITION]), int(told[OFFSET]), int(told[TIMESTAMP]))
    except KeyError as error:
        raise ValueError(f"the header {error.args[0]} is missing") from error


def reason_of(told: Mapping[str, str]) -> Reason:
    """Why a dead letter's event could not be scored.

    Raises:
        ValueError: The header is missing or names no reason.
    """
    return Reason(told.get(REASON, ""))
