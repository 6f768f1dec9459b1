"""What was handed to the writer for an event: is it the event's own record, as it must be? Pure."""

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from consumer.scoring import Scored
from shared import dead_letters
from shared.dead_letters import read_headers, stub_of
from shared.kafka.columns import Header, NewRecords, RecordColumns
from shared.schema import Reason


@dataclass(frozen=True, slots=True)
class Written:
    """A record as the writer was given it.

    Attributes:
        partition: The number of the partition that it was for.
        key: Its key.
        value: Its value.
        headers: Tandem's own, where it is a dead letter; the event's own are not kept.
    """

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()

    @classmethod
    def at(cls, records: NewRecords, place: int) -> Self:
        """One of several records."""
        headers = () if records.headers is None else records.headers[place]
        own = tuple(header for header in headers if header[0].startswith(dead_letters.PREFIX))
        return cls(records.partition, records.keys[place], records.values[place], own)

    def is_prediction(self, events: RecordColumns, row: int, value: bytes) -> bool:
        """Whether it is the prediction for an event: on its partition number, under its key.

        Args:
            events: The event, among others.
            row: Which of them it is.
            value: The prediction as it must be.
        """
        found = (self.partition, self.key, self.value)
        return found == (events.partition, events.keys[row], value)

    def is_letter(self, events: RecordColumns, row: int, reason: Reason, model: str) -> bool:
        """Whether it is the dead letter of an event: its key and bytes, or a stub that tells of them.

        Args:
            events: The event, among others.
            row: Which of them it is.
            reason: Why it was rejected.
            model: `name@version` of the model that rejected it.
        """
        key, value = events.keys[row], events.values[row]
        told = read_headers(self.headers)
        expected = {
            dead_letters.REASON: str(reason),
            dead_letters.TOPIC: events.topic,
            dead_letters.PARTITION: str(events.partition),
            dead_letters.OFFSET: str(events.offsets[row]),
            dead_letters.TIMESTAMP: str(events.timestamps[row]),
            dead_letters.MODEL: model,
        }
        if dead_letters.SHA256 in told:
            whole = value or b""
            expected[dead_letters.BYTES] = str(len(whole))
            expected[dead_letters.SHA256] = hashlib.sha256(whole).hexdigest()
            key, value = stub_of(key, value, ())[0], None
        found = (self.partition, self.key, self.value)
        return found == (events.partition, key, value) and expected.items() <= told.items()


def written_for(
    scored: Scored, rows: npt.NDArray[np.int64], topic: str, dead_letter_topic: str
) -> list[Written | None]:
    """What was written for some events of a partition; None for one for which nothing was.

    Args:
        scored: The events, and what became of them.
        rows: The index of those events.
        topic: Where predictions go; a shadow's go elsewhere.
        dead_letter_topic: Where rejections go.
    """
    predictions, letters = (
        next((new for new in scored.records if new.topic == name), None)
        for name in (topic, dead_letter_topic)
    )
    refused = {rejection.row: place for place, rejection in enumerate(scored.outcome.rejections)}
    found: list[Written | None] = []
    for row, place in zip(rows.tolist(), np.searchsorted(scored.outcome.rows, rows).tolist(), strict=True):
        records, at = (letters, refused[row]) if row in refused else (predictions, place)
        found.append(Written.at(records, at) if records is not None and at < len(records) else None)
    return found
