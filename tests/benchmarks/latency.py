"""Latency: from sending an event to seeing its prediction under read_committed, at a steady rate."""

import json
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.deadline import Deadline
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader
from shared.kafka.writer import Writer
from tests.benchmarks.contenders import AT_LEAST_ONCE, CONTENDERS, EXACTLY_ONCE
from tests.benchmarks.report import Row, show
from tests.benchmarks.stream import TITLES, python_for
from tests.benchmarks.workload import (
    PARTITIONS,
    consumer_options,
    delete_topics,
    event_bytes,
    make_topic,
    output_topics,
    write_model,
)
from tests.support.broker import unique

_TICK = 0.005
# A process that has just started is slow, and so is a broker whose JVM has not compiled what it runs.
WARM_UP_SECONDS: Final = 15


@dataclass(frozen=True, slots=True)
class Entry:
    """Who scores: Tandem or a contender, under a guarantee, committing so often where it can be said."""

    name: str
    guarantee: str
    interval: float | None = None

    @property
    def title(self) -> str:
        """What a table calls it."""
        title = TITLES[self.name] if self.name in TITLES else CONTENDERS[self.name].title
        return title if self.interval is None else f"{title}, a commit every {self.interval} s"


ENTRIES: Final = (
    Entry("tandem", EXACTLY_ONCE),
    Entry("tandem", AT_LEAST_ONCE),
    Entry("confluent_expert", EXACTLY_ONCE),
    Entry("aiokafka", EXACTLY_ONCE),
    Entry("quix_streams", EXACTLY_ONCE, 0.1),
    # Shorter ones commit for most of the time.
    Entry("quix_streams", EXACTLY_ONCE, 0.02),
)


def _send(bootstrap: str, topic: str, rate: int, sent_at: Any) -> None:
    """Sends len(sent_at) events at `rate` a second, a few every tick, and notes when.

    A process of its own: it must not wait for the one that watches. The monotonic clock is the machine's.
    """
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    writer = Writer(settings)
    rng = random.Random(3)  # noqa: S311 - the same events in every run
    began, number = time.monotonic(), 0
    while number < len(sent_at):
        due = min(len(sent_at), int((time.monotonic() - began) * rate) + 1)
        for partition in range(PARTITIONS):
            numbers = [place for place in range(number, due) if place % PARTITIONS == partition]
            if numbers:
                values = [event_bytes(rng, place) for place in numbers]
                keys = [str(place).encode() for place in numbers]
                now = time.monotonic()
                writer.write(NewRecords(topic, partition, keys, values, time.time_ns() // 1_000_000))
                for place in numbers:
                    sent_at[place] = now
        number = due
        time.sleep(_TICK)
    writer.flush(Deadline.after(30))
    writer.close(Deadline.after(10))


def _command(entry: Entry, bootstrap: str, source: str, target: str, model: Path) -> list[str]:
    if entry.name in TITLES:
        options = consumer_options(bootstrap, source, target, model, entry.guarantee)
        return [sys.executable, "-m", "consumer", *options]
    options = [bootstrap, source, target, "--guarantee", entry.guarantee]
    options += [] if entry.interval is None else ["--interval", str(entry.interval)]
    python = python_for(CONTENDERS[entry.name])
    return [python, "-m", "tests.benchmarks.contenders", entry.name, *options]


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A scorer, asked to end by SIGTERM after the block.

    Raises:
        RuntimeError: It had ended before, or did not end well.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said: list[bytes] = []
    listener = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
    listener.start()
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        listener.join()
    if process.returncode:
        raise RuntimeError(f"it ended with {process.returncode}:\n{b''.join(said[-30:]).decode()}")


def measure(bootstrap: str, rate: int, seconds: int, entry: Entry) -> list[float]:
    """p50, p99 and the maximum, in milliseconds, warm-up left out.

    Raises:
        RuntimeError: Not every prediction arrived.
    """
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    source = unique("latency-in")
    make_topic(settings, source)
    count = rate * (seconds + WARM_UP_SECONDS)
    processes = multiprocessing.get_context("spawn")
    sent_at = processes.RawArray("d", count)
    with tempfile.TemporaryDirectory() as folder, output_topics(bootstrap, entry.name) as target:
        command = _command(entry, bootstrap, source, target, write_model(Path(folder)))
        with _running(command) as scorer:
            sender = processes.Process(target=_send, args=(bootstrap, source, rate, sent_at))
            sender.start()
            deadline = Deadline.after(seconds + WARM_UP_SECONDS + 30)
            seen_at = _watch(settings, target, count, scorer, deadline)
            sender.join()
    delete_topics(bootstrap, source)
    taken = (seen_at - np.array(sent_at))[rate * WARM_UP_SECONDS :] * 1000
    return [float(np.percentile(taken, share)) for share in (50, 99)] + [float(taken.max())]


def _watch(
    settings: KafkaSettings, target: str, count: int, scorer: subprocess.Popen[bytes], deadline: Deadline
) -> Any:
    """When each prediction was seen, by the number of its event."""
    reader = Reader(settings, target, group=None)
    seen_at, seen = np.zeros(count), 0
    while seen < count:
        if deadline.passed or scorer.poll() is not None:
            raise RuntimeError(f"only {seen} of {count} predictions arrived")
        for columns in reader.poll(0.5):
            now = time.monotonic()
            for value in columns.values:
                seen_at[int(json.loads(value or b"")["event_id"][1:])] = now
            seen += len(columns)
    reader.close(Deadline.after(10))
    return seen_at


def main(bootstrap: str, rates: Sequence[int], seconds: int, only: Sequence[str] = ()) -> list[Row]:
    """Measures and prints; the rows of all tables."""
    told: list[Row] = []
    for rate in rates:
        rows: list[Row] = []
        for entry in ENTRIES:
            if only and entry.name not in only:
                continue
            p50, p99, most = measure(bootstrap, rate, seconds, entry)
            figures = {"p50 ms": p50, "p99 ms": p99, "max ms": most}
            rows.append({"who": entry.title, "guarantee": entry.guarantee, **figures})
        title = f"Latency at {rate:,} events/s, send to visible under read_committed, {seconds} s"
        show(title, rows, dict.fromkeys(("p50 ms", "p99 ms", "max ms"), 1))
        told += [{"events/s": rate, **row} for row in rows]
    return told
