"""The form of a dead letter: a rejection on its topic, with the original key and bytes unchanged.

Where its topic does not take even the compressed letter, it goes without the bytes: see `stub_of`.
Written by the consumer, read by its replay and by compare; the headers are UTF-8 text.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.position import position_of
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
#: The most bytes of a key that a letter without its event's bytes keeps: an id of 1,024 characters fits.
MAX_STUB_KEY: Final = 4 * 1024

# Any number of so many digits is an int64.
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
# What Kafka gives a record that was sent without a time.
_NO_TIME: Final = "-1"


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
        return position_of(self.topic, self.partition, self.offset)


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
    return own_headers(original) + [(name, text.encode()) for name, text in told.items() if text is not None]


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
    return key if key is not None and len(key) <= MAX_STUB_KEY else None, told


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was said of bytes that a letter goes without.

    Attributes:
        bytes: How many they were.
        sha256: Their digest, in hex.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a dead letter's headers tell.

    Attributes:
        origin: Where its event stood.
        reason: Why it could not be scored.
        detail: The same as a sentence; it may quote the event.
        field: The field at fault, when there is one.
        model: `name@version` of the model that refused it.
        attempt: Which attempt at scoring the event it was, from 1.
        left_out: What the event's bytes were, when the letter goes without them.
    """

    origin: Origin
    reason: Reason
    detail: str
    field: str | None
    model: str
    attempt: int
    left_out: LeftOut | None


def told_by(headers: Sequence[Header]) -> Told:
    """Reads a dead letter's headers.

    Raises:
        ValueError: One is missing or is not what Tandem writes: the record is no dead letter of Tandem's.
    """
    told = read_headers(headers)
    sha256 = told.get(SHA256)
    if missing := [name for name in (DETAIL, MODEL) if name not in told]:
        raise ValueError(f"the header {missing[0]} is missing")
    attempt = _number(told, ATTEMPT)
    if attempt < 1:
        raise ValueError(f"the header {ATTEMPT} is not an attempt: {attempt}")
    return Told(
        origin_of(told),
        reason_of(told),
        told[DETAIL],
        told.get(FIELD),
        told[MODEL],
        attempt,
        None if sha256 is None else LeftOut(_number(told, BYTES), sha256),
    )


def own_headers(headers: Sequence[Header]) -> list[Header]:
    """The headers that the event itself had."""
    return [header for header in headers if not header[0].startswith(PREFIX)]


def read_headers(headers: Sequence[Header]) -> Mapping[str, str]:
    """Tandem's own headers of a dead letter, as text by name."""
    own = [(name, value or b"") for name, value in headers if name.startswith(PREFIX)]
    return {name: value.decode(errors="replace") for name, value in own}


def origin_of(told: Mapping[str, str]) -> Origin:
    """Where a dead letter's event stood.

    Raises:
        ValueError: A header is missing or is not a number: the record is no dead letter of Tandem's.
    """
    timestamp = -1 if told.get(TIMESTAMP) == _NO_TIME else _number(told, TIMESTAMP)
    if not told.get(TOPIC):
        raise ValueError(f"the header {TOPIC} is missing")
    return Origin(told[TOPIC], _number(told, PARTITION), _number(told, OFFSET), timestamp)


def _number(told: Mapping[str, str], name: str) -> int:
    """A header's number, in the one form in which Tandem writes it."""
    if name not in told:
        raise ValueError(f"the header {name} is missing")
    if not _NUMBER.fullmatch(told[name]):
        raise ValueError(f"the header {name} is not a number: {told[name]!r}")
    return int(told[name])


def reason_of(told: Mapping[str, str]) -> Reason:
    """Why a dead letter's event could not be scored.

    Raises:
        ValueError: The header is missing or names no reason.
    """
    return Reason(told.get(REASON, ""))
