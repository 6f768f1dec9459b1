"""What is sent: a key and a value."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


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
        event: Its fields.
        key: The field that holds the customer's id.
    """
    return Message(key_of(event.get(key)), json.dumps(event).encode())


def key_of(customer_id: object) -> bytes | None:
    """The record key for a customer's id."""
    return None if customer_id is None else str(customer_id).encode()
