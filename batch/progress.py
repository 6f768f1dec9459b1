"""Progress and summaries: a live bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from shared.settings import color_wanted

_SECONDS_BETWEEN_LINES: Final = 5.0


class Meter:
    """Shows how far a run is, on standard error; leave it through `with`.

    Args:
        unit: What is counted: `rows`.
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
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[counted]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0, counted="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begin

    def add(self, count: int, what: str, share: float) -> None:
        """Tells of progress.

        Args:
            count: How many more rows are done.
            what: What is being worked on.
            share: How much of all work is done, from 0 to 1.
        """
        self.count += count
        counted = f"{self.count:,} {self._unit}  {self.count / max(self.seconds, 1e-9):,.0f}/s"
        if self._bar is not None:
            self._bar.update(self._task, description=what, completed=share, counted=counted)
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = self.seconds * (1 - share) / share if share else 0.0
            print(f"{what}: {counted}, {share:.0%}, about {left:.0f} s left", file=sys.stderr, flush=True)


def show_summary(lines: Mapping[str, str]) -> None:
    """Prints a run's closing summary on standard output."""
    console = Console(highlight=False, markup=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
    console.print(table)
