"""The events that a run sends: keyed and numbered, so that order can be judged, with poison among them."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

CUSTOMERS: Final = 200
#: The header of what an event is: `good`, or a poison's name.
KIND: Final = "chaos.kind"
#: The header of an event's number among those of its key.
SEQUENCE: Final = "chaos.sequence"
GOOD: Final = "good"
#: The reason for which each poison must be rejected, whatever the consumer says.
REASONS: Final = {
    "junk": "not_json",
    "not utf-8": "invalid_utf8",
    "missing field": "missing_field",
    "wrong type": "wrong_type",
    "huge": "too_large",
    "deep": "too_deep",
    "tombstone": "tombstone",
}
# A huge event costs a thousand times what the others do.
_SHARES: Final = {"huge": 0.1}
_HUGE_BYTES: Final = (1 << 20) + 1
_DEPTH: Final = 5_000


@dataclass(frozen=True, slots=True)
class Event:
    """One event to send.

    Attributes:
        key: The customer's number as text.
        value: The JSON object, or what should have been one.
        headers: What the verifier needs to know of it.
    """

    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Events:
    """Makes events, the same ones for a seed and an order of calls.

    Args:
        seed: Of all that is random in them.
        poison: The share of events that cannot be scored.
    """

    def __init__(self, seed: int, poison: float) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - the same events in every run
        self._poison = poison
        self._sequences: dict[int, int] = {}

    def next(self) -> Event:
        """The next one of the mixture."""
        return self.bad() if self._rng.random() < self._poison else self._make(GOOD)

    def bad(self) -> Event:
        """One that cannot be scored."""
        weights = [_SHARES.get(kind, 1.0) for kind in REASONS]
        return self._make(self._rng.choices(list(REASONS), weights)[0])

    def _make(self, kind: str) -> Event:
        customer = self._rng.randrange(CUSTOMERS)
        sequence = self._sequences[customer] = self._sequences.get(customer, -1) + 1
        event: dict[str, int | float | str] = {
            "customer_id": customer,
            "event_id": f"{customer}:{sequence}",
            "feature": round(self._rng.random(), 4),
        }
        headers = [(KIND, kind.encode()), (SEQUENCE, str(sequence).encode())]
        return Event(str(customer).encode(), value_of(kind, event), headers)


def value_of(kind: str, event: dict[str, int | float | str]) -> bytes | None:
    """The bytes of an event, spoilt in the way that its kind says."""
    text = json.dumps(event).encode()
    if kind == "missing field":
        return json.dumps({name: value for name, value in event.items() if name != "feature"}).encode()
    spoilt: dict[str, bytes | None] = {
        GOOD: text,
        "junk": b"junk" + text,
        "not utf-8": text.replace(b'"feature"', b'"f\xffature"'),
        "wrong type": json.dumps(event | {"feature": "much"}).encode(),
        "huge": b" " * _HUGE_BYTES + text if kind == "huge" else None,
        "deep": b"[" * _DEPTH + b"]" * _DEPTH,
        "tombstone": None,
    }
    return spoilt[kind]
