"""Memory over ten million events through one process: it must not grow with what has been done."""

import multiprocessing
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from shared.deadline import Deadline
from shared.kafka.columns import NewRecords
from shared.kafka.connection import KafkaSettings
from shared.kafka.reader import Reader
from shared.kafka.writer import Writer
from tests.benchmarks.contenders import EXACTLY_ONCE
from tests.benchmarks.measure import memory_mib
from tests.benchmarks.report import Row, show
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

# Events that are made once and sent again and again.
_DIFFERENT: Final = 60_000
_BATCH: Final = 2_000
# The sender waits when it is so far ahead: what has been scored is not worth the disk's time.
_AHEAD: Final = 1_000_000
_TENTHS: Final = 10
_LEAST_RATE: Final = 20_000


def _load(bootstrap: str, topic: str, count: int, done: "multiprocessing.Queue[int]") -> None:
    """Sends events while they are scored, never far ahead; a process of its own."""
    rng = random.Random(9)  # noqa: S311 - the same events in every run
    values = [event_bytes(rng, number) for number in range(_DIFFERENT)]
    keys = [str(number).encode() for number in range(_DIFFERENT)]
    writer = Writer(KafkaSettings(bootstrap_servers=bootstrap), max_batch_bytes=16 * 1024)
    sent = scored = 0
    while sent < count:
        while sent - scored > _AHEAD or not done.empty():
            scored = done.get()
        start, size = sent % _DIFFERENT, min(_BATCH, count - sent)
        part = slice(start, start + size)
        partition = sent // _BATCH % PARTITIONS
        now = time.time_ns() // 1_000_000
        writer.write(NewRecords(topic, partition, keys[part], values[part], now))
        sent += size
    writer.flush(Deadline.after(120))
    writer.close(Deadline.after(10))


def measure(bootstrap: str, count: int) -> tuple[list[tuple[int, float]], float]:
    """(predictions written, MiB) about each second, and the seconds that it took.

    Raises:
        RuntimeError: The consumer failed, or was too slow by far.
    """
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    source = unique("soak-in")
    make_topic(settings, source)
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    with tempfile.TemporaryDirectory() as folder, output_topics(bootstrap, "soak") as target:
        options = consumer_options(bootstrap, source, target, write_model(Path(folder)), EXACTLY_ONCE)
        loader = context.Process(target=_load, args=(bootstrap, source, count, done), daemon=True)
        loader.start()
        began = time.monotonic()
        scorer = subprocess.Popen(
            [sys.executable, "-m", "consumer", *options, "--max-events", str(count)], stderr=subprocess.PIPE
        )
        assert scorer.stderr is not None
        said: list[bytes] = []
        threading.Thread(target=said.extend, args=(scorer.stderr,), daemon=True).start()
        reader = Reader(settings, target, group=None)
        samples: list[tuple[int, float]] = []
        deadline = Deadline.after(60 + count / _LEAST_RATE)
        while scorer.poll() is None:
            if deadline.passed:
                scorer.kill()
                raise RuntimeError(f"only {samples[-1][0]:,} of {count:,} events after a long time")
            time.sleep(1)
            written, memory = sum(reader.end_offsets().values()), memory_mib(scorer.pid, "VmRSS")
            done.put(written)
            if memory and written:
                samples.append((written, memory))
        seconds = time.monotonic() - began
        reader.close(Deadline.after(10))
        loader.terminate()
        loader.join()
    delete_topics(bootstrap, source)
    if scorer.returncode:
        raise RuntimeError(f"the consumer failed:\n{b''.join(said[-30:]).decode()}")
    return samples, seconds


def summary(samples: Sequence[tuple[int, float]], count: int) -> tuple[list[float], float]:
    """The median memory of each tenth of the events, and the growth in MiB a million without the first."""
    done, memory = (np.array(column, dtype=float) for column in zip(*samples, strict=True))
    tenth = np.minimum((done * _TENTHS / count).astype(int), _TENTHS - 1)
    medians = [
        float(np.median(memory[tenth == place])) if (tenth == place).any() else float("nan")
        for place in range(_TENTHS)
    ]
    settled = tenth > 0
    slope = float(np.polyfit(done[settled] / 1e6, memory[settled], 1)[0]) if settled.sum() > 1 else 0.0
    return medians, slope


def main(bootstrap: str, count: int) -> list[Row]:
    """Measures and prints; the row of the table."""
    samples, seconds = measure(bootstrap, count)
    medians, slope = summary(samples, count)
    row: Row = {
        **{f"{place}/{_TENTHS}": memory for place, memory in enumerate(medians, 1)},
        "MiB a million events": slope,
        "events/s": count / seconds,
    }
    title = f"Soak: MiB after each tenth of {count:,} events, exactly-once, loaded while they are scored"
    show(title, [row], {"MiB a million events": 2} | {f"{place}/{_TENTHS}": 1 for place in range(1, 11)})
    return [{"events": count, **row}]
