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
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from shared.deadline import Deadline
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader
from shared.kafka.writer import Writer
from tests.benchmarks.workload import PARTITIONS, consumer_options, event_bytes, make_topic, write_model
from tests.support.broker import unique

_TICK = 0.005
# A broker that has just started is slow until its JVM has compiled what it runs.
_WARM_UP_SECONDS = 20


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


def measure(bootstrap: str, rate: int, seconds: int, guarantee: str) -> list[float]:
    """p50, p99 and the maximum, in milliseconds, warm-up left out.

    Raises:
        RuntimeError: Not every prediction arrived.
    """
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    source, target = unique("latency-in"), unique("latency-out")
    make_topic(settings, source)
    make_topic(settings, target, f"{target}-dead", max_message_bytes=2 << 20)
    count = rate * (seconds + _WARM_UP_SECONDS)
    processes = multiprocessing.get_context("spawn")
    sent_at, seen_at = processes.RawArray("d", count), [0.0] * count
    with tempfile.TemporaryDirectory() as folder:
        options = consumer_options(bootstrap, source, target, write_model(Path(folder)), guarantee)
        consumer = subprocess.Popen([sys.executable, "-m", "consumer", *options], stderr=subprocess.PIPE)
        assert consumer.stderr is not None
        for line in consumer.stderr:
            if b'"Ready"' in line:
                break
        threading.Thread(target=consumer.stderr.read, daemon=True).start()
        sender = processes.Process(target=_send, args=(bootstrap, source, rate, sent_at))
        reader = Reader(settings, target, group=None)
        sender.start()
        seen, deadline = 0, Deadline.after(seconds + _WARM_UP_SECONDS + 30)
        while seen < count and not deadline.passed:
            for columns in reader.poll(0.5):
                now = time.monotonic()
                for value in columns.values:
                    seen_at[int(json.loads(value or b"")["event_id"][1:])] = now
                seen += len(columns)
        sender.join()
        consumer.send_signal(signal.SIGTERM)
        consumer.wait(30)
        reader.close(Deadline.after(10))
    if seen < count:
        raise RuntimeError(f"only {seen} of {count} predictions arrived")
    warm = rate * _WARM_UP_SECONDS
    taken = (np.array(seen_at) - np.array(sent_at))[warm:] * 1000
    return [float(np.percentile(taken, share)) for share in (50, 99)] + [float(taken.max())]


def main(bootstrap: str, rate: int = 1000, seconds: int = 15) -> None:
    """Measures and prints."""
    table = Table(title=f"Latency at {rate:,} events/s, send to visible under read_committed, {seconds} s")
    for column in ("guarantee", "p50 ms", "p99 ms", "max ms"):
        table.add_column(column, justify="left" if column == "guarantee" else "right")
    for guarantee in ("exactly-once", "at-least-once"):
        figures = measure(bootstrap, rate, seconds, guarantee)
        table.add_row(guarantee, *(f"{figure:.1f}" for figure in figures))
    Console().print(table)
