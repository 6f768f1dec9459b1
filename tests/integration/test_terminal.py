"""The real consumer on a terminal: its figures, and what all its processes log above them."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.kafka.connection import KafkaSettings
from tests.support.commands import ROOT, environment
from tests.support.topics import make_pipeline

pytestmark = pytest.mark.broker

MODEL = Path("models/threshold")


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Runs the consumer with a terminal as its standard error: its exit code, and what was written there."""
    ours, theirs = pty.openpty()
    said = bytearray()

    def listen() -> None:
        try:
            while part := os.read(ours, 1 << 16):
                said.extend(part)
        except OSError:
            # As a terminal says that nobody has it open any more.
            return

    process = subprocess.Popen(
        [sys.executable, "-m", "consumer", *arguments],
        cwd=ROOT,
        env={**environment(), "TERM": "xterm", "COLUMNS": "140", "LINES": "40"},
        stderr=theirs,
        stdout=subprocess.DEVNULL,
    )
    os.close(theirs)
    thread = threading.Thread(target=listen)
    thread.start()
    try:
        code = process.wait(90)
    finally:
        process.kill()
        thread.join()
        os.close(ours)
    text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", said.decode())
    return code, text.replace("\r", "\n")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_figures_stand_below_what_all_processes_log_and_stay_at_the_end(
    workers: str, kafka: KafkaSettings
) -> None:
    pipeline = make_pipeline(kafka)
    pipeline.send([json.dumps({"customer_id": n, "feature": 0.7}).encode() for n in range(5)] + [b"{"])
    how = ("--workers", workers, "--until-idle", "1", "--http-port", "0", "--log-format", "auto")
    code, text = on_a_terminal(*pipeline.options(MODEL, *how))
    assert code == 0, text
    lines = [line for line in text.split("\n") if line]
    done = [line for line in lines if re.match(r"\d\d:\d\d:\d\d Done: ", line)]
    assert len(done) == int(workers), text
    assert any(line.startswith("live page     http://127.0.0.1:") for line in lines)
    closing = lines[max(lines.index(line) for line in done) :]
    assert "ledger        6 read = 5 scored + 1 rejected: it balances" in closing
    assert any(line.startswith("dead letters  1: 1 ") for line in closing)
    assert any(line.startswith("model         threshold@") for line in closing)
    assert not any('"level"' in line for line in lines)
