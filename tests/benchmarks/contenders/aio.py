"""aiokafka: getmany, record batches filled by hand, and a transaction a batch."""

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.benchmarks.contenders.job import Job
from tests.benchmarks.contenders.scoring import predictions

_BATCH = 20_000
_BATCH_BYTES = 1 << 19


def run(job: Job) -> None:
    """Runs the loop below."""
    asyncio.run(_run(job))


async def _run(job: Job) -> None:
    consumer = AIOKafkaConsumer(
        job.source,
        bootstrap_servers=job.bootstrap,
        group_id=job.target,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 << 20,
        check_crcs=True,
    )
    transactional = {"transactional_id": job.target} if job.exactly_once else {"enable_idempotence": True}
    producer = AIOKafkaProducer(
        bootstrap_servers=job.bootstrap,
        acks="all",
        max_batch_size=_BATCH_BYTES,
        retry_backoff_ms=5,
        **transactional,
    )
    await consumer.start()
    await producer.start()
    gc.freeze()
    gc.disable()
    while not job.over():
        polled = await consumer.getmany(timeout_ms=200, max_records=_BATCH)
        if not polled:
            continue
        job.read(sum(map(len, polled.values())))
        offsets = {place: records[-1].offset + 1 for place, records in polled.items()}
        if job.exactly_once:
            async with producer.transaction():
                await _publish(producer, job, polled)
                await producer.send_offsets_to_transaction(offsets, job.target)
        else:
            await _publish(producer, job, polled)
            await consumer.commit(offsets)
    job.tell()
    await consumer.stop()
    await producer.stop()


async def _publish(producer: Any, job: Job, polled: dict[Any, Sequence[Any]]) -> None:
    """Scores and sends what was polled; all of it is acknowledged at the end."""
    answers = []
    for place, records in polled.items():
        values = predictions(
            f"{job.source}/{place.partition}/",
            [record.offset for record in records],
            [record.value for record in records],
        )
        batch = producer.create_batch()
        for record, value in zip(records, values, strict=True):
            if batch.append(key=record.key, value=value, timestamp=None) is None:
                answers.append(await producer.send_batch(batch, job.target, partition=place.partition))
                batch = producer.create_batch()
                batch.append(key=record.key, value=value, timestamp=None)
        answers.append(await producer.send_batch(batch, job.target, partition=place.partition))
    await asyncio.gather(*answers)
