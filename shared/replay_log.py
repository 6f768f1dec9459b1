"""What has been replayed: a topic beside the dead letters, with an entry for each letter scored again.

An entry is written in the transaction that holds the replay's prediction or new dead letter, so that the log
says of each letter whether it was replayed, whatever was killed. Its key is the event's position and time
(topics that are made anew use positions again), and the topic is compacted: the newest entry of an event is
all that counts, and it stays.

A letter whose attempt is above that of its event's newest entry waits to be replayed; any other does not, and
something newer tells what became of its event: a prediction, or a letter of a later attempt.
"""

import sqlite3
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Literal

import msgspec

from shared.dead_letters import Origin, Told
from shared.deadline import Deadline
from shared.errors import InputError
from shared.kafka.connection import KafkaSettings
from shared.kafka.to_end import Extent, extents, read_to_end
from shared.kafka.topics import describe_topics

# Kibibytes that SQLite keeps in memory, as its own negative numbers say it.
_CACHE: Final = "PRAGMA cache_size = -32768"
# Bytes, one for all positions of a hash: most positions were never replayed, and need not be looked up.
_HASHES: Final = 1 << 22


class Standing(StrEnum):
    """What became of a dead letter since it was written."""

    WAITING = "waiting"
    SCORED = "scored"
    REJECTED_AGAIN = "rejected_again"


class Entry(msgspec.Struct, frozen=True):
    """One replayed letter.

    Attributes:
        position: Where its event stood, `topic/partition/offset`.
        timestamp: The event's record timestamp, in milliseconds since the epoch.
        attempt: The letter's attempt, which the replay's own is one above.
        outcome: What the replay gave: a prediction, or a new letter.
        letter: Where the letter stands, `topic/partition/offset`.
        model: `name@version` of the model that scored it again.
    """

    position: str
    timestamp: int
    attempt: int
    outcome: Literal["scored", "rejected"]
    letter: str
    model: str

    @property
    def key(self) -> bytes:
        """What the entries of one event share."""
        return _key(self.position, self.timestamp)


def log_topic(dead_letter_topic: str, named: str | None = None) -> str:
    """The topic of the log.

    Args:
        dead_letter_topic: Whose letters are replayed.
        named: What the user calls it; None: nothing.
    """
    return named or f"{dead_letter_topic}-replayed"


def _key(position: str, timestamp: int) -> bytes:
    return f"{position}@{timestamp}".encode()


class Replayed:
    """The newest entry of each event, in a temporary file: the memory it needs does not grow."""

    def __init__(self) -> None:
        # A file of SQLite's own, which is gone when this process is.
        self._entries = sqlite3.connect("", isolation_level=None)
        self._entries.execute("PRAGMA journal_mode = OFF")
        self._entries.execute(_CACHE)
        self._entries.execute("CREATE TABLE entry (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        self._hashes = bytearray(_HASHES)

    def enter(self, entries: Iterable[Entry]) -> None:
        """Adds entries, those of one event in the order of the log."""
        pairs = []
        for entry in entries:
            pairs.append((entry.key, msgspec.json.encode(entry)))
            self._hashes[hash(entry.position) % _HASHES] = 1
        self._entries.execute("BEGIN")
        self._entries.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", pairs)
        self._entries.execute("COMMIT")

    def newest(self, origin: Origin) -> Entry | None:
        """The newest entry of an event; None when it was never replayed."""
        found = self._entries.execute(
            "SELECT value FROM entry WHERE key = ?", (_key(origin.position, origin.timestamp),)
        ).fetchone()
        return None if found is None else msgspec.json.decode(found[0], type=Entry)

    @property
    def empty(self) -> bool:
        """Whether nothing was ever replayed."""
        return self._entries.execute("SELECT 1 FROM entry LIMIT 1").fetchone() is None

    def times_of(self, position: str) -> list[int]:
        """The timestamps of the events of a position, `topic/partition/offset`, that were ever replayed.

        There are several where topics of the same name were made anew; none is of a position never replayed.
        """
        if not self._hashes[hash(position) % _HASHES]:
            return []
        # "A" is the character after "@", which ends the position.
        bounds = (f"{position}@".encode(), f"{position}A".encode())
        found = self._entries.execute("SELECT key FROM entry WHERE key >= ? AND key < ?", bounds)
        return [int(key.rpartition(b"@")[2]) for (key,) in found]

    def standing(self, told: Told) -> Standing:
        """What became of a letter."""
        entry = self.newest(told.origin)
        if entry is None or told.attempt > entry.attempt:
            return Standing.WAITING
        if told.attempt == entry.attempt and entry.outcome == "scored":
            return Standing.SCORED
        return Standing.REJECTED_AGAIN


class ReplayLog:
    """A log, read to its end at each `refresh`.

    Args:
        settings: Where the brokers are.
        topic: The log's.

    Attributes:
        replayed: What was read.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self.topic = topic
        self.replayed = Replayed()
        self._settings = settings
        self._upto: dict[int, int] = {}

    def refresh(self) -> None:
        """Reads what has been committed since the last call.

        Raises:
            ConfigurationError: There is no such topic.
            InputError: It holds something else.
            TandemError: The broker does not answer.
        """
        held = extents(self._settings, self.topic)
        new = {
            partition: Extent(max(extent.start, self._upto.get(partition, 0)), extent.end)
            for partition, extent in held.items()
        }
        for columns in read_to_end(self._settings, self.topic, new):
            self.replayed.enter(entries_of(columns.values, columns.topic, columns.partition))
        self._upto = {partition: extent.end for partition, extent in held.items()}


def read_log(settings: KafkaSettings, topic: str) -> ReplayLog:
    """A log as it is now; an empty one when there is no such topic, since nothing was ever replayed.

    Raises:
        TandemError: The broker does not answer, or the topic holds something else.
    """
    log = ReplayLog(settings, topic)
    if describe_topics(settings, [topic], Deadline.after(settings.broker_timeout))[topic] is not None:
        log.refresh()
    return log


def entries_of(values: Iterable[bytes | None], topic: str, partition: int) -> list[Entry]:
    """The entries that records of a log hold.

    Args:
        values: The records' values.
        topic: The log's topic, for the message.
        partition: Its partition.

    Raises:
        InputError: They are something else.
    """
    try:
        return [msgspec.json.decode(value or b"", type=Entry) for value in values]
    except msgspec.MsgspecError as error:
        raise InputError(
            f"topic {topic!r}, partition {partition} is no log of replays: {error}",
            hint="Name the one that belongs to the dead letters, with --replay-topic.",
        ) from error
