"""A consumer with a fault of one's choice: `python -m tests.support.stuck_consumer FAULT OPTIONS...`.

paused: the client never fetches partition 1, and says nothing of it. hanging: scoring does not return.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence

from consumer.__main__ import main
from consumer.operations import watchdog
from consumer.scoring import Scored, StreamScorer
from shared.command import run
from shared.kafka.columns import RecordColumns
from shared.kafka.reader import Reader

_poll = Reader.poll


def _poll_without_partition_1(reader: Reader, timeout: float, max_batches: int = 200) -> list[RecordColumns]:
    if reader._group is not None and 1 in reader.assignment:
        reader._consumer.pause(reader._tp(1))
    return _poll(reader, timeout, max_batches)


def _pause() -> None:
    Reader.poll = _poll_without_partition_1  # type: ignore[method-assign, assignment]


def _never_score(_scorer: StreamScorer, _batch: Sequence[RecordColumns], _now: int) -> list[Scored]:
    while True:
        time.sleep(1)


def _hang() -> None:
    StreamScorer.score = _never_score  # type: ignore[method-assign, assignment]
    watchdog._GRACE = 5.0  # type: ignore[misc]


FAULTS: Mapping[str, Callable[[], None]] = {"paused": _pause, "hanging": _hang}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    sys.exit(run(main, sys.argv[2:]))
