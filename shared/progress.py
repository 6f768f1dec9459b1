"""Progress and summaries: a live bar on a terminal, a line in the log now and then elsewhere."""

import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from shared.settings import color_wanted

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
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self.count = 0

    def __enter__(self) -> Self:
        if color_wanted():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[told]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None, told="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

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
            total = None if share is None else 1.0
            self._bar.update(self._task, description=what, total=total, completed=share or 0.0, told=told)
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = f", about {seconds * (1 - share) / share:.0f} s left" if share else ""
            logger.info("%s: %s%s", what, told, left)


def show_summary(lines: Mapping[str, str]) -> None:
    """Prints a run's closing summary on standard output."""
    console = Console(highlight=False, markup=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
    console.print(table)
