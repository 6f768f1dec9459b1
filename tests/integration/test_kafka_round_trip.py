"""What is written is read back, against a real Kafka, by the fast path and by the public calls alike."""

import threading

import pytest

from shared.deadline import Deadline
from shared.errors import ConfigurationError, FencedError
from shared.kafka.columns import Mark, NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.errors import RecordTooLargeError, RecoverableError, StaleGroupError
from shared.kafka.topics import TopicSpec, broker_limits, create_topics, describe_topics
from tests.support.broker import unique
from tests.support.records import TIME, MakeReader, MakeTopic, MakeWriter, put, read, records

pytestmark = pytest.mark.broker


def test_keys_values_headers_nulls_and_timestamps_survive(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory(partitions=2)
    sender = writer()
    sender.write(
        NewRecords(
            topic,
            1,
            [b"a", None, b"", None],
            [b"1", b"", None, None],
            [TIME, TIME + 5, TIME - 7, TIME],
            [[("one", b"x"), ("two", b"")], [], [("\u00fc", b"y")], []],
        )
    )
    sender.flush(Deadline.after(20))
    found = read(reader(topic), 4)[1]
    assert found.offsets == [0, 1, 2, 3]
    assert found.keys == [b"a", None, b"", None]
    assert found.values == [b"1", b"", None, None]
    assert found.timestamps == [TIME, TIME + 5, TIME - 7, TIME]
    assert found.headers == {0: [("one", b"x"), ("two", b"")], 2: [("\u00fc", b"y")]}
    assert found.next_offset == 4


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_compressed_batches_survive(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter, codec: str
) -> None:
    topic = topic_factory()
    values = [b"value %d " % row * 20 for row in range(500)]
    put(writer(kafka_option={"compression_type": codec}), records(topic, values))
    assert read(reader(topic), 500)[0].values == values


def test_the_brokers_timestamps_are_read(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory(message_timestamp_type="LogAppendTime")
    put(writer(), records(topic, [b"a", b"b"]))
    found = read(reader(topic), 2)[0]
    assert min(found.timestamps) > TIME


def test_a_future_tells_the_offset_of_its_first_record(topic_factory: MakeTopic, writer: MakeWriter) -> None:
    topic = topic_factory()
    sender = writer()
    offsets = [
        future.result(Deadline.after(20))
        for batch in ([b"a", b"b"], [b"c"])
        for future in sender.write(records(topic, batch))
    ]
    assert offsets == [0, 2]
    assert all(future.done for future in sender.write(records(topic, [])))


def test_committed_transactions_are_read_and_aborted_ones_are_not(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter, public_calls: bool
) -> None:
    topic = topic_factory()
    sender = writer(unique("writer"))
    for name, end in [(b"first", "commit"), (b"lost", "abort"), (b"second", "commit")]:
        sender.begin()
        for future in sender.write(records(topic, [name] * 30)):
            future.result(Deadline.after(20))
        sender.commit_transaction() if end == "commit" else sender.abort_transaction()
    source = reader(topic)
    found = read(source, 60)[0]
    assert found.values == [b"first"] * 30 + [b"second"] * 30
    assert source.poll(0.3) == []
    assert source.positions() == source.end_offsets() == {0: 93}
    # The marker of the last commit is offset 92; only the fast path knows that it has passed it.
    assert found.next_offset == (92 if public_calls else 93)
    everything = read(reader(topic, isolation="read_uncommitted"), 90)[0]
    assert everything.values[30:60] == [b"lost"] * 30


def test_an_open_transaction_holds_readers_back(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory()
    sender = writer(unique("writer"))
    sender.begin()
    for future in sender.write(records(topic, [b"pending"])):
        future.result(Deadline.after(20))
    source = reader(topic)
    assert source.poll(0.5) == []
    assert source.end_offsets() == {0: 0}
    sender.commit_transaction()
    assert read(source, 1)[0].values == [b"pending"]


def test_offsets_are_committed_with_the_transaction_or_not_at_all(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic, output = topic_factory(), topic_factory("out")
    put(writer(), records(topic, [b"%d" % row for row in range(10)]))
    source, sender = reader(topic, unique("group")), writer(unique("writer"))
    first = read(source, 10)[0]
    for end, committed in [(sender.abort_transaction, None), (sender.commit_transaction, Mark(10, "books"))]:
        sender.begin()
        sender.write(records(output, [b"x"]))
        sender.send_offsets({(topic, 0): Mark(first.next_offset, "books")}, source.group_metadata())
        end()
        assert source.committed() == {0: committed}
        source.rewind()
        if committed is None:
            assert read(source, 10)[0].offsets == first.offsets
    assert source.poll(0.3) == []


def test_seeking_into_the_middle_of_a_batch_drops_the_rows_before(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory()
    headers = [[("row", b"%d" % row)] for row in range(100)]
    batch = records(topic, [b"%d" % row for row in range(100)])
    batch.headers = headers
    put(writer(), batch)
    source = reader(topic, start={0: 40})
    found = read(source, 60)[0]
    assert found.offsets == list(range(40, 100))
    assert found.values[0] == b"40"
    assert found.headers == {row: headers[row + 40] for row in range(60)}
    assert read(reader(topic, start={0: 97}), 3)[0].offsets == [97, 98, 99]
    source.rewind()
    assert read(source, 60)[0].offsets[0] == 40


def test_a_poll_returns_no_more_than_asked_for_and_the_next_one_goes_on(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory()
    values = [b"%d" % row for row in range(2000)]
    put(writer(max_batch_bytes=5000), records(topic, values))
    source = reader(topic)
    assert read(source, 2000)[0].values == values
    source.rewind()
    deadline = Deadline.after(20)
    while not (few := source.poll(1, max_batches=1)):
        assert not deadline.passed
    assert 0 < few[0].next_offset == len(few[0]) < 2000
    assert few[0].values + read(source, 2000 - len(few[0]))[0].values == values


def test_a_record_of_ten_megabytes_passes(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory()
    large = bytes(range(256)) * (10_000_000 // 256)
    put(writer(), records(topic, [b"before", large, b"after"]))
    found = read(reader(topic), 3)[0]
    assert [len(value or b"") for value in found.values] == [6, len(large), 5]
    assert found.values[1] == large


def test_a_record_larger_than_its_topic_is_named_before_anything_is_written(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory(max_message_bytes="10000")
    sender = writer()
    with pytest.raises(RecordTooLargeError) as raised:
        sender.write(records(topic, [b"a", b"x" * 20_000, b"b"]))
    assert raised.value.row == 1
    assert raised.value.limit == 10_000
    assert "Raise max.message.bytes" in str(raised.value)
    put(sender, records(topic, [b"fine"]))
    assert read(reader(topic), 1)[0].values == [b"fine"]


def test_many_records_are_split_to_what_the_topic_takes(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory(max_message_bytes="2000")
    values = [b"%05d" % row + b"x" * (row % 1500) for row in range(300)]
    put(writer(), records(topic, values))
    assert read(reader(topic), 300)[0].values == values


def test_a_second_writer_of_the_same_name_fences_the_first(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory()
    name = unique("writer")
    zombie = writer(name)
    zombie.begin()
    for future in zombie.write(records(topic, [b"zombie"])):
        future.result(Deadline.after(20))
    heir = writer(name)
    with pytest.raises(FencedError):
        zombie.commit_transaction()
    with pytest.raises(FencedError):
        zombie.begin()
    heir.begin()
    heir.write(records(topic, [b"heir"]))
    heir.commit_transaction()
    assert read(reader(topic), 1)[0].values == [b"heir"]


def test_a_new_member_sets_the_flag_and_makes_offsets_of_the_old_generation_stale(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory(partitions=2)
    group = unique("group")
    put(writer(), records(topic, [b"a"], 0), records(topic, [b"b"], 1))
    first = reader(topic, group)
    read(first, 2)
    assert first.take_rebalanced()
    assert not first.take_rebalanced()
    assert first.assignment == {0, 1}
    stale = first.group_metadata()

    second = reader(topic, group)
    stop = threading.Event()
    helper = threading.Thread(target=lambda: [second.poll(0.1) for _ in iter(stop.is_set, True)])
    helper.start()
    try:
        deadline = Deadline.after(30)
        while len(first.assignment) != 1 and not deadline.passed:
            first.poll(0.1)
        assert len(first.assignment) == 1
        assert first.take_rebalanced()
    finally:
        stop.set()
        helper.join()
    assert second.take_rebalanced()
    sender = writer(unique("writer"))
    sender.begin()
    sender.write(records(topic, [b"stale"]))
    with pytest.raises(StaleGroupError):
        sender.send_offsets({(topic, 0): Mark(1)}, stale)
    with pytest.raises(RecoverableError):
        sender.commit_transaction()
    sender.abort_transaction()
    # The generation that counts is that of the offsets, not that of the announcement.
    sender.begin([(topic, 0)], first.group_metadata())
    sender.write(records(topic, [b"stale"]))
    with pytest.raises(StaleGroupError):
        sender.send_offsets({(topic, 0): Mark(1)}, stale)
    sender.abort_transaction()
    sender.begin()
    sender.write(records(topic, [b"fresh"]))
    sender.commit_transaction()


def test_offsets_of_an_aborted_transaction_are_not_committed_by_the_next(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    """The library alone does: the events of a partition that has moved to another member would be lost."""
    topic = topic_factory(partitions=2)
    put(writer(), records(topic, [b"a"] * 9, 0), records(topic, [b"b"] * 9, 1))
    source, sender = reader(topic, unique("group")), writer(unique("writer"))
    read(source, 18)
    live = source.group_metadata()
    stale = live._replace(generation_id=live.generation_id + 7)
    sender.begin()
    with pytest.raises(StaleGroupError):
        sender.send_offsets({(topic, 0): Mark(9)}, stale)
    sender.abort_transaction()
    sender.begin()
    sender.send_offsets({(topic, 1): Mark(5)}, live)
    sender.commit_transaction()
    assert source.committed() == {0: None, 1: Mark(5)}


def test_a_transaction_announced_before_its_records_commits_them_and_the_offsets(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic, output = topic_factory(), topic_factory("out", partitions=3)
    put(writer(), records(topic, [b"a", b"b"]))
    source, sender = reader(topic, unique("group")), writer(unique("writer"))
    read(source, 2)
    for value in (b"one", b"two"):
        sender.begin([(output, 0), (output, 1)], source.group_metadata())
        # Of the partitions that were announced one is not written to, and one that is was not announced.
        sender.write(records(output, [value], 1))
        sender.write(records(output, [value], 2))
        sender.send_offsets({(topic, 0): Mark(2)}, source.group_metadata())
        sender.commit_transaction()
    assert source.committed() == {0: Mark(2)}
    found = {partition: columns.values for partition, columns in read(reader(output), 4).items()}
    assert found == {1: [b"one", b"two"], 2: [b"one", b"two"]}


def test_an_announced_transaction_that_nothing_is_written_to_holds_nobody_back(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory()
    source, sender = reader(topic, unique("group")), writer(unique("writer"))
    put(writer(), records(topic, [b"a"]))
    read(source, 1)
    sender.begin([(topic, 0)], source.group_metadata())
    put(writer(), records(topic, [b"b"]))
    assert read(source, 1)[0].values == [b"b"]
    sender.abort_transaction()
    sender.begin()
    sender.write(records(topic, [b"c"]))
    sender.commit_transaction()
    assert read(source, 1)[0].values == [b"c"]


def test_a_reader_outside_its_group_has_no_identity_to_commit_with(
    topic_factory: MakeTopic, reader: MakeReader
) -> None:
    with pytest.raises(StaleGroupError, match="no member"):
        reader(topic_factory(), unique("group")).group_metadata()


def test_offsets_can_be_committed_on_their_own(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory()
    group = unique("group")
    put(writer(), records(topic, [b"a", b"b", b"c"]))
    source = reader(topic, group)
    read(source, 3)
    source.commit({0: Mark(2, "books")})
    assert source.committed() == {0: Mark(2, "books")}
    assert source.rewind() == {0: Mark(2, "books")}
    assert read(source, 1)[0].values == [b"c"]


def test_a_missing_topic_is_a_sentence(kafka: KafkaSettings, reader: MakeReader, writer: MakeWriter) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no topic .*\n.*correct the option"):
        reader("no-such-topic")
    with pytest.raises(ConfigurationError, match=r"there is no topic .*\n.*correct the option"):
        writer().prepare("no-such-topic")
    assert describe_topics(kafka, ["no-such-topic"], Deadline.after(20)) == {"no-such-topic": None}


def test_a_partition_that_does_not_exist_is_a_sentence(topic_factory: MakeTopic, reader: MakeReader) -> None:
    with pytest.raises(ConfigurationError, match="has 1 partitions; there is no 7"):
        reader(topic_factory(), partitions=[0, 7])


def test_topics_are_made_once_and_described(kafka: KafkaSettings) -> None:
    name = unique("made")
    spec = TopicSpec(3, configs={"max.message.bytes": "5000000", "cleanup.policy": "compact"})
    create_topics(kafka, {name: spec}, Deadline.after(20))
    create_topics(kafka, {name: TopicSpec(9)}, Deadline.after(20))
    made = describe_topics(kafka, [name], Deadline.after(20))[name]
    assert made is not None
    assert (made.partitions, made.max_message_bytes) == (3, 5_000_000)
    assert made.configs["cleanup.policy"] == "compact"


def test_a_topic_that_the_broker_refuses_is_a_sentence(kafka: KafkaSettings) -> None:
    with pytest.raises(ConfigurationError, match="creating topic"):
        create_topics(
            kafka, {unique("bad"): TopicSpec(1, configs={"no.such.setting": "1"})}, Deadline.after(20)
        )


def test_the_longest_transaction_of_the_broker_is_known(kafka: KafkaSettings) -> None:
    assert (broker_limits(kafka, Deadline.after(20)).transaction_timeout or 0) >= 60


def test_a_reader_at_the_end_reads_only_what_comes_after_also_when_it_goes_back(
    topic_factory: MakeTopic, reader: MakeReader, writer: MakeWriter
) -> None:
    topic = topic_factory(partitions=2)
    sender = writer()
    assert sender.partitions_of(topic) == 2
    put(sender, records(topic, [b"old"]), records(topic, [b"old", b"old"], partition=1))
    follower = reader(topic)
    assert follower.go_to_end() == {0: 1, 1: 2}
    put(sender, records(topic, [b"new"], partition=1))
    assert read(follower, 1)[1].values == [b"new"]
    follower.rewind()
    assert read(follower, 1)[1].values == [b"new"]
