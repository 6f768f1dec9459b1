"""Dead letters for tests, as the consumer would have written them."""

from collections.abc import Sequence
from typing import Any

from consumer.dead_letters.letters import Letter, letter_at
from shared.dead_letters import Origin, headers_for, stub_of
from shared.kafka.columns import Header, RecordColumns
from shared.schema import Reason, Rejection

EVENTS, LETTERS = "customers", "dead-letters"
#: The present of these tests, in milliseconds since the epoch.
NOW = 1_800_000_000_000


def letter(value: bytes | None = b"junk", offset: int = 0, **changes: Any) -> Letter:
    """One letter; `changes` are of `letter_columns`."""
    return letter_at(letter_columns([value], offset, **changes), 0)


def letter_columns(
    values: Sequence[bytes | None],
    offset: int = 0,
    *,
    partition: int = 0,
    at: int | None = None,
    reason: Reason = Reason.NOT_JSON,
    field: str | None = None,
    model: str = "threshold@1",
    attempt: int = 1,
    topic: str = EVENTS,
    own: Sequence[Header] = (),
    stub: bool = False,
    written: int = NOW,
) -> RecordColumns:
    """Letters of one partition, whose events stand at `offset` and after it; the letters from `at` on."""
    first = offset if at is None else at
    columns = RecordColumns(LETTERS, partition, next_offset=first + len(values))
    for row, value in enumerate(values):
        rejection = Rejection(row, reason, field, f"what is wrong with {offset + row}")
        headers = headers_for(rejection, Origin(topic, partition, offset + row, NOW - 1), model, own, attempt)
        key: bytes | None = f"k{offset + row}".encode()
        if stub:
            key, headers = stub_of(key, value, headers)
        columns.offsets.append(first + row)
        columns.timestamps.append(written)
        columns.keys.append(key)
        columns.values.append(None if stub else value)
        columns.headers[row] = headers
    return columns
