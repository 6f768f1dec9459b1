"""A process with all that it starts: how long, how much CPU, how much memory."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.measure import Process, memory_mib

_PAUSE = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")


def run_tree(arguments: Sequence[str]) -> Process:
    """Runs this Python with arguments, and watches it and its descendants.

    Memory is the peak of resident memory while there is one process; of several, what they held together at
    one moment, a page that they share counted once (PSS). CPU is what each was seen to have used last.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seen = _Seen(process.pid)
    watcher = threading.Thread(target=seen.watch, daemon=True)
    watcher.start()
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{said[-3000:]}")
    # The kernel's own sum is exact, but lacks descendants that nobody waited for, as Spark's.
    cpu = max(usage.ru_utime + usage.ru_stime, sum(seen.cpu.values()))
    return Process(said, seconds, cpu, seen.peak_mib)


class _Seen:
    """What was seen of a process and its descendants.

    Args:
        root: The process.

    Attributes:
        cpu: Seconds of each, by its number.
        peak_mib: Of all together.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self.cpu: dict[int, float] = {}
        self.peak_mib = 0.0

    def watch(self) -> None:
        """Looks until the process has ended."""
        while highest := memory_mib(self._root, "VmHWM"):
            tree = list(_descendants(self._root))
            for process in tree:
                self.cpu[process] = max(self.cpu.get(process, 0.0), _cpu_seconds(process))
            together = highest if len(tree) == 1 else sum(map(_pss_mib, tree))
            self.peak_mib = max(self.peak_mib, together)
            time.sleep(_PAUSE)


def _descendants(process: int) -> Iterator[int]:
    yield process
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = " ".join((thread / "children").read_text() for thread in threads)
    except OSError:
        return
    for child in children.split():
        yield from _descendants(int(child))


def _cpu_seconds(process: int) -> float:
    try:
        # What follows the name, which may hold anything: the 14th and 15th field of all are its own ticks.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss_mib(process: int) -> float:
    try:
        told = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss:\s*(\d+) kB", told, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
