"""Libraries of model kinds, which are optional and imported only when a model needs one."""

from importlib import import_module
from typing import Any

from shared.errors import ModelError


def library(name: str, *, extra: str) -> Any:
    """The module of a library.

    Args:
        name: As in an import statement.
        extra: The extra of this project that installs it.

    Raises:
        ModelError: It is not installed, or cannot be loaded; with what to install.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"a model of kind {extra} needs {error.name}, which is not installed",
            hint=f"pip install 'tandem-scorer[{extra}]'",
        ) from error
    except (ImportError, OSError) as error:
        # A shared library that the package does not bring, as libgomp on a slim image.
        raise ModelError(
            f"a model of kind {extra} needs {name}, which cannot be loaded: {first_line(error)}",
            hint=f"Install what it asks for, or install it again: pip install --force-reinstall {name}",
        ) from error


def first_line(error: BaseException) -> str:
    """What a library's error says, without the stack trace that some put below it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
