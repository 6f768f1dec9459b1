"""A log that its broker cut is read anew from where both agree."""

import logging

import pytest
from kafka import TopicPartition
from kafka import errors as client
from kafka.structs import OffsetAndMetadata

from shared.kafka.positions import find_positions

AGREED, UNKNOWN, NOT_OURS = (TopicPartition("topic", partition) for partition in range(3))


class Consumer:
    """Notes where it is sent."""

    def __init__(self) -> None:
        self.sent: dict[TopicPartition, int | str] = {}

    def assignment(self) -> set[TopicPartition]:
        return {AGREED, UNKNOWN}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.sent[tp] = offset

    def seek_to_beginning(self, *tps: TopicPartition) -> None:
        self.sent.update(dict.fromkeys(tps, "beginning"))


def test_a_cut_log_is_read_anew_from_where_both_agree(caplog: pytest.LogCaptureFixture) -> None:
    consumer = Consumer()
    error = client.LogTruncationError({AGREED: OffsetAndMetadata(7, "", 1), UNKNOWN: None, NOT_OURS: None})
    with caplog.at_level(logging.WARNING):
        find_positions(consumer, error, 1000)
    assert consumer.sent == {AGREED: 7, UNKNOWN: "beginning"}
    assert len(caplog.records) == 2


def test_partitions_without_an_offset_begin_at_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    consumer = Consumer()
    find_positions(consumer, client.NoOffsetForPartitionError({AGREED, NOT_OURS}), 1000)
    assert consumer.sent == {AGREED: "beginning"}
    assert not caplog.records
