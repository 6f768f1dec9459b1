"""What `python -m consumer` makes of its first word."""

import pytest

from consumer.__main__ import COMMANDS, main
from shared.command import run
from shared.errors import ExitCode


@pytest.mark.parametrize(
    ("word", "near"),
    [("chek", "check"), ("dead-letter", "dead-letters"), ("Status", "status"), ("xyz", None), ("work", None)],
)
def test_a_command_that_there_is_not_is_said_shortly_with_the_near_one(
    word: str, near: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(main, [word, "--model", "models/threshold"]) == ExitCode.USAGE
    said, hint = capsys.readouterr().err.splitlines()
    meant = "" if near is None else f"; did you mean {near}?"
    assert said == f"error: there is no command {word!r}{meant}"
    assert hint.startswith("The commands are check, status and dead-letters; without one, it scores events.")


def test_a_stray_word_that_holds_a_secret_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sasl_plain_password=hunter2", "--model", "models/threshold"])
    assert "hunter2" not in capsys.readouterr().err


def test_the_help_names_each_command_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    listed = lines[lines.index("Commands:") + 1 :]
    for name in COMMANDS.keys() - {"worker"}:
        assert any(line.startswith(f"  {name} ") for line in listed)
