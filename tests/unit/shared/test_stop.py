"""Being told to stop, in a process that does not listen."""

import signal
import subprocess
import sys
import threading

import pytest

from shared.stop import Stop
from tests.support.commands import ROOT

DEAF = """
import threading
from shared.stop import Stop
stop = Stop({timeout})
stop.on_signals()
if {working}:
    stop.begin()
print("ready", flush=True)
said = False
while True:
    threading.Event().wait(0.01)
    if stop.requested and not said:
        said = True
        print("told", flush=True)
"""


def deaf(timeout: str, *, working: bool = True) -> "subprocess.Popen[str]":
    script = DEAF.format(timeout=timeout, working=working)
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_before_the_work_begins_a_signal_ends_the_process_at_once(number: int, code: int) -> None:
    with deaf("1000", working=False) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(10) == code


@pytest.mark.parametrize(
    ("timeout", "signals", "code"),
    [
        ("0.2", [signal.SIGTERM], 5),
        ("None", [signal.SIGTERM, signal.SIGTERM], 130),
        ("None", [signal.SIGINT, signal.SIGINT], 130),
    ],
    ids=["past its deadline", "told twice", "Ctrl-C twice"],
)
def test_a_process_that_does_not_stop_is_ended(timeout: str, signals: list[int], code: int) -> None:
    with deaf(timeout) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in signals:
            process.send_signal(number)
            # A second signal that came before the first one was noted would be taken for it.
            process.stdout.readline()
        assert process.wait(10) == code


def test_another_thread_can_do_what_sigterm_does() -> None:
    stop = Stop()
    stop.begin()
    thread = threading.Thread(target=stop.terminate)
    thread.start()
    thread.join()
    assert (stop.requested, stop.terminated, stop.interrupted) == (True, True, False)
