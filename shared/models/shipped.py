"""Where the models that come with Tandem are: in a checkout, or inside the installed package."""

from pathlib import Path
from typing import Final

_SHARED: Final = Path(__file__).resolve().parent.parent


def shipped_model(name: str) -> Path:
    """The directory of a model that comes with Tandem.

    Args:
        name: `threshold`, `churn` or `churn-linear`.
    """
    installed = _SHARED / "shipped" / name
    return installed if installed.is_dir() else _SHARED.parent / "models" / name
