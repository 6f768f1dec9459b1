"""An in-memory Kafka for the consumer's parts: one topic in, records out, offsets, and faults as data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.deadline import Deadline
from shared.kafka.columns import NewRecords, RecordColumns
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
        committed: The group's offset of each partition.
        calls: Every step, in order.
        left_until: How many polls it takes until nothing is left.
        largest: Most bytes of a record that its topics take.
    """

    polls: list[Sequence[RecordColumns] | Exception]
    rebalances: set[int] = field(default_factory=set)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    visible: list[NewRecords] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    left_until: int = 0
    largest: int = 1 << 30
    on_exhausted: Callable[[], None] = lambda: None
    _polled: int = 0
    _transactional: bool = False
    _open: list[NewRecords] = field(default_factory=list)
    _offsets: dict[int, int] = field(default_factory=dict)

    def _step(self, name: str) -> None:
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

    def commit(self, offsets: Mapping[int, int]) -> None:
        self._step("commit")
        self.committed.update(offsets)

    def rewind(self) -> None:
        self._step("rewind")

    # The sink.

    def too_large(self, records: NewRecords) -> list[int]:
        return [
            row
            for row, (key, value) in enumerate(zip(records.keys, records.values, strict=True))
            if len(key or b"") + len(value or b"") > self.largest
        ]

    def begin(self) -> None:
        self._step("begin")
        self._transactional = True

    def write(self, records: NewRecords) -> None:
        self._step("write")
        (self._open if self._transactional else self.visible).append(records)

    def flush(self, deadline: Deadline) -> None:  # noqa: ARG002 - as a writer's
        self._step("flush")

    def send_offsets(
        self,
        offsets: Mapping[tuple[str, int], int],
        group_metadata: Any,
        deadline: Deadline,  # noqa: ARG002 - as a writer's
    ) -> None:
        self._step("send_offsets")
        assert group_metadata == "member"
        self._offsets = {partition: offset for (_, partition), offset in offsets.items()}

    def commit_transaction(self, deadline: Deadline) -> None:  # noqa: ARG002 - as a writer's
        self._step("commit_transaction")
        if not self._transactional:
            raise TransactionAbortedError("no transaction is open")
        self.visible += self._open
        self.committed.update(self._offsets)
        self._end()

    def abort_transaction(self, deadline: Deadline) -> None:  # noqa: ARG002 - as a writer's
        self._step("abort_transaction")
        self._end()

    def _end(self) -> None:
        self._transactional, self._open, self._offsets = False, [], {}


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
