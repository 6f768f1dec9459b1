"""Scoring letters again, and publishing what comes of it: the only place of a replay that commits."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from consumer.dead_letters.letters import Letter
from consumer.dead_letters.originals import Event, Finder, GoneError, event_of
from consumer.dead_letters.selection import Left, Selection
from consumer.scoring import Scored, StreamScorer
from shared.deadline import Deadline
from shared.errors import StalledError
from shared.kafka.columns import NewRecords, RecordColumns
from shared.kafka.errors import RecoverableError
from shared.replay_log import Entry, Replayed
from shared.visible import visible

logger = logging.getLogger(__name__)

# Between two tries to commit a batch.
_PAUSE = 0.5
# What has no reason code.
SCORED = "scored"


class Log(Protocol):
    """What a replay needs of the log (shared/replay_log.py)."""

    @property
    def topic(self) -> str:
        """Where its entries are written."""

    @property
    def replayed(self) -> Replayed:
        """What has been read of it, and entered since."""

    def refresh(self) -> None:
        """Reads what has been committed since."""


class Sink(Protocol):
    """What a replay needs of a writer (shared/kafka/writer.py)."""

    def begin(self) -> None:
        """Opens a transaction."""

    def write(self, records: NewRecords) -> object:
        """Hands records to the sender."""

    def commit_transaction(self, deadline: Deadline) -> None:
        """Commits."""

    def abort_transaction(self, deadline: Deadline) -> None:
        """Aborts."""


@dataclass(slots=True)
class Result:
    """What a replay did, or would do.

    Attributes:
        changes: How many letters went from one reason to another, or to `scored`.
        left: How many letters were left alone, by why.
        strangers: How many records were no letters.
    """

    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    left: Counter[Left] = field(default_factory=Counter)
    strangers: int = 0

    @property
    def replayed(self) -> int:
        """Letters that were scored again."""
        return self.changes.total()

    @property
    def scored(self) -> int:
        """Those of them that have a prediction now."""
        return sum(count for (_, after), count in self.changes.items() if after == SCORED)


@dataclass(slots=True)
class _Again:
    """Letters scored again.

    Attributes:
        records: What to write: predictions, new letters, and what the log is to say.
        entries: The log's.
        changes: From which reason to which, or to `scored`.
    """

    records: list[NewRecords] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)


class Replayer:
    """Replays letters: each batch is one transaction that holds all that it leads to, the log included.

    Whether a batch is committed is told by the log alone, so that after a transaction whose end is not known
    the log is read again, and only what it does not hold is done again.

    Args:
        selection: Which letters.
        scorer: Scores events and forms predictions and letters.
        find: Looks up the events of letters that go without their bytes.
        log: What has been replayed; read after the sink has fenced all others.
        sink: Where to write; None to write nothing.
        model: `name@version` of the model that scores.
        timeout: Seconds that a commit, with all its tries, may take.
        limit: Most letters to replay; None: all.
    """

    def __init__(  # noqa: PLR0913 - each has its own meaning
        self,
        selection: Selection,
        scorer: StreamScorer,
        find: Finder,
        log: Log,
        *,
        sink: Sink | None,
        model: str,
        timeout: float,
        limit: int | None = None,
    ) -> None:
        self._selection = selection
        self._scorer = scorer
        self._find = find
        self._log = log
        self._sink = sink
        self._model = model
        self._timeout = timeout
        self._limit = limit
        self.result = Result()

    @property
    def done(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self.result.replayed >= self._limit

    def replay(self, letters: Sequence[Letter]) -> None:
        """Replays those of some letters that wait for it and are chosen.

        Raises:
            FencedError: Another replay of the same log has taken over; nothing of this batch counts.
            StalledError: The batch could not be committed in time; whether it counts, the next run reads.
            InputError: The log of replays does not belong to these letters.
        """
        found = self._with_events(self._within_limit(self._selection.among(letters, self.result.left)))
        deadline = Deadline.after(self._timeout)
        while found:
            again = self._score(found)
            if self._sink is None or self._published(self._sink, again):
                self._log.replayed.enter(again.entries)
                self.result.changes += again.changes
                return
            if deadline.passed:
                raise StalledError(
                    f"a batch could not be committed in {self._timeout:g} s",
                    hint="See that the brokers are up, then start again: what was replayed is known.",
                )
            deadline.pause(_PAUSE)
            self._log.refresh()
            waiting = [pair for pair in found if self._selection.why_not(pair[0]) is None]
            if not waiting:
                # The transaction that seemed lost was committed after all.
                self.result.changes += again.changes
                return
            # Another replay did the rest before this one, which lost its connection, fenced it.
            self.result.left[Left.REPLAYED] += len(found) - len(waiting)
            found = waiting

    def _within_limit(self, letters: list[Letter]) -> list[Letter]:
        if self._limit is None:
            return letters
        room = self._limit - self.result.replayed
        self.result.left[Left.BEYOND_LIMIT] += max(0, len(letters) - room)
        return letters[:room]

    def _with_events(self, letters: Sequence[Letter]) -> list[tuple[Letter, Event]]:
        found = []
        for letter in letters:
            try:
                found.append((letter, event_of(letter, self._find)))
            except GoneError as error:
                self.result.left[Left.GONE] += 1
                logger.warning("%s is not replayed: %s", letter.place, visible(str(error)))
        return found

    def _score(self, found: Sequence[tuple[Letter, Event]]) -> _Again:
        now = time.time_ns() // 1_000_000
        again = _Again()
        # By attempt, then by partition.
        groups: dict[int, dict[int, list[tuple[Letter, Event]]]] = {}
        for letter, event in found:
            parts = groups.setdefault(letter.told.attempt, {})
            parts.setdefault(letter.partition, []).append((letter, event))
        for attempt, parts in groups.items():
            batch = [_columns_of(members) for members in parts.values()]
            for members, scored in zip(
                parts.values(), self._scorer.score(batch, now, attempt + 1), strict=True
            ):
                self._note([letter for letter, _ in members], scored, now, again)
        return again

    def _note(self, letters: Sequence[Letter], scored: Scored, now: int, again: _Again) -> None:
        """Adds what came of letters of one partition."""
        after = {rejection.row: str(rejection.reason) for rejection in scored.outcome.rejections}
        entries = [self._entry(letter, rejected=row in after) for row, letter in enumerate(letters)]
        again.entries += entries
        again.changes.update(
            (str(letter.told.reason), after.get(row, SCORED)) for row, letter in enumerate(letters)
        )
        log = _log_records(self._log.topic, letters[0].partition, entries, now)
        again.records += [*scored.records, log]

    def _entry(self, letter: Letter, *, rejected: bool) -> Entry:
        origin = letter.told.origin
        return Entry(
            origin.position,
            origin.timestamp,
            letter.told.attempt,
            "rejected" if rejected else "scored",
            letter.place,
            self._model,
        )

    def _published(self, sink: Sink, again: _Again) -> bool:
        """Steps 1 to 3 commit; if the transaction is lost, step 4 ends it."""
        begun = False
        try:
            # 1. Open the transaction; a newer replay of the same log has made that impossible.
            sink.begin()
            begun = True
            # 2. Write predictions, new letters, and the log's entries.
            for records in again.records:
                sink.write(records)
            # 3. Commit: all of it counts, or nothing.
            sink.commit_transaction(Deadline.after(self._timeout))
        except RecoverableError as error:
            # 4. Abort, or connect anew, which ends it too.
            logger.warning("The batch is looked up in the log and done again: %s", error.message)
            if begun:
                sink.abort_transaction(Deadline.after(self._timeout))
            return False
        return True


def _columns_of(members: Sequence[tuple[Letter, Event]]) -> RecordColumns:
    """Events of one partition as they stood on the input topic."""
    origins = [letter.told.origin for letter, _ in members]
    return RecordColumns(
        origins[0].topic,
        origins[0].partition,
        [origin.offset for origin in origins],
        [origin.timestamp for origin in origins],
        [event.key for _, event in members],
        [event.value for _, event in members],
        {row: event.headers for row, (_, event) in enumerate(members) if event.headers},
    )


def _log_records(topic: str, partition: int, entries: Sequence[Entry], now: int) -> NewRecords:
    values = [msgspec.json.encode(entry) for entry in entries]
    return NewRecords(topic, partition, [entry.key for entry in entries], values, now)
