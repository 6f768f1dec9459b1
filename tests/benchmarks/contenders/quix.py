"""Quix Streams, tuned: bytes in and out, msgspec between, librdkafka's settings as an expert has them.

Which partition a prediction goes to follows from its key: the library has no way to say it.
"""

import tempfile

from quixstreams import Application, message_context

from tests.benchmarks.contenders.job import Job
from tests.benchmarks.contenders.scoring import prediction

# The library's own default is 5 s.
_INTERVALS = {True: 1.0, False: 5.0}


def run(job: Job) -> None:
    """One StreamingDataFrame, which the library runs one message at a time."""
    application = Application(
        broker_address=job.bootstrap,
        consumer_group=job.target,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once" if job.exactly_once else "at-least-once",
        commit_interval=job.interval or _INTERVALS[job.exactly_once],
        consumer_poll_timeout=0.1 if job.interval is None else min(0.1, job.interval),
        consumer_extra_config={"fetch.queue.backoff.ms": 10},
        producer_extra_config={
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "retry.backoff.ms": 5,
        },
        loglevel="WARNING",
        auto_create_topics=False,
        use_changelog_topics=False,
        # Made even where there is no state.
        state_dir=tempfile.mkdtemp(),
    )
    source = application.topic(job.source, value_deserializer="bytes", key_deserializer="bytes")
    target = application.topic(job.target, value_serializer="bytes", key_serializer="bytes")
    prefix = f"{job.source}/"

    def score(value: bytes) -> bytes:
        job.read(1)
        place = message_context()
        return prediction(f"{prefix}{place.partition}/{place.offset}", value)

    application.dataframe(source).apply(score).to_topic(target)
    # It handles SIGTERM itself, and its last commit has been made when this returns.
    if job.count is None:
        application.run()
    else:
        application.run(count=job.count, collect=False)
    job.tell()
