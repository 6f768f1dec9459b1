"""The event behind a dead letter: the letter's own bytes, or those at the event's position."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from consumer.dead_letters.letters import Letter, record_at
from shared.dead_letters import own_headers
from shared.errors import ConfigurationError, InputError
from shared.kafka.columns import Header, RecordColumns
from shared.kafka.connection import KafkaSettings


class GoneError(ValueError):
    """The event's bytes are not to be had any more, for the reason given."""


class Finder(Protocol):
    """Looks up the one record at a topic, partition and offset; None when nothing is there."""

    def __call__(self, topic: str, partition: int, offset: int, /) -> RecordColumns | None:
        """The record."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it stood on its topic."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]


def finder(settings: KafkaSettings) -> Finder:
    """Looks records up at the broker."""
    return lambda topic, partition, offset: record_at(settings, topic, partition, offset)


def event_of(letter: Letter, find: Finder) -> Event:
    """The event that a letter is about.

    Args:
        letter: The letter; one that goes without its event's bytes is looked up at the event's position.
        find: Where to look.

    Raises:
        GoneError: Nothing is there any more, or something else.
        TandemError: The broker does not answer.
    """
    left_out, origin = letter.told.left_out, letter.told.origin
    if left_out is None:
        return Event(letter.key, letter.value, own_headers(letter.headers))
    try:
        found = find(origin.topic, origin.partition, origin.offset)
    except (ConfigurationError, InputError) as error:
        raise GoneError(f"its event cannot be read: {error.message}") from error
    if found is None:
        raise GoneError(f"its bytes were left out, and {origin.position} holds no event any more")
    value = found.values[0]
    whole = value or b""
    same = (len(whole), hashlib.sha256(whole).hexdigest()) == (left_out.bytes, left_out.sha256)
    if not same or found.timestamps[0] != origin.timestamp:
        raise GoneError(f"its bytes were left out, and another event stands at {origin.position}")
    return Event(found.keys[0], value, found.headers.get(0, []))
