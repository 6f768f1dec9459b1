"""Quix Streams needs other versions of libraries than Tandem, and so an environment of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parents[3] / "build" / "bench-quix"
# Marks an environment that was made to its end.
_MADE: Final = "ready"
_NEEDS: Final = ("quixstreams==3.28.1", "msgspec>=0.22,<0.23")


def own_python() -> Path | None:
    """The environment's interpreter; None while it has not been made."""
    return _FOLDER / "bin" / "python" if (_FOLDER / _MADE).exists() else None


def make_own_python() -> Path:
    """The environment's interpreter, made when it is not there.

    Raises:
        CalledProcessError: The libraries cannot be installed.
    """
    python = own_python()
    if python is None:
        python = _FOLDER / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", str(_FOLDER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *_NEEDS], check=True)
        (_FOLDER / _MADE).touch()
    return python
