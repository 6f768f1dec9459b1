"""A window: consecutive offsets of one partition of the input topic, with what the stream said of them."""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

#: Offsets of a window: as many events are in memory at once.
WINDOW_OFFSETS: Final = 16_384


def window_of(offset: int) -> int:
    """The number of the window in which an offset lies."""
    return offset // WINDOW_OFFSETS


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Some events and their answers.

    Attributes:
        topic: The input topic.
        partition: Its partition.
        number: Which window of the partition it is, see `window_of`.
        events: Rows of a snapshot (batch/snapshots.py), by offset.
        answers: Rows of ANSWERS by offset, kind and where they stand; also those for offsets at which no
            event stands.
        later: The least place, on the output topic's partition of the same number, of a prediction of any
            later window; None when there is none. It tells which events' keys are to be kept in mind, to see
            whether a later event of the key was answered before.
    """

    topic: str
    partition: int
    number: int
    events: pa.Table
    answers: pa.Table
    later: int | None
