"""The topics through the eyes of an independent client, confluent-kafka, on read_committed."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types do not name them
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from shared.deadline import Deadline
from tests.chaos.harness.verify import Record

PARTITIONS: Final = 6
#: Events just above 1 MiB must get in, and out again with a dead letter's headers.
_EVENT_BYTES: Final = 2 << 20
_LETTER_BYTES: Final = _EVENT_BYTES + (64 << 10)
_SECONDS: Final = 20.0
_READ_SECONDS: Final = 60.0


class Topics:
    """Makes topics, reads them, and asks how far groups are.

    Args:
        bootstrap: Where the broker listens for those that do not come through the proxy.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})

    def make(self, source: str, targets: Sequence[str]) -> None:
        """Makes the input topic and those for output; the broker's clock stamps their records."""
        sizes = {source: _EVENT_BYTES} | dict.fromkeys(targets, _LETTER_BYTES)
        made = self._admin.create_topics(
            [
                NewTopic(
                    name,
                    num_partitions=PARTITIONS,
                    replication_factor=1,
                    config={"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(size)},
                )
                for name, size in sizes.items()
            ]
        )
        for future in made.values():
            future.result(_SECONDS)

    def ends(self, topic: str, isolation: IsolationLevel) -> dict[int, int]:
        """Where each partition ends; before the first open transaction when reading committed."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(topic, number): latest for number in range(PARTITIONS)}
        answers = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=_SECONDS)
        return {place.partition: int(answer.result(_SECONDS).offset) for place, answer in answers.items()}

    def has_open_transactions(self, topic: str) -> bool:
        """Whether a read-committed reader still waits for a transaction to end."""
        committed = self.ends(topic, IsolationLevel.READ_COMMITTED)
        return committed != self.ends(topic, IsolationLevel.READ_UNCOMMITTED)

    def lag(self, group: str, topic: str) -> int:
        """How many events the group has not committed yet."""
        ends = self.ends(topic, IsolationLevel.READ_UNCOMMITTED)
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, number) for number in ends])
        answer = self._admin.list_consumer_group_offsets([asked], request_timeout=_SECONDS)[group]
        told = {place.partition: place.offset for place in answer.result(_SECONDS).topic_partitions}
        # A partition without a committed offset has a negative one.
        return sum(end - max(0, told.get(number, 0)) for number, end in ends.items())

    def read(self, topic: str) -> list[Record]:
        """All that a read-committed reader sees.

        Raises:
            TimeoutError: The end did not come in time.
        """
        consumer = _reader(self._bootstrap, [topic])
        records: list[Record] = []
        at_end: set[int] = set()
        deadline = Deadline.after(_READ_SECONDS)
        try:
            while len(at_end) < PARTITIONS:
                if deadline.passed:
                    raise TimeoutError(f"{topic} could not be read to its end in {_READ_SECONDS:.0f} s")
                for message in consumer.consume(5_000, timeout=0.5):
                    if message.error() is None:
                        records.append(_record(message))
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        at_end.add(message.partition())
        finally:
            consumer.close()
        return records


class Observer:
    """Notes when each answer becomes visible to a read-committed reader, while the block runs."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._consumer = _reader(bootstrap, topics)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer")
        #: By topic, partition and offset, in seconds since the epoch.
        self.seen: dict[tuple[str, int, int], float] = {}

    def __enter__(self) -> Mapping[tuple[str, int, int], float]:
        self._thread.start()
        return self.seen

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def _watch(self) -> None:
        while not self._ended.is_set():
            for message in self._consumer.consume(1_000, timeout=0.05):
                if message.error() is None:
                    place = (message.topic(), message.partition(), message.offset())
                    self.seen[place] = time.time()


def _reader(bootstrap: str, topics: Sequence[str]) -> Any:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            # Asked for by the client; nothing is ever committed under it.
            "group.id": "chaos-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "reconnect.backoff.max.ms": 500,
            "log_level": 2,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for topic in topics for number in range(PARTITIONS)])
    return consumer


def _record(message: Any) -> Record:
    return Record(
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        {name: value or b"" for name, value in message.headers() or ()},
        int(message.timestamp()[1]),
    )
