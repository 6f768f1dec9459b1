"""Versions of the threshold rule in a folder that is watched, swapped as a deployment would: at once."""

import os
from pathlib import Path
from typing import Final

from tests.support.models import threshold_model

_THRESHOLDS: Final = (0.6, 0.35, 0.8)


class Models:
    """The folder `current`, which is a link to the newest version.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: All versions so far.
        self.made = folder / "versions"
        self.made.mkdir()
        self.current = folder / "current"
        #: By `name@version`.
        self.thresholds: dict[str, float] = {}
        self.swap()

    def swap(self) -> None:
        """Makes the next version and lets the link point to it, in one step."""
        version = len(self.thresholds) + 1
        threshold = _THRESHOLDS[version % len(_THRESHOLDS)]
        made = self.made / f"version-{version}"
        threshold_model(made, version=str(version), threshold=threshold)
        link = self._folder / "next"
        link.symlink_to(made)
        os.replace(link, self.current)  # noqa: PTH105 - Path.replace would do the same; this names the call
        self.thresholds[f"threshold@{version}"] = threshold
