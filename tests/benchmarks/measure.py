"""Runs one contender in a process of its own and says what it took."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
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


def run_process(arguments: Sequence[str], python: str = sys.executable) -> Process:
    """Runs a Python, this one unless told, with arguments.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        [python, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
    """Gathers the peak memory in MiB of a process with its workers until it ends.

    Not from getrusage: its peak of a child is at least that of the process that started it.
    """
    children = Path(f"/proc/{process}/task/{process}/children")
    while peak := memory_mib(process, "VmHWM"):
        with suppress(OSError):
            peak += sum(memory_mib(int(child), "VmHWM") for child in children.read_text().split())
        peaks.append(peak)
        time.sleep(0.02)


def memory_mib(process: int, kind: str) -> float:
    """A process's memory in MiB, of a kind that /proc/N/status names; 0 when it has ended."""
    try:
        found = re.search(rf"{kind}:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def run(arguments: Sequence[str], count: int, python: str = sys.executable) -> Run:
    """Runs a stream contender, which ends by telling its `seconds` in a line of JSON."""
    done = run_process(arguments, python)
    return Run(count / seconds_of(done.said), done.cpu_seconds, done.peak_mib)


def seconds_of(said: str) -> float:
    """From the first event to the last commit, of a process or of several workers under one supervisor.

    A worker tells how long it worked; it began when it first said that it is ready.
    """
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    worked = {line.get("worker"): line["seconds"] for line in lines if "seconds" in line}
    if len(worked) == 1:
        return float(next(iter(worked.values())))
    began: dict[object, float] = {}
    for line in lines:
        if line.get("message") == "Ready":
            began.setdefault(line["worker"], datetime.fromisoformat(line["time"]).timestamp())
    ended = max(began[worker] + seconds for worker, seconds in worked.items() if seconds)
    return float(ended - min(began.values()))


def typical(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    return Run(
        median(run.events_per_second for run in runs),
        median(run.cpu_seconds for run in runs),
        median(run.peak_mib for run in runs),
    )
