"""Kills `python -m batch retry` at every step by which results reach the disk, and runs it again each time.

    python -m tests.support.killed_retry BEFORE EXPECTED OUTPUT ARGUMENTS...

Runs `batch retry OUTPUT ARGUMENTS`, once for one fault point in four, in a copy of the folder BEFORE. After
a kill the folder must be whole, as it was or as it is to be; after another run it must be as EXPECTED. Prints
one line a fault point, and ends with 1 at the first that does not hold.
"""

import json
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet

from batch.manifest import read_manifest
from batch.retry import main as retry
from shared.command import run
from tests.support.killed_batch import _Fault, _in_a_child


def listed(folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files that a folder's manifest lists, and the manifest without what depends on the clock."""
    manifest: Any = read_manifest(folder)
    files = {part.file: (folder / part.file).read_bytes() for part in (*manifest.parts, *manifest.rejected)}
    content = json.loads(manifest.model_dump_json(exclude={"run"}))
    for entry in content["retries"]:
        del entry["run"]
    return files, content


def main(arguments: Sequence[str]) -> int:
    """Goes through the fault points until a retry has no more of them."""
    assert pyarrow.parquet
    before, expected, output = map(Path, arguments[:3])
    number = 0
    while True:
        # A file has nine points, so that one in four falls on each of them in turn.
        number += 4
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(before, output)
        fault = _Fault(number)

        def killed(fault: _Fault = fault) -> int:
            fault.arm()
            return run(retry, [str(output), *arguments[3:]])

        code = _in_a_child(killed)
        reached = fault.reached()
        if reached and code != -signal.SIGKILL:
            print(f"{number}: {reached}: exit code {code}")
            return 1
        if reached and listed(output) == listed(before):
            code = _in_a_child(lambda: run(retry, [str(output), *arguments[3:]]))
            if code:
                print(f"{number}: {reached}: run again, it ended with {code}")
                return 1
        if listed(output) != listed(expected):
            print(f"{number}: {reached}: the folder is neither as before nor as it is to be")
            return 1
        if not reached:
            return 0
        print(f"{number}: {reached}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
