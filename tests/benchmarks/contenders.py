"""The others, each as its users would write it; run as `python -m tests.benchmarks.contenders NAME ...`.

Each reads `count` events that are there already, and prints the seconds from its first event to the moment
when everything is acknowledged (and committed), as Tandem's consumer does at its end.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.workload import FEATURES, INTERCEPT, THRESHOLD, WEIGHTS

CONFLUENT_BATCH = 5_000


def prediction(topic: str, partition: int, offset: int, value: bytes) -> bytes:
    """One event scored in plain Python, with the fields that Tandem writes."""
    event = json.loads(value)
    z = INTERCEPT + sum(weight * event[name] for name, weight in zip(FEATURES, WEIGHTS, strict=True))
    score = 1 / (1 + math.exp(-z))
    return json.dumps(
        {
            "prediction_id": f"{topic}/{partition}/{offset}",
            "customer_id": event["customer_id"],
            "event_id": event["event_id"],
            "score": score,
            "churn": score > THRESHOLD,
            "threshold": THRESHOLD,
            "model": "bench@1",
            "model_sha256": "000000000000",
        }
    ).encode()


@contextmanager
def timed(started: list[float]) -> Iterator[None]:
    """Prints the seconds since the first event."""
    yield
    print(json.dumps({"seconds": time.monotonic() - started[0]}))


def kafka_python_naive(bootstrap: str, source: str, target: str, count: int) -> None:
    """For record in consumer: producer.send(...), committing every second; at least once."""
    from kafka import KafkaConsumer, KafkaProducer  # noqa: PLC0415

    consumer = KafkaConsumer(
        source, bootstrap_servers=bootstrap, group_id=target, auto_offset_reset="earliest",
        enable_auto_commit=False,
    )  # fmt: skip
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, batch_size=1 << 17)
    started: list[float] = []
    committed = time.monotonic()
    with timed(started):
        for done, record in enumerate(consumer, 1):
            if not started:
                started.append(time.monotonic())
            value = prediction(source, record.partition, record.offset, record.value)
            producer.send(target, value, key=record.key, partition=record.partition)
            if done == count or time.monotonic() - committed > 1:
                producer.flush()
                consumer.commit()
                committed = time.monotonic()
            if done == count:
                break
    consumer.close()
    producer.close()


def _confluent(bootstrap: str, group: str, *, exactly_once: bool) -> tuple[Any, Any]:
    from confluent_kafka import Consumer, Producer  # noqa: PLC0415

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # The default of 1000 stalls a fast consumer.
            "fetch.queue.backoff.ms": 10,
        }
    )
    options = {
        "bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
        "queue.buffering.max.messages": 1_000_000, "retry.backoff.ms": 5,
    }  # fmt: skip
    producer = Producer(options | ({"transactional.id": group} if exactly_once else {}))
    if exactly_once:
        producer.init_transactions()
    return consumer, producer


def _produce(producer: Any, *arguments: Any) -> None:
    while True:
        try:
            producer.produce(*arguments)
        except BufferError:
            producer.poll(0.01)
        else:
            return


def confluent_naive(bootstrap: str, source: str, target: str, count: int) -> None:
    """poll() and produce() one by one, committing every second; at least once."""
    consumer, producer = _confluent(bootstrap, target, exactly_once=False)
    consumer.subscribe([source])
    started: list[float] = []
    done, committed = 0, time.monotonic()
    with timed(started):
        while done < count:
            message = consumer.poll(1.0)
            if message is None or message.error():
                continue
            if not started:
                started.append(time.monotonic())
            value = prediction(source, message.partition(), message.offset(), message.value())
            _produce(producer, target, value, message.key(), message.partition())
            done += 1
            producer.poll(0)
            if done == count or time.monotonic() - committed > 1:
                producer.flush()
                consumer.commit(asynchronous=False)
                committed = time.monotonic()
    consumer.close()


def _passthrough(bootstrap: str, source: str, target: str, count: int, *, exactly_once: bool) -> None:
    consumer, producer = _confluent(bootstrap, target, exactly_once=exactly_once)
    consumer.subscribe([source])
    started: list[float] = []
    done = 0
    with timed(started):
        while done < count:
            messages = [m for m in consumer.consume(CONFLUENT_BATCH, 0.2) if not m.error()]
            if not messages:
                continue
            if not started:
                started.append(time.monotonic())
            if exactly_once:
                producer.begin_transaction()
            for message in messages:
                _produce(producer, target, message.value(), message.key(), message.partition())
            done += len(messages)
            if exactly_once:
                offsets = consumer.position(consumer.assignment())
                producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
                producer.commit_transaction()
            else:
                producer.flush()
                consumer.commit(asynchronous=False)
    consumer.close()


def confluent_passthrough(bootstrap: str, source: str, target: str, count: int) -> None:
    """The ceiling: bytes in, the same bytes out, in batches, unscored; at least once."""
    _passthrough(bootstrap, source, target, count, exactly_once=False)


def confluent_passthrough_exactly_once(bootstrap: str, source: str, target: str, count: int) -> None:
    """The ceiling in transactions."""
    _passthrough(bootstrap, source, target, count, exactly_once=True)


CONTENDERS: dict[str, Callable[[str, str, str, int], None]] = {
    contender.__name__: contender
    for contender in (
        kafka_python_naive,
        confluent_naive,
        confluent_passthrough,
        confluent_passthrough_exactly_once,
    )
}

if __name__ == "__main__":
    name, bootstrap, source, target, count = sys.argv[1:]
    CONTENDERS[name](bootstrap, source, target, int(count))
