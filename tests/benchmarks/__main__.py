"""`python -m tests.benchmarks [stream] [latency] [batch]`: all of them unless some are named."""

import sys

from tests.benchmarks import batch, latency, stream
from tests.support.broker import running_broker

names = sys.argv[1:] or ["stream", "latency", "batch"]
if "batch" in names:
    batch.main()
if {"stream", "latency"} & set(names):
    with running_broker() as bootstrap:
        if "latency" in names:
            latency.main(bootstrap)
        if "stream" in names:
            stream.main(bootstrap)
