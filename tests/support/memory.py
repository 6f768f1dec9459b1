"""An in-memory Kafka for the consumer's parts: one topic in, records out, offsets, and faults as data."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from consumer.scoring import Scored
from shared.deadline import Deadline
from shared.kafka.columns import Mark, NewRecords, RecordColumns
from shared.kafka.errors import TransactionAbortedError


@dataclass
class MemoryKafka:
    """Both ends of the consumer: a source of `polls` and a sink with transactions.

    Attributes:
        polls: What each poll gives: columns, or an error to raise.
        rebalances: Numbers of the polls (from 0) that see a changed assignment.
        failures: By step (`group_metadata`, `begin`, `write`, `flush`, `send_offsets`, `commit_transaction`,
            `commit`, `rewind`, `caught_up`), the errors that its next calls raise.
        visible: What a read_committed reader would see.
        marks: What the group has committed of each partition.
        calls: Every step, in order.
        left_until: How many polls it takes until nothing is left.
        on_exhausted: Called by a poll for which nothing is left.
        before_step: Called with the name of each step.
        largest: Most bytes of a record that its topics take.
    """

    polls: list[Sequence[RecordColumns] | Exception]
    rebalances: set[int] = field(default_factory=set)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    visible: list[NewRecords] = field(default_factory=list)
    marks: dict[int, Mark] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    left_until: int = 0
    largest: int = 1 << 30
    on_exhausted: Callable[[], None] = lambda: None
    before_step: Callable[[str], object] = lambda _name: None
    _polled: int = 0
    _transactional: bool = False
    _open: list[NewRecords] = field(default_factory=list)
    _offsets: dict[int, Mark] = field(default_factory=dict)

    @property
    def committed(self) -> dict[int, int]:
        """The group's offset of each partition."""
        return {partition: mark.offset for partition, mark in self.marks.items()}

    def _step(self, name: str) -> None:
        self.before_step(name)
        self.calls.append(name)
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    # The source.

    def poll(self, timeout: float, max_batches: int) -> Sequence[RecordColumns]:  # noqa: ARG002 - as a reader's
        if self._polled >= len(self.polls):
            self.on_exhausted()
            return []
        given = self.polls[self._polled]
        self._polled += 1
        if isinstance(given, Exception):
            raise given
        return given

    def take_rebalanced(self) -> bool:
        return self._polled - 1 in self.rebalances

    def caught_up(self, timeout: float) -> bool:
        self._step("caught_up")
        assert timeout > 0
        return self._polled >= self.left_until

    @property
    def joined(self) -> bool:
        return True

    @property
    def assignment(self) -> set[int]:
        return {0, 1}

    def group_metadata(self) -> str:
        self._step("group_metadata")
        return "member"

    def commit(self, offsets: Mapping[int, Mark]) -> None:
        self._step("commit")
        self.marks.update(offsets)

    def rewind(self) -> dict[int, Mark | None]:
        self._step("rewind")
        return {partition: self.marks.get(partition) for partition in self.assignment}

    def keep_membership(self) -> None:
        self._step("keep_membership")

    def positions(self) -> dict[int, int]:
        return self.committed

    # The sink.

    def too_large(self, records: NewRecords) -> list[int]:
        return [
            row
            for row, (key, value) in enumerate(zip(records.keys, records.values, strict=True))
            if len(key or b"") + len(value or b"") > self.largest
        ]

    def begin(self, expected: Collection[tuple[str, int]] = (), group_metadata: Any = None) -> None:
        self._step("announce" if expected else "begin")
        assert not self._transactional, "the transaction before is still open"
        assert bool(expected) == (group_metadata == "member")
        self._transactional = True

    def write(self, *several: NewRecords) -> None:
        self._step("write")
        (self._open if self._transactional else self.visible).extend(several)

    def flush(self, deadline: Deadline) -> None:  # noqa: ARG002 - as a writer's
        self._step("flush")

    def send_offsets(
        self,
        offsets: Mapping[tuple[str, int], Mark],
        group_metadata: Any,
        deadline: Deadline,  # noqa: ARG002 - as a writer's
    ) -> None:
        self._step("send_offsets")
        assert group_metadata == "member"
        self._offsets = {partition: mark for (_, partition), mark in offsets.items()}

    def commit_transaction(self, deadline: Deadline) -> None:  # noqa: ARG002 - as a writer's
        self._step("commit_transaction")
        if not self._transactional:
            raise TransactionAbortedError("no transaction is open")
        self.visible += self._open
        self.marks.update(self._offsets)
        self._end()

    def abort_transaction(self, deadline: Deadline) -> None:  # noqa: ARG002 - as a writer's
        self._step("abort_transaction")
        self._end()

    def _end(self) -> None:
        self._transactional, self._open, self._offsets = False, [], {}


@dataclass
class Told:
    """A telemetry and a guard that only remember what they were told.

    Attributes:
        steps: The names of the steps, in order.
        committed_events: How many events each committed batch had.
        undone_events: How many each undone one had.
        partitions: What was assigned last.
        reached: The positions that were told last.
        refuse: Raised when a batch is to be published.
    """

    steps: list[str] = field(default_factory=list)
    committed_events: list[int] = field(default_factory=list)
    undone_events: list[int] = field(default_factory=list)
    partitions: set[int] = field(default_factory=set)
    reached: Mapping[int, int] = field(default_factory=dict)
    refuse: Exception | None = None

    @contextmanager
    def step(self, name: str, places: Mapping[int, int]) -> Iterator[None]:  # noqa: ARG002 - as a telemetry's
        self.steps.append(name)
        yield

    def assigned(self, partitions: Collection[int]) -> None:
        self.partitions = set(partitions)

    def positions(self, positions: Mapping[int, int]) -> None:
        self.reached = positions

    def committed(self, batch: Sequence[Scored], polled_at: float) -> None:
        assert polled_at > 0
        self.committed_events.append(sum(len(scored.events) for scored in batch))

    def undone(self, events: int) -> None:
        self.undone_events.append(events)

    def check(self, batch: Sequence[Scored]) -> None:
        assert batch
        if self.refuse:
            raise self.refuse

    def add(self, batch: Sequence[Scored]) -> None:
        assert batch


def lesson_columns(partition: int, first_offset: int, *values: bytes | None) -> RecordColumns:
    """Events of topic `customers`, one after another."""
    count = len(values)
    return RecordColumns(
        "customers",
        partition,
        list(range(first_offset, first_offset + count)),
        [1_000 + place for place in range(count)],
        [f"k{place}".encode() for place in range(count)],
        list(values),
        {},
        first_offset + count,
    )
