"""`python -m tests.benchmarks [kinds] [stream] [latency] [batch]`: all of them unless some are named."""

import sys
from collections.abc import Sequence

from tests.benchmarks import batch, kinds, latency, stream
from tests.support.broker import running_broker


def main(names: Sequence[str]) -> None:
    """Measures one thing after the other, and prints."""
    if "kinds" in names:
        kinds.main()
    if "batch" in names:
        batch.main()
    if {"stream", "latency"} & set(names):
        with running_broker() as bootstrap:
            if "latency" in names:
                latency.main(bootstrap)
            if "stream" in names:
                stream.main(bootstrap)


# The sender of the latency benchmark is a process that imports this file again.
if __name__ == "__main__":
    main(sys.argv[1:] or ["kinds", "stream", "latency", "batch"])
