"""Kills `python -m batch score` at every step by which results reach the disk, and resumes it each time.

`python -m tests.support.killed_batch EXPECTED OUTPUT ARGUMENTS...`

Runs `batch ARGUMENTS --output OUTPUT`, once for each fault point, and expects the files of EXPECTED after
`--resume`. Prints one line a fault point, and ends with 1 at the first that does not hold.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet

from batch import durable
from batch.manifest import MANIFEST_FILE, read_manifest
from batch.score import main as score
from shared.command import run
from shared.errors import TandemError

_STEPS = ("write", "sync", "rename", "sync_folder", "remove")


class _Fault:
    """Ends the process at one of its steps: before the step, in its middle, or after it."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._pipe = os.pipe()

    def arm(self) -> None:
        """From here on the steps are counted."""
        for name in _STEPS:
            setattr(durable, name, self._wrapped(name, getattr(durable, name)))

    def _wrapped(self, name: str, step: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: Any) -> None:
            self._point(f"before {name}")
            if name == "write":
                file, content = arguments
                half = len(content) // 2
                if half:
                    step(file, memoryview(content)[:half])
                    self._point("in the middle of write")
                step(file, memoryview(content)[half:])
            else:
                step(*arguments)
            self._point(f"after {name}")

        return wrapped

    def _point(self, name: str) -> None:
        self._left -= 1
        if not self._left:
            os.write(self._pipe[1], name.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def reached(self) -> str:
        """Where the process was killed; nothing when it was not."""
        os.close(self._pipe[1])
        with os.fdopen(self._pipe[0], "rb") as reader:
            return reader.read().decode()


def _in_a_child(work: Callable[[], int]) -> int:
    """Runs work in a copy of this process.

    Returns:
        Its exit code; negative the signal that ended it.
    """
    sys.stdout.flush()
    child = os.fork()
    if not child:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def contents(folder: Path) -> dict[str, bytes]:
    """What a folder of results holds, but for what depends on the clock."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if manifest := found.get(MANIFEST_FILE):
        found[MANIFEST_FILE] = json.dumps({**json.loads(manifest), "run": None}).encode()
    return found


def _check_kill(number: int, expected: dict[str, bytes], output: Path, arguments: Sequence[str]) -> str:
    """Kills a run at a fault point and resumes it.

    Returns:
        Where it was killed; nothing when it has no so many fault points.
    """
    shutil.rmtree(output, ignore_errors=True)
    fault = _Fault(number)

    def killed() -> int:
        fault.arm()
        return run(score, [*arguments, "--output", str(output)])

    code = _in_a_child(killed)
    reached = fault.reached()
    if not reached:
        assert code == 0, f"exit code {code} without a kill"
        assert contents(output) == expected
        return ""
    assert code == -signal.SIGKILL, f"exit code {code}"
    try:
        read_manifest(output)
    except TandemError:
        pass
    else:
        listed = {name: content for name, content in contents(output).items() if not name.startswith(".")}
        assert listed == expected, f"{reached}: a manifest is there before all of its files"
    resumed = _in_a_child(lambda: run(score, [*arguments, "--resume", "--output", str(output)]))
    assert resumed == 0, f"{reached}: --resume ended with {resumed}"
    found = contents(output)
    assert found.keys() == expected.keys(), f"{reached}: {found.keys() ^ expected.keys()}"
    assert found == expected, f"{reached}: {[name for name in found if found[name] != expected[name]]}"
    return reached


def main(arguments: Sequence[str]) -> int:
    """Goes through the fault points until a run has no more of them."""
    # Loaded here, once, for all copies of this process.
    assert pyarrow.csv
    assert pyarrow.parquet
    expected, output = contents(Path(arguments[0])), Path(arguments[1])
    number = 0
    while True:
        number += 1
        try:
            reached = _check_kill(number, expected, output, arguments[2:])
        except AssertionError as error:
            print(f"{number}: {error}")
            return 1
        if not reached:
            return 0
        print(f"{number}: {reached}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
