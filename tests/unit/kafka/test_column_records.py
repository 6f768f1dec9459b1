"""Batches that are taken together are what the library would give one by one, up to one that is damaged."""

from collections import deque
from itertools import count
from typing import Any, NamedTuple

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.consumer.subscription_state import SubscriptionState
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

from shared.kafka import fast
from shared.kafka.columns import RecordColumns

TP = TopicPartition("topic", 3)
OTHER = TopicPartition("topic", 4)


class Aborted(NamedTuple):
    producer_id: int
    first_offset: int


class Completion(NamedTuple):
    topic_partition: TopicPartition
    fetched_offset: int
    records: Any


def batch(base: int, rows: int, *, producer: int = -1, compression: int = 0) -> bytes:
    """A batch of a transaction when it has a producer."""
    transactional = producer >= 0
    numbers = (producer, 0, 0) if transactional else (-1, -1, -1)
    records = MemoryRecordsBuilder(2, compression, 1 << 20, 0, transactional, *numbers)
    for row in range(rows):
        headers = [("name", b"value")] if row % 7 == 3 else []
        records.append(base + row, None if row % 5 == 1 else b"key", b"value %d" % (base + row), headers)
    records.close()
    return base.to_bytes(8, "big") + bytes(records.buffer())[8:]


def abort_marker(base: int, producer: int) -> bytes:
    """What the broker writes where a transaction was aborted."""
    records = MemoryRecordsBuilder(2, 0, 1 << 20, 0, True, producer, 0, 0)
    records.append(base, b"\0\0\0\0", b"\0\0\0\0\0\0", [])
    records.close()
    data = bytearray(base.to_bytes(8, "big") + bytes(records.buffer())[8:])
    data[DefaultRecordBatch.ATTRIBUTES_OFFSET + 1] |= DefaultRecordBatch.CONTROL_MASK
    return with_checksum(data)


def with_checksum(data: bytearray) -> bytes:
    at = DefaultRecordBatch.ATTRIBUTES_OFFSET
    data[at - 4 : at] = calc_crc32c(bytes(data[at:])).to_bytes(4, "big")
    return bytes(data)


def malformed(base: int, rows: int) -> bytes:
    """A batch whose checksum is right and whose last record is not whole."""
    return with_checksum(bytearray(batch(base, rows)[:-3]))


def sized(data: bytes) -> bytes:
    """The batch with a length that fits it."""
    return with_checksum(bytearray(data[:8] + (len(data) - 12).to_bytes(4, "big") + data[12:]))


def damaged(how: str, base: int, rows: int) -> bytes:
    if how == "its checksum":
        return batch(base, rows)[:-1] + b"x"
    if how == "its records":
        return sized(malformed(base, rows))
    return sized(batch(base, rows, compression=1)[: DefaultRecordBatch.HEADER_STRUCT.size] + b"no gzip")


def given(kind: Any, data: bytes, offset: int, *, aborted: tuple[Any, ...] = (), tp: Any = TP) -> Any:
    isolation = IsolationLevel.READ_COMMITTED
    return kind(
        offset, tp, MemoryRecords(data), isolation_level=isolation, aborted_transactions=list(aborted)
    )


def rows_of(taken: list[Any]) -> list[tuple[Any, ...]]:
    """Each record, of columns or of the library."""
    rows: list[tuple[Any, ...]] = []
    for record in taken:
        columns = record.value
        if not isinstance(columns, RecordColumns):
            rows.append((record.offset, record.timestamp, record.key, record.value, record.headers))
            continue
        headers = [columns.headers.get(row, []) for row in range(len(columns))]
        rows += zip(columns.offsets, columns.timestamps, columns.keys, columns.values, headers, strict=True)
    return rows


LOG = b"".join(
    [
        batch(0, 60),
        batch(60, 3, producer=7),
        batch(63, 80, producer=8),
        batch(143, 1),
        abort_marker(144, 8),
        # Compaction has left a gap.
        batch(150, 100, compression=1),
        batch(250, 9, producer=8),
        batch(259, 2),
    ]
)


