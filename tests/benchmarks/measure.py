"""Runs one contender in a process of its own and says what it took."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_TIMEOUT = 180


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        events_per_second: From the first event to the last commit.
        cpu_seconds: User and system time of the whole process, start-up included.
        peak_mib: Its peak resident memory.
    """

    events_per_second: float
    cpu_seconds: float
    peak_mib: float


def run(command: Sequence[str], count: int) -> Run:
    """Runs a command that ends by telling its `seconds` in a line of JSON.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    told = [json.loads(line) for line in said.splitlines() if line.startswith("{") and '"seconds"' in line]
    if process.returncode or not told:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{said[-3000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Run(count / told[-1]["seconds"], cpu, usage.ru_maxrss / 1024)


def typical(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    return Run(
        median(run.events_per_second for run in runs),
        median(run.cpu_seconds for run in runs),
        median(run.peak_mib for run in runs),
    )
