"""Settings: every option is a flag and a TANDEM_ variable. The only reader of the environment."""

import argparse
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliPositionalArg,
    CliSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from shared.command import as_called
from shared.errors import ConfigurationError
from shared.stores.address import shown_address, without_passwords

ENVIRONMENT_PREFIX = "TANDEM_"
# What pydantic-settings marks the field of an argument without a flag with.
_POSITIONAL = get_args(CliPositionalArg[str])[1]
# What an option is called whose value is shown to nobody.
_SECRET_WORDS = ("password", "secret", "token", "proxy")

S = TypeVar("S", bound="CommandSettings")


class CommandSettings(BaseSettings):
    """Base of every command's settings.

    A subclass declares one field an option, with a description, and its docstring is the command's
    help: a first line, then a real example. An option's flag is its name in kebab case, its variable
    TANDEM_ and its name in upper case; the flag wins.
    """

    model_config = SettingsConfigDict(
        # All: the variable of an option with an alias (--json) begins with the prefix, too.
        env_prefix=ENVIRONMENT_PREFIX,
        env_prefix_target="all",
        extra="ignore",
        frozen=True,
    )


class JsonSettings(BaseModel):
    """Whether a command's closing summary is for a script."""

    as_json: bool = Field(False, alias="json", description="Print the closing summary as JSON.")


def _one_character(delimiter: str) -> str:
    delimiter = "\t" if delimiter in ("tab", r"\t") else delimiter
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise ValueError("one ASCII character, other than a quote or a line break, or the word tab")
    return delimiter


#: What separates the fields of a CSV file: one character, or the word tab.
Delimiter = Annotated[str, AfterValidator(_one_character)]


def load(settings: type[S], arguments: Sequence[str], program: str) -> S:
    """Reads a command's settings from its arguments and the environment.

    Args:
        settings: The command's settings class.
        arguments: What follows the program's name on the command line.
        program: How the user calls it, for the help: `python -m producer`.

    Raises:
        ConfigurationError: Naming the option at fault and what is wrong with it.
        SystemExit: After printing the help, or a usage error (status 2), as argparse does.
    """
    program = as_called(program)
    try:
        source = _source(settings, program)
        parser = source.root_parser
        # argparse repeats an argument that it does not know, and a slip of the pen may hold a password.
        parser.error = partial(_say_without_secrets, parser.error)
        return settings(_cli_settings_source=source(args=list(arguments)))
    except ValidationError as error:
        raise ConfigurationError(_explain(settings, error), hint=f"See {program} --help.") from error
    except SettingsError as error:
        raise ConfigurationError(_explain_unread(settings, error), hint=f"See {program} --help.") from error


def parser_of(settings: type[CommandSettings], program: str) -> argparse.ArgumentParser:
    """What reads a command's options; each choice has the name that is typed for it.

    Args:
        settings: The command's settings class.
        program: How the user calls it.
    """
    parser: argparse.ArgumentParser = _source(settings, program).root_parser
    names = _names_of_choices(settings)
    for action in parser._actions:  # noqa: SLF001 - argparse tells of them nowhere else
        listed = action.metavar.strip("{}") if isinstance(action.metavar, str) else ""
        if listed != action.metavar and listed and action.choices is None:
            action.choices = [names.get(choice, choice) for choice in listed.split(",")]
    return parser


def _source(settings: type[CommandSettings], program: str) -> Any:
    return CliSettingsSource(
        settings,
        cli_prog_name=program,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        formatter_class=partial(_HelpFormatter, _names_of_choices(settings)),
    )


def shown(settings: CommandSettings) -> dict[str, str]:
    """The settings as text for printing, with secrets masked."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {name: _masked(name, value) for name, value in values.items()}


def secrets_in(arguments: Sequence[str]) -> list[str]:
    """Names of the secrets that a command line itself holds, where `ps` shows them to everybody."""
    found = []
    for argument in arguments:
        for part in (argument, argument.partition("=")[2]):
            name, _, value = part.partition("=")
            # A proxy's address is a secret where it holds a user and a password.
            harmless = not value or value.startswith("@") or ("proxy" in name and "@" not in value)
            if name.isidentifier() and _is_secret(name) and not harmless:
                found.append(name)
        if without_passwords(argument) != argument and not found:
            found.append("password of the address")
    return found


def color_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether standard error is a terminal that wants colour and live progress (NO_COLOR, TERM=dumb)."""
    return sys.stderr.isatty() and "NO_COLOR" not in environment and environment.get("TERM") != "dumb"


