"""A worker of no consumer: a process that talks to its supervisor as told, and notes what happens to it.

Run as a script with a folder and, for each worker, what its first, second, ... process does; the last one
is repeated. It imports nothing of Tandem, so that it starts at once.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER = Path(sys.argv[1])
PLAN: dict[str, list[str]] = json.loads(sys.argv[2])

# Whatever becomes of the test, none of these stays behind.
signal.alarm(120)
line = socket.socket(fileno=0)
lines = line.makefile("rb")
role = json.loads(lines.readline())
worker = role["worker"]


def note(what: str) -> None:
    """Adds a line to the common book; a write this short is whole."""
    book = os.open(FOLDER / "book", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(book, f"{worker} {what}\n".encode())
    os.close(book)


def say(message: dict[str, Any]) -> None:
    """Tells the supervisor."""
    line.sendall(json.dumps(message).encode() + b"\n")


def report(*unready: str, loaded: bool = True) -> None:
    """Says how it is."""
    said = {"worker": worker, "pid": os.getpid(), "started": 0.0, "at": time.monotonic()}
    snapshot = {**said, "unready": list(unready), "tripped": None, "metrics": {}, "latest": None}
    say({"loaded": loaded, "snapshot": snapshot})


def stop(number: int, _: FrameType | None) -> None:
    """Ends as it should when it is told to."""
    note(f"stopped by {number}")
    say({"finished": False, "error": None})
    sys.exit(130 if number == signal.SIGINT else 0)


attempts = FOLDER / f"attempts-{worker}"
attempt = len(attempts.read_text()) if attempts.exists() else 0
attempts.write_text("x" * (attempt + 1))
plan = PLAN[str(worker)]
what, _, value = plan[min(attempt, len(plan) - 1)].partition(" ")
heard = (lambda number, _: note(f"told {number}")) if what == "deaf" else stop
signal.signal(signal.SIGTERM, heard)
signal.signal(signal.SIGINT, heard)
note("started")
report("it is starting", loaded=False)
if what == "finish":
    say({"finished": True, "error": None})
    sys.exit(0)
if what == "leave":
    sys.exit(int(value))
if what == "fail":
    say({"finished": False, "error": "the sentence of the error"})
    sys.exit(int(value))
if what == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
report("it is its turn soon")
lines.readline()
note("ready")
report()
while what == "mute":
    time.sleep(0.01)
line.settimeout(0.05)
while True:
    try:
        report()
        if not line.recv(1):
            note("alone")
            break
    except TimeoutError:
        pass
    except ConnectionResetError:
        # As it ends where the supervisor was killed with something unread.
        note("alone")
        break
