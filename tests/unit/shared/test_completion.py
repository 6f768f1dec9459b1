"""A shell completes the programs' command lines: bash is asked for real."""

import shutil
import subprocess
from pathlib import Path

import pytest

from batch.__main__ import main as batch
from consumer.__main__ import main as consumer
from producer.__main__ import main as producer
from shared.command import Command, run
from tests.support.commands import ROOT, python

PROGRAMS: dict[str, Command] = {"batch": batch, "consumer": consumer, "producer": producer}
# What bash does when Tab is pressed at the end of a line.
ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
[[ "$(complete -p "$1")" =~ -F\\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def printed(program: str, shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(PROGRAMS[program], ["--print-completion", shell]) == 0
    return capsys.readouterr().out


def offered(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What bash offers after a line, which ends where Tab is pressed."""
    name, *words = line.split(" ")
    script = folder / "completion"
    script.write_text(printed(name.removeprefix("tandem-"), "bash", capsys))
    bash = ["bash", "--norc", "-c", ASK, "bash", str(script), name, *words]
    done = subprocess.run(bash, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("tandem-batch ", {"score", "prove", "model"}),
        ("tandem-batch model c", {"certify"}),
        ("tandem-batch score --fo", {"--format"}),
        ("tandem-batch score rows.csv --model models/churn --no-r", {"--no-resume"}),
        ("tandem-batch score --format ", {"parquet", "csv", "ndjson", "arrow"}),
        ("tandem-batch score READ", {"README.md"}),
        ("tandem-batch score rows.csv --model mod", {"models"}),
        ("tandem-batch model show mod", {"models"}),
        ("tandem-consumer ", {"check", "status", "dead-letters"}),
        ("tandem-consumer --guarantee ", {"exactly-once", "at-least-once"}),
        ("tandem-consumer dead-letters replay --js", {"--json"}),
        ("tandem-producer pypro", {"pyproject.toml"}),
        ("tandem-producer --print-completion z", {"zsh"}),
    ],
)
def test_bash_offers_commands_options_choices_and_files(
    line: str, among: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = set(offered(line, tmp_path, capsys))
    assert among <= found
    beginning = line.rsplit(" ", maxsplit=1)[-1]
    assert all(word.startswith(beginning) for word in found)


def test_what_only_a_supervisor_starts_is_offered_to_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered("tandem-consumer w", tmp_path, capsys) == []


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
@pytest.mark.parametrize("program", PROGRAMS)
def test_zsh_can_read_its_completion(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "completion"
    script.write_text(printed(program, "zsh", capsys))
    subprocess.run(["zsh", "-n", script], check=True)


@pytest.mark.parametrize("shell", ["zsh", "tcsh", "fish"])
def test_every_other_shell_has_a_completion_of_all_commands(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed("batch", shell, capsys)
    assert "tandem-batch" in text
    assert all(word in text for word in ("certify", "max-error-rate", "parquet"))


@pytest.mark.parametrize(
    ("shell", "said"),
    [(["ksh"], "--print-completion: there is none for 'ksh'"), ([], "--print-completion: name a shell")],
)
def test_a_shell_without_a_completion_is_said(
    shell: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(batch, ["--print-completion", *shell]) == 2
    told = capsys.readouterr().err
    assert told == f"error: {said}\nThe shells are bash, zsh, tcsh and fish.\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [("/usr/bin/tandem-batch", "usage: tandem-batch"), ("/here/batch/__main__.py", "usage: python -m batch")],
)
def test_help_names_a_program_as_it_was_called(name: str, said: str) -> None:
    ask = (
        "import contextlib, io, sys\n"
        f"sys.argv = [{name!r}, 'score', '--help']\n"
        "from batch.__main__ import script\n"
        "with contextlib.suppress(SystemExit): script()"
    )
    text = python(ask)
    assert text.startswith(f"{said} score [-h]")
    assert f"\n  {said.removeprefix('usage: ')} score customers.csv --model" in text
