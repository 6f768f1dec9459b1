"""Which Tandem this is."""

import importlib.metadata
from typing import Final

DISTRIBUTION: Final = "tandem-scorer"


def tandem_version() -> str:
    """Tandem's own version."""
    return importlib.metadata.version(DISTRIBUTION)
