"""The key of an event's record: the customer's id, so that a customer's events keep their order."""

import msgspec


def key_of(customer_id: object) -> bytes | None:
    """The record key for a customer's id."""
    return None if customer_id is None else str(customer_id).encode()


def key_in(event: bytes, field: str) -> bytes | None:
    """The record key for an event as it is sent, whatever it holds.

    Args:
        event: Its bytes.
        field: The field that holds the customer's id.

    Returns:
        None where it is no JSON object, or has no integer or text there.
    """
    try:
        customer_id = msgspec.json.decode(event).get(field)
        return key_of(customer_id) if isinstance(customer_id, int | str) else None
    except (msgspec.DecodeError, UnicodeError, AttributeError, RecursionError):
        return None
