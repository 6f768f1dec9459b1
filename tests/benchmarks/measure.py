"""Runs one contender in a process of its own and says what it took."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Process:
    """A process that has ended well.

    Attributes:
        said: What it printed.
        seconds: Its whole life, start-up included.
        cpu_seconds: User and system time.
        peak_mib: Its peak resident memory.
    """

    said: str
    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a stream contender.

    Attributes:
        events_per_second: From the first event to the last commit.
        cpu_seconds: User and system time of the whole process, start-up included.
        peak_mib: Its peak resident memory.
    """

    events_per_second: float
    cpu_seconds: float
    peak_mib: float


def run_process(arguments: Sequence[str]) -> Process:
    """Runs this Python with arguments.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    peaks = [0.0]
    watcher = threading.Thread(target=_watch_memory, args=(process.pid, peaks), daemon=True)
    watcher.start()
    with process.stdout:
        said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{said[-3000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    watcher.join()
    return Process(said, time.monotonic() - began, cpu, max(peaks))


def _watch_memory(process: int, peaks: list[float]) -> None:
    """Gathers a process's peak memory in MiB until it ends.

    Not from getrusage: its peak of a child is at least that of the process that started it.
    """
    status = Path(f"/proc/{process}/status")
    while True:
        try:
            peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        except OSError:
            return
        if peak is None:
            return
        peaks.append(int(peak[1]) / 1024)
        time.sleep(0.02)


def run(arguments: Sequence[str], count: int) -> Run:
    """Runs a stream contender, which ends by telling its `seconds` in a line of JSON."""
    done = run_process(arguments)
    told = [
        json.loads(line) for line in done.said.splitlines() if line.startswith("{") and '"seconds"' in line
    ]
    return Run(count / told[-1]["seconds"], done.cpu_seconds, done.peak_mib)


def typical(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    return Run(
        median(run.events_per_second for run in runs),
        median(run.cpu_seconds for run in runs),
        median(run.peak_mib for run in runs),
    )