@pytest.mark.parametrize("offset", [0, 1, 59, 60, 62, 63, 100, 143, 144, 149, 150, 249, 260])
@pytest.mark.parametrize("together", [0, 1 << 10, 1 << 20], ids=["alone", "some together", "all together"])
def test_what_is_taken_is_what_the_library_takes(
    monkeypatch: pytest.MonkeyPatch, offset: int, together: int
) -> None:
    monkeypatch.setattr(fast, "_TOGETHER_BYTES", together)
    # A fetch begins with the batch that holds the offset.
    begin = max(place for place in (0, 60, 63, 143, 144, 150, 250, 259) if place <= max(offset, 0))
    data = b"".join(bytes(part) for part in slices(LOG) if int.from_bytes(part[:8], "big") >= begin)
    aborted = [Aborted(8, 63)]
    ours = given(fast._ColumnPartitionRecords, data, offset, aborted=tuple(aborted))
    library = given(Fetcher.PartitionRecords, data, offset, aborted=tuple(aborted))
    taken, expected = ours.take(1000), library.take(10_000)
    assert rows_of(taken) == rows_of(expected)
    assert ours.next_fetch_offset == library.next_fetch_offset == 261
    assert not ours


def slices(data: bytes) -> list[bytes]:
    found = []
    while data:
        size = 12 + int.from_bytes(data[8:12], "big")
        found.append(data[:size])
        data = data[size:]
    return found


def test_no_more_batches_are_taken_than_asked_for_and_none_twice() -> None:
    data = b"".join(batch(10 * place, 10) for place in range(7))
    records = given(fast._ColumnPartitionRecords, data, 0)
    rounds = [records.take(3) for _ in range(3)]
    assert [len(taken) for taken in rounds] == [3, 3, 1]
    assert [row[0] for taken in rounds for row in rows_of(taken)] == list(range(70))
    assert [taken[-1].value.next_offset for taken in rounds] == [30, 60, 70]


@pytest.fixture
def fetcher() -> Any:
    """The library's fetcher with ours in place, and answers instead of a broker."""
    made = Fetcher.__new__(Fetcher)
    made._subscriptions = SubscriptionState()
    made._subscriptions.assign_from_user([TP, OTHER])
    made._completed_fetches = deque()
    made._next_partition_records = made._next_in_line_exception_metadata = made._sensors = None
    made._paused_completed_fetches, made._paused_partition_records = {}, {}
    made._parse_fetched_data = lambda completion: completion.records
    return made


def answer(fetcher: Any, tp: TopicPartition, log: bytes) -> None:
    """The broker's answer from the position on."""
    position = fetcher._subscriptions.assignment[tp].position.offset
    data = b"".join(part for part in slices(log) if last_offset(part) >= position)
    if data:
        records = given(fast._ColumnPartitionRecords, data, position, tp=tp)
        fetcher._completed_fetches.append(Completion(tp, position, records))


def last_offset(data: bytes) -> int:
    return int(DefaultRecordBatch(data).last_offset)


@pytest.mark.parametrize("how", ["its checksum", "its records", "its compression"])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_all_before_a_damaged_batch_is_given_and_none_behind_it(fetcher: Any, how: str, most: int) -> None:
    """The position never passes the damage, and each poll that begins with it fails."""
    log = b"".join([batch(0, 10), batch(10, 60), damaged(how, 70, 60), batch(130, 10)])
    other = b"".join(batch(5 * place, 5) for place in range(3))
    for tp in (TP, OTHER):
        fetcher._subscriptions.seek(tp, 0)
    read: dict[TopicPartition, list[int]] = {TP: [], OTHER: []}
    errors = 0
    for poll in count():
        assert poll < 40, "it does not get on"
        if not fetcher._completed_fetches and not fetcher._next_partition_records:
            answer(fetcher, TP, log)
            answer(fetcher, OTHER, other)
        try:
            polled, _ = fetcher.fetched_records(most)
        except CorruptRecordError:
            errors += 1
            if errors == 3:
                break
            continue
        for tp, records in polled.items():
            read[tp] += [row[0] for row in rows_of(records)]
    assert read[TP] == list(range(70))
    assert read[OTHER] == list(range(15))[: len(read[OTHER])]
    assert fetcher._subscriptions.assignment[TP].position.offset == 70
