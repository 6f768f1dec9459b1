"""The last events that were scored, for trying a new model on."""

from collections import deque
from collections.abc import Sequence
from typing import Final

#: How many of them are kept.
MOST_EVENTS: Final = 256
# Larger ones are not: all together they are to stay below 4 MiB.
_MOST_BYTES: Final = 16 * 1024


class Recent:
    """Keeps the last events. One thread may add and another read."""

    def __init__(self) -> None:
        self._values: deque[bytes] = deque(maxlen=MOST_EVENTS)

    def add(self, values: Sequence[bytes | None]) -> None:
        """Takes note of a batch; of its last events, those that have a value of usual size."""
        self._values.extend(
            [value for value in values[-MOST_EVENTS:] if value is not None and len(value) <= _MOST_BYTES]
        )

    def values(self) -> list[bytes]:
        """The events, oldest first."""
        return list(self._values)
