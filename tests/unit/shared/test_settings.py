"""Options come from flags and TANDEM_ variables; a mistake is a sentence that names both."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import CliPositionalArg

from shared.command import run
from shared.errors import ConfigurationError, ExitCode
from shared.settings import CommandSettings, color_wanted, load, secrets_in, shown

PROGRAM = "python -m example"


class Care(StrEnum):
    TOP_SPEED = "top-speed"
    TOP_CARE = "top-care"


class Example(CommandSettings):
    """Does an example.

    Example:
        python -m example in.csv --batch-size 10 --mode quick
    """

    source: CliPositionalArg[Path] = Field(description="What to read.")
    batch_size: Annotated[int, Field(ge=1, le=100, description="Rows at once.")] = 50
    mode: Literal["quick", "exact"] = Field(default="exact", description="How.")
    care: Care = Field(default=Care.TOP_CARE, description="How careful.")
    verbose: bool = Field(default=False, description="Say more.")
    client_option: dict[str, str] = Field(default={}, description="More.")
    password: SecretStr | None = Field(default=None, min_length=8, description="A secret.")
    pin: SecretStr = Field(default=SecretStr("12345678"), min_length=8, description="Another.")

    @model_validator(mode="after")
    def _consistent(self) -> "Example":
        if self.mode == "quick" and self.batch_size == 1:
            raise ValueError("--mode quick needs a --batch-size above 1")
        return self


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Example.model_fields:
        monkeypatch.delenv(f"TANDEM_{name.upper()}", raising=False)


def loaded(*arguments: str) -> Example:
    return load(Example, arguments, PROGRAM)


def complaint(*arguments: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(*arguments)
    assert caught.value.exit_code == ExitCode.USAGE
    return str(caught.value)


def test_a_flag_beats_a_variable_and_a_variable_beats_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded("in.csv").batch_size == 50
    monkeypatch.setenv("TANDEM_BATCH_SIZE", "7")
    monkeypatch.setenv("TANDEM_VERBOSE", "true")
    assert (loaded("in.csv").batch_size, loaded("in.csv").verbose) == (7, True)
    assert loaded("in.csv", "--batch-size", "9", "--no-verbose").batch_size == 9
    assert not loaded("in.csv", "--no-verbose").verbose


@pytest.mark.parametrize("by_flag", [True, False])
def test_a_wrong_value_is_told_with_its_flag_and_its_variable(
    by_flag: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_BATCH_SIZE", "1" if by_flag else "many")
    said = complaint("in.csv", *(["--batch-size", "many"] if by_flag else []))
    assert said.startswith("--batch-size or TANDEM_BATCH_SIZE: Input should be a valid integer")
    assert said.endswith(f"(got 'many')\nSee {PROGRAM} --help.")


def test_each_mistake_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_MODE", "fast")
    lines = complaint("in.csv", "--batch-size", "101").splitlines()
    assert lines[0].startswith("--batch-size or TANDEM_BATCH_SIZE: Input should be less than or equal to 100")
    assert lines[1] == "--mode or TANDEM_MODE: Input should be 'quick' or 'exact' (got 'fast')"


def test_options_that_contradict_each_other_are_told_without_a_place() -> None:
    assert complaint("in.csv", "--mode", "quick", "--batch-size", "1").startswith("--mode quick needs")


def test_a_secret_shows_in_no_sentence_and_no_list() -> None:
    settings = loaded("in.csv", "--password", "correct horse")
    assert shown(settings) == {
        "source": "in.csv",
        "batch_size": "50",
        "mode": "exact",
        "care": "top-care",
        "verbose": "False",
        "client_option": "",
        "password": "***",
        "pin": "***",
    }
    assert "correct horse" not in f"{settings!r} {settings}"
    for name in ("password", "pin"):
        said = complaint("in.csv", f"--{name}", "hunter2")
        assert f"--{name} or TANDEM_{name.upper()}: Value should have at least 8 items" in said
        assert "hunter2" not in said


def test_secrets_among_the_client_s_options_are_masked() -> None:
    options = ["--client-option", "sasl_plain_password=hunter2", "--client-option", "ssl_password=@key"]
    settings = loaded("in.csv", *options, "--client-option", "acks=all")
    assert shown(settings)["client_option"] == "sasl_plain_password=***, ssl_password=@key, acks=all"


@pytest.mark.parametrize("by_flag", [True, False])
def test_an_option_of_several_parts_that_cannot_be_taken_apart_is_told(
    by_flag: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not by_flag:
        monkeypatch.setenv("TANDEM_CLIENT_OPTION", "sasl_plain_password:hunter2")
    said = complaint("in.csv", *(["--client-option", "sasl_plain_password:hunter2"] if by_flag else []))
    assert said.startswith(
        "--client-option or TANDEM_CLIENT_OPTION: cannot be read; the flag takes name=value"
    )
    assert "hunter2" not in said


def test_help_has_the_example_and_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        loaded("--help")
    assert caught.value.code == ExitCode.DONE
    said = capsys.readouterr().out
    assert "\n    python -m example in.csv --batch-size 10 --mode quick\n" in said
    for part in ("usage: python -m example", "SOURCE", "--batch-size", "Rows at once.", "{quick,exact}"):
        assert part in said


def test_help_shows_choices_as_they_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        loaded("--help")
    said = capsys.readouterr().out
    assert "[--care {top-speed,top-care}]" in said
    assert "How careful. (default: top-care)" in said
    assert loaded("in.csv", "--care", "top-speed").care is Care.TOP_SPEED
    assert "--care or TANDEM_CARE: Input should be 'top-speed' or 'top-care'" in complaint(
        "in.csv", "--care", "none"
    )


def test_a_required_option_has_no_brackets_in_the_usage_and_may_come_from_its_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Demanding(CommandSettings):
        """Demands."""

        model: Path = Field(description="The model.")
        rate: float = Field(default=1.0, description="How fast.")

    with pytest.raises(SystemExit):
        load(Demanding, ["--help"], PROGRAM)
    assert "usage: python -m example [-h] --model PATH [--rate X]\n" in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match="--model or TANDEM_MODEL: Field required"):
        load(Demanding, [], PROGRAM)
    monkeypatch.setenv("TANDEM_MODEL", "mine")
    assert load(Demanding, [], PROGRAM).model == Path("mine")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["in.csv", "--no-such-option"], "--no-such-option"), (["in.csv", "more"], "more"), ([], "SOURCE")],
)
def test_a_command_line_that_does_not_fit_ends_with_the_status_of_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        raise SystemExit(run(lambda given: int(bool(load(Example, given, PROGRAM))), arguments))
    assert caught.value.code == ExitCode.USAGE
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": ""}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm"}, True),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    terminal: bool, environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert color_wanted(environment) is wanted


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--kafka-option", "sasl_plain_password=hunter2"], ["sasl_plain_password"]),
        (["--kafka-option=sasl_plain_password=hunter2"], ["sasl_plain_password"]),
        (["--kafka-option", "ssl_password=@/run/secrets/key"], []),
        (["--kafka-option", "security_protocol=SASL_SSL"], []),
        (["--kafka-option", "proxy_url=http://proxy:3128"], []),
        (["--kafka-option", "proxy_url=http://me:hunter2@proxy:3128"], ["proxy_url"]),
        (["postgresql://me:hunter2@host/db"], ["password of the address"]),
        (["postgresql://me@host/db"], []),
    ],
)
def test_secrets_on_the_command_line_are_named(arguments: list[str], found: list[str]) -> None:
    assert secrets_in(arguments) == found


@pytest.mark.parametrize(
    "given",
    [
        '["hunter2"]',
        '{"sasl_plain_password": ["hunter2"]}',
        '{"sasl_plain_password": "hunter2"',
        '{"proxy_url": {"http://me:hunter2@proxy": 1}}',
        "sasl_plain_password=hunter2",
    ],
)
def test_options_that_cannot_be_read_are_not_quoted(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CLIENT_OPTION", given)
    assert "hunter2" not in complaint("in.csv")


def test_a_proxys_address_is_masked_with_its_password() -> None:
    settings = loaded("in.csv", "--client-option", "proxy_url=http://me:hunter2@proxy")
    assert "hunter2" not in str(shown(settings))


@pytest.mark.parametrize(
    "mistaken",
    [
        ("--client-optoin", "sasl_plain_password=hunter2"),
        ("--client-optoin=sasl_plain_password=hunter2",),
        ("in.csv", "sasl_plain_password=hunter2"),
        ("--client-option", "sasl_plain_password"),
    ],
)
def test_a_slip_of_the_pen_does_not_print_a_password(
    mistaken: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((SystemExit, ConfigurationError)) as caught:
        loaded("in.csv", *mistaken)
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err + str(caught.value)
