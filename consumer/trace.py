"""W3C trace context: the headers that an event hands on to its prediction, as bytes and unread."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.kafka.columns import Header

#: The headers that are handed on, and the most bytes of each that are. A traceparent has 55; the others are
#: what the W3C's recommendations ask everyone to hand on.
MOST_BYTES: Final[Mapping[str, int]] = {"traceparent": 128, "tracestate": 512, "baggage": 8192}


def handed_on(headers: Mapping[int, Sequence[Header]]) -> dict[int, list[Header]]:
    """The trace context of events.

    A header that stands there more than once is handed on as often, in the order of the event's; one that is
    longer than its limit, all of its occurrences together, is left out.

    Args:
        headers: By row, the headers of those events that have any.

    Returns:
        By row, what to hand on, for those rows that have any of it.
    """
    found = {}
    for row, given in headers.items():
        context = [header for header in given if header[0] in MOST_BYTES]
        if context and (context := _within_limits(context)):
            found[row] = context
    return found


def _within_limits(context: list[Header]) -> list[Header]:
    sizes = dict.fromkeys(MOST_BYTES, 0)
    for name, value in context:
        sizes[name] += len(value or b"")
    return [header for header in context if sizes[header[0]] <= MOST_BYTES[header[0]]]
