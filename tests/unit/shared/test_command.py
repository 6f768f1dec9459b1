"""A command ends with the exit code of what stopped it and a sentence, never a traceback."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.command import Command, choose, run
from shared.errors import (
    AnswerIsNo,
    BrokerUnreachableError,
    ConfigurationError,
    FencedError,
    InputError,
    ModelError,
    StalledError,
    TandemError,
)
from shared.kafka.errors import BrokerTroubleError
from shared.ledger import LedgerError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (AnswerIsNo, 1),
        (LedgerError, 70),
        (ConfigurationError, 2),
        (InputError, 3),
        (ModelError, 3),
        (BrokerUnreachableError, 4),
        (FencedError, 5),
        (StalledError, 5),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    kind: type[TandemError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: Sequence[str]) -> int:
        raise kind(f"in.csv: {arguments[0]}", hint="Do this.")

    assert run(command, ["bad"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: in.csv: bad\nDo this.\n")


def test_an_error_without_a_hint_is_one_line() -> None:
    assert str(TandemError("what")) == "what"


def test_a_command_s_own_answer_is_passed_on() -> None:
    assert run(len, ["a", "b"]) == 2


def test_an_interrupt_has_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    def command(_arguments: Sequence[str]) -> int:
        raise KeyboardInterrupt

    assert run(command, []) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("lines", [1, 20_000])
def test_a_reader_that_goes_away_changes_no_answer(lines: int, status: int, unbuffered: bool) -> None:
    program = (
        "import sys; from shared.command import run\n"
        "def command(_):\n"
        "    sys.stdin.read()\n"  # until the reader has gone
        f"    for line in range({lines}): print(line)\n"
        f"    return {status}\n"
        "sys.exit(run(command, []))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1" if unbuffered else ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), said) == (status, b"")


@pytest.mark.parametrize("error", [ZeroDivisionError("what nobody foresaw"), BrokenPipeError("a socket's")])
def test_what_nobody_foresaw_is_told_apart_from_an_answer(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def command(_arguments: Sequence[str]) -> int:
        raise error

    assert run(command, []) == 70
    assert "please report it" in caplog.text
    assert f"{type(error).__name__}: {error}" in caplog.text


def nothing(_arguments: Sequence[str]) -> int:
    return 0


COMMANDS: dict[str, tuple[Command, str]] = {
    "score": (nothing, "Scores a file."),
    "export": (nothing, "Writes a snapshot."),
}


def test_the_first_argument_chooses_the_command() -> None:
    assert choose("python -m batch", COMMANDS, ["score", "in", "--help"]) == (nothing, ["in", "--help"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, ""),
        (["scroe"], 2, "error: there is no command 'scroe'; did you mean score?\n\n"),
        (["xyz"], 2, "error: there is no command 'xyz'\n\n"),
        (["--help"], 0, ""),
        (["-h"], 0, ""),
    ],
)
def test_without_a_known_command_the_commands_are_listed(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        choose("python -m batch", COMMANDS, arguments)
    assert caught.value.code == code
    captured = capsys.readouterr()
    text = captured.out if code == 0 else captured.err
    assert text.startswith(f"{said}usage: python -m batch COMMAND ...\n\n  score   Scores a file.\n")
    assert text.endswith("python -m batch COMMAND --help shows its options.\n")


def test_trouble_that_nobody_could_recover_from_ends_as_a_broker_that_does_not_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command(_arguments: Sequence[str]) -> int:
        raise BrokerTroubleError("Kafka gave no answer while describing topics: timed out")

    assert run(command, []) == 4
    assert capsys.readouterr().err.startswith(
        "error: Kafka gave no answer while describing topics: timed out\n"
    )


def test_a_list_of_commands_that_nobody_reads_on_ends_without_a_traceback() -> None:
    line = f"{sys.executable} -m batch --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
