"""Kills a batch run at random moments, again and again, and resumes it until it ends.

`python -m tests.chaos.batch_kills --kills 100 --rows 1000000`
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.commands import ROOT, environment
from tests.support.killed_batch import contents

_MODEL = ROOT / "models/threshold"


def write_input(folder: Path, input_format: str, rows: int) -> Path:
    """A file of customers, some without a feature; events are long, so that processes are worth while."""
    rng = np.random.default_rng(11)
    features = np.round(rng.uniform(0, 1, rows), 6)
    missing = rng.uniform(0, 1, rows) < 0.02
    path = folder / f"customers.{input_format}"
    if input_format == "parquet":
        columns = {"customer_id": np.arange(rows), "feature": pa.array(features, mask=missing)}
        pq.write_table(pa.table(columns), path, row_group_size=max(1, rows // 10))
        return path
    note = "x" * 150
    with path.open("w") as file:
        for number, feature in enumerate(features.tolist()):
            value = "null" if missing[number] else repr(feature)
            file.write(f'{{"customer_id":{number},"feature":{value},"note":"{note}"}}\n')
    return path


def kill_at_random(path: Path, folder: Path, kills: int, seed: int) -> int:
    """Kills runs over a file until so many kills are done; each run is resumed until it ends.

    Args:
        path: The input.
        folder: Where results may be written.
        kills: How many kills.
        seed: Of the moments.

    Returns:
        How many runs were killed.

    Raises:
        AssertionError: A resumed run's files are not those of an uninterrupted one.
    """
    moments = random.Random(seed)  # noqa: S311 - moments, no secret
    expected, output = folder / "expected", folder / "killed"
    began = time.monotonic()
    assert _run(path, expected).wait() == 0
    seconds = time.monotonic() - began
    wanted, done = contents(expected), 0
    while done < kills:
        shutil.rmtree(output, ignore_errors=True)
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            process = _run(path, output)
            if done < kills:
                try:
                    process.wait(moments.uniform(0.1, 1.0) * seconds)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    done += 1
            code = process.wait()
        assert code == 0, f"exit code {code} after {done} kills"
        assert contents(output) == wanted, f"other files after {done} kills"
        print(f"{done} kills: the files are the same", flush=True)
    return done


def _run(path: Path, output: Path) -> "subprocess.Popen[bytes]":
    arguments = ["score", str(path), "--model", str(_MODEL), "--output", str(output), "--resume"]
    options = ["--workers", "2", "--part-rows", "25000"]
    return subprocess.Popen(
        [sys.executable, "-m", "batch", *arguments, *options],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )


def main() -> None:
    """Kills runs over Parquet and over events, in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.batch_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for input_format in ("parquet", "ndjson"):
            folder = Path(name, input_format)
            folder.mkdir()
            path = write_input(folder, input_format, options.rows)
            print(f"{input_format}: {kill_at_random(path, folder, options.kills // 2, options.seed)} kills")


if __name__ == "__main__":
    main()
