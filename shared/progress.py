"""Progress and summaries: a live bar on a terminal, a line in the log now and then elsewhere."""

import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from shared.settings import color_wanted
from shared.visible import visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES: Final = 5.0


class Meter:
    """Shows how far a run is, on standard error; leave it through `with`.

    Args:
        unit: What is counted: `rows`.

    Attributes:
        count: How many are done.
    """

    def __init__(self, unit: str = "rows") -> None:
        self._unit = unit
        self._begin = time.monotonic()
        self._last_line = self._begin
        self._bar: tuple[Progress, TaskID] | None = None
        self.count = 0

    def __enter__(self) -> Self:
        if color_wanted():
            self._bar = _started_bar()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar[0].stop()

    def add(self, count: int, what: str, share: float | None) -> None:
        """Tells of progress.

        Args:
            count: How many more are done.
            what: What is being worked on.
            share: How much of all work is done, from 0 to 1; None when that is not known.
        """
        self.count += count
        now = time.monotonic()
        seconds = now - self._begin
        told = f"{self.count:,} {self._unit}, {self.count / max(seconds, 1e-9):,.0f}/s"
        told += "" if share is None else f", {share:.0%}"
        if self._bar is not None:
            bar, task = self._bar
            total = None if share is None else 1.0
            bar.update(task, description=what, total=total, completed=share or 0.0, told=told)
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = f", about {seconds * (1 - share) / share:.0f} s left" if share else ""
            logger.info("%s: %s%s", what, told, left)


def _started_bar() -> "tuple[Progress, TaskID]":
    """A bar on standard error, and its one task."""
    # Loaded for a terminal only: it takes longer to load than a small file to score.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.start()
    return bar, bar.add_task("", total=None, told="")


def show_summary(lines: Mapping[str, str]) -> None:
    """Prints a run's closing summary on standard output: a name and its value a line, in two columns."""
    width = max(map(len, lines), default=0)
    for name, value in lines.items():
        print(f"{name:<{width}}  {visible(value)}")
