"""confluent-kafka: as one writes it first, as an expert writes it, and passing the bytes through."""

import gc
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.benchmarks.contenders.job import Job
from tests.benchmarks.contenders.scoring import naive_prediction, predictions

# Larger ones outgrow the processor's caches.
_BATCH = 10_000
# From the prefix of the prediction ids, the offsets and the values to the values to write.
_Answer = Callable[[str, list[int], list[bytes]], list[bytes]]


def _clients(job: Job) -> tuple[Any, Any]:
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": job.target,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # The default of 1000 stalls a fast consumer.
            "fetch.queue.backoff.ms": 10,
        }
    )
    options = {
        "bootstrap.servers": job.bootstrap,
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
        "queue.buffering.max.messages": 1_000_000,
        # The broker is not ready for the next transaction at once; the default of 100 is the tail of latency.
        "retry.backoff.ms": 5,
    }
    producer = Producer(options | ({"transactional.id": job.target} if job.exactly_once else {}))
    if job.exactly_once:
        producer.init_transactions()
    consumer.subscribe([job.source])
    return consumer, producer


def _produce(producer: Any, *arguments: Any) -> None:
    while True:
        try:
            producer.produce(*arguments)
        except BufferError:
            producer.poll(0.01)
        else:
            return


def naive(job: Job) -> None:
    """poll() and produce() one by one, committing every second."""
    consumer, producer = _clients(job)
    committed = time.monotonic()
    while not job.over():
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        job.read(1)
        value = naive_prediction(job.source, message.partition(), message.offset(), message.value())
        _produce(producer, job.target, value, message.key(), message.partition())
        producer.poll(0)
        if job.over() or time.monotonic() - committed > 1:
            producer.flush()
            consumer.commit(asynchronous=False)
            committed = time.monotonic()
    job.tell()
    consumer.close()


def expert(job: Job) -> None:
    """Typed decoding, scoring on columns, one call to produce and one commit for thousands of events."""
    _work(job, predictions, overlap=False)


def overlapped(job: Job) -> None:
    """As the expert's, and a thread commits while the next batch is read and scored."""
    _work(job, predictions, overlap=True)


def passthrough(job: Job) -> None:
    """The ceiling: the bytes as they came, in the same batches, unscored."""
    _work(job, lambda _prefix, _offsets, values: values, overlap=True)


def _work(job: Job, answer: _Answer, *, overlap: bool) -> None:
    """Reads, answers, produces and commits whole batches."""
    consumer, producer = _clients(job)
    gc.collect()
    gc.freeze()
    gc.disable()
    with ThreadPoolExecutor(1) as pool:
        committing: Future[None] | None = None
        while not job.over():
            rows = _consume(consumer)
            if not rows:
                continue
            job.read(sum(len(messages) for messages in rows.values()))
            offsets = [
                TopicPartition(job.source, place, messages[-1].offset() + 1)
                for place, messages in rows.items()
            ]
            member = consumer.consumer_group_metadata()
            new = {
                place: _answered(f"{job.source}/{place}/", messages, answer)
                for place, messages in rows.items()
            }
            if committing is not None:
                committing.result()
            if job.exactly_once:
                producer.begin_transaction()
            for place, messages in new.items():
                _produce_all(producer, job.target, place, messages)
            commit = _commit_transaction if job.exactly_once else _commit_offsets
            committing = pool.submit(commit, consumer, producer, offsets, member)
            if not overlap:
                committing.result()
        if committing is not None:
            committing.result()
        job.tell()
    consumer.close()


def _consume(consumer: Any) -> dict[int, list[Any]]:
    """Waits for a message, and takes with it what the client has fetched; by partition."""
    first = consumer.consume(1, 0.2)
    rows: dict[int, list[Any]] = defaultdict(list)
    if first:
        for message in first + consumer.consume(_BATCH - 1, 0):
            if message.error():
                raise RuntimeError(message.error())
            rows[message.partition()].append(message)
    return rows


def _answered(prefix: str, messages: list[Any], answer: _Answer) -> list[dict[str, Any]]:
    values = answer(prefix, [m.offset() for m in messages], [m.value() for m in messages])
    return [{"key": m.key(), "value": value} for m, value in zip(messages, values, strict=True)]


def _produce_all(producer: Any, target: str, partition: int, messages: list[dict[str, Any]]) -> None:
    """One call for all; what did not fit into the client's queue goes one by one."""
    if producer.produce_batch(target, messages, partition) < len(messages):
        for message in messages:
            if "_error" in message:
                _produce(producer, target, message["value"], message["key"], partition)


def _commit_transaction(_consumer: Any, producer: Any, offsets: list[Any], member: Any) -> None:
    producer.send_offsets_to_transaction(offsets, member)
    producer.commit_transaction()


def _commit_offsets(consumer: Any, producer: Any, offsets: list[Any], _member: Any) -> None:
    producer.flush()
    consumer.commit(offsets=offsets, asynchronous=False)
