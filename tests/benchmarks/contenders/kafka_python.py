"""kafka-python through its public API: one by one, and in batches."""

import time
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata

from tests.benchmarks.contenders.job import Job
from tests.benchmarks.contenders.scoring import naive_prediction, predictions

_BATCH = 20_000


def _clients(job: Job, **consumer_options: Any) -> tuple[Any, Any]:
    consumer = KafkaConsumer(
        job.source,
        bootstrap_servers=job.bootstrap,
        group_id=job.target,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **consumer_options,
    )
    # A member that learns of its topic's partitions after it has joined joins again, and kafka-python 3.0.12
    # may then wait without end.
    consumer.partitions_for_topic(job.source)
    options: dict[str, Any] = {"acks": "all", "linger_ms": 5, "batch_size": 1 << 18}
    if job.exactly_once:
        options |= {"transactional_id": job.target, "retry_backoff_ms": 2}
    producer = KafkaProducer(bootstrap_servers=job.bootstrap, **options)
    if job.exactly_once:
        producer.init_transactions()
    return consumer, producer


def naive(job: Job) -> None:
    """For record in consumer: producer.send(...), committing every second."""
    consumer, producer = _clients(job)
    committed = time.monotonic()
    for record in consumer:
        job.read(1)
        value = naive_prediction(job.source, record.partition, record.offset, record.value)
        producer.send(job.target, value, key=record.key, partition=record.partition)
        if job.over() or time.monotonic() - committed > 1:
            producer.flush()
            consumer.commit()
            committed = time.monotonic()
        if job.over():
            break
    job.tell()
    consumer.close()
    producer.close()


def batches(job: Job) -> None:
    """Polls thousands of records, scores them at once, and commits them at once."""
    consumer, producer = _clients(
        job, isolation_level="read_committed", max_poll_records=_BATCH, max_partition_fetch_bytes=4 << 20
    )
    while not job.over():
        polled = consumer.poll(timeout_ms=200)
        if not polled:
            continue
        job.read(sum(map(len, polled.values())))
        if job.exactly_once:
            producer.begin_transaction()
        offsets = {}
        for place, records in polled.items():
            values = predictions(
                f"{job.source}/{place.partition}/",
                [record.offset for record in records],
                [record.value for record in records],
            )
            for record, value in zip(records, values, strict=True):
                producer.send(job.target, value, key=record.key, partition=place.partition)
            offsets[place] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
        if job.exactly_once:
            producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
            producer.commit_transaction()
        else:
            producer.flush()
            consumer.commit(offsets)
    job.tell()
    consumer.close()
    producer.close()
