"""What is sent: a key and a value."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from shared.keys import key_of


class Message(NamedTuple):
    """One record to send.

    Attributes:
        key: The customer's id as text, so that a customer's events keep their order; None without one.
        value: The event as JSON; None is a tombstone.
    """

    key: bytes | None
    value: bytes | None


def from_event(event: Mapping[str, Any], key: str) -> Message:
    """The message for an event.

    Args:
        event: Its fields, all numbers finite.
        key: The field that holds the customer's id.
    """
    return Message(key_of(event.get(key)), msgspec.json.encode(event))