def _say_without_secrets(say: Callable[[str], None], message: str) -> None:
    words = "|".join(_SECRET_WORDS)
    say(without_passwords(re.sub(rf"(?i)(\w*(?:{words})\w*=)(?!@)\S+", r"\1***", message)))


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the example in a command's help, and leaves out what says nothing."""

    _NO_NEWS = (
        *(" (default: None)", " (default: False)", " (default: )"),
        *(" (default factory: dict)", " (default factory: list)"),
    )
    _KINDS: Mapping[str, str] = {
        "str": "TEXT",
        "int": "N",
        "float": "X",
        "Path": "PATH",
        "dict[str,str]": "NAME=VALUE",
        "time": "HH:MM",
        "AwareDatetime": "TIME",
    }

    def __init__(self, choices: Mapping[str, str], prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=100)
        self._choices = choices

    def add_usage(
        self, usage: str | None, actions: Iterable[argparse.Action], groups: Any, prefix: str | None = None
    ) -> None:
        # A required option may come from its variable, so that argparse does not know that it is one.
        super().add_usage(usage, [_as_required(action) for action in actions], groups, prefix)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return super()._fill_text(as_called(inspect.cleandoc(text)), width, indent)

    def _expand_help(self, action: argparse.Action) -> str:
        text = super()._expand_help(action)
        for ending in self._NO_NEWS:
            text = text.removesuffix(ending)
        return as_called(re.sub(r"(?<=\(default: )\w+(?=\)$)", self._named, text))

    def _metavar_formatter(
        self, action: argparse.Action, default_metavar: str
    ) -> Callable[[int], tuple[str, ...]]:
        if isinstance(action.metavar, str):
            # An option that may be given again says so in its description.
            kind = re.sub(r"^list\[(.*)\]$", r"\1", action.metavar)
            default_metavar = self._KINDS.get(kind, re.sub(r"\w+", self._named, kind))
            return lambda count: (default_metavar,) * count
        return super()._metavar_formatter(action, default_metavar)

    def _named(self, name: re.Match[str]) -> str:
        return self._choices.get(name[0], name[0])


def _as_required(action: argparse.Action) -> argparse.Action:
    if not (action.option_strings and (action.help or "").endswith("(required)")):
        return action
    action = copy(action)
    action.required = True
    return action


def _names_of_choices(settings: type[CommandSettings]) -> dict[str, str]:
    """What is typed for each member of an enumeration, which argparse would show by its name in Python."""
    kinds = (
        kind
        for declared in settings.model_fields.values()
        for kind in (declared.annotation, *get_args(declared.annotation))
    )
    return {
        choice.name: str(choice.value)
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, Enum)
        for choice in kind
    }


def _explain(settings: type[CommandSettings], error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            lines.append(message)
            continue
        name = str(problem["loc"][0])
        option = _option(settings, name)
        hidden = (
            problem["type"] == "missing"
            or _holds_secret(settings, name)
            or isinstance(problem["input"], (Mapping, list))
            or any(map(_is_secret, problem["loc"]))
        )
        said = "" if hidden else without_passwords(f" (got {problem['input']!r})")
        lines.append(f"{option}: {message}{said}")
    return "\n".join(lines)


def _explain_unread(settings: type[CommandSettings], error: SettingsError) -> str:
    """The sentence for a value of several parts that could not even be taken apart."""
    named = re.search(r'for (?:field )?"?(\w+)', str(error))
    if named is None or named[1] not in settings.model_fields:
        return str(error)
    option = _option(settings, named[1])
    return f"{option}: cannot be read; the flag takes name=value, the variable a JSON object"


def _masked(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        # A value that begins with @ names the file that holds the secret.
        return ", ".join(
            f"{key}={part if str(part).startswith('@') else _masked(str(key), part)}"
            for key, part in value.items()
        )
    if isinstance(value, SecretStr) or _is_secret(name):
        return "***"
    if isinstance(value, list):
        value = [shown_address(str(item)) if isinstance(item, str | Path) else item for item in value]
    return shown_address(str(value))


def _is_secret(name: object) -> bool:
    return any(word in str(name).lower() for word in _SECRET_WORDS)


def _holds_secret(settings: type[CommandSettings], name: str) -> bool:
    declared = settings.model_fields.get(name)
    return declared is not None and SecretStr in (declared.annotation, *get_args(declared.annotation))


def _option(settings: type[CommandSettings], name: str) -> str:
    declared = settings.model_fields.get(name)
    if declared is not None and _POSITIONAL in declared.metadata:
        return name.upper()
    return f"--{name.replace('_', '-')} or {ENVIRONMENT_PREFIX}{name.upper()}"
