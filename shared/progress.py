"""Progress and summaries: a live bar on a terminal, a line in the log now and then elsewhere."""

import json
import logging
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from shared.logs import told_to
from shared.settings import color_wanted
from shared.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES: Final = 5.0
# At most so many columns leave the bar itself little room.
_NARROW: Final = 80
_LEVEL: Final = re.compile(r"(?:\d\d:){2}\d\d (warning|error|critical): ")
_STYLES: Final = {"warning": "yellow", "error": "red", "critical": "bold red"}


def say_above(console: "Console", line: str) -> None:
    """Prints an entry of the log on a terminal, above what is shown live there; any thread may.

    Args:
        console: The terminal.
        line: The entry as a log for people has it.
    """
    from rich.text import Text  # noqa: PLC0415 - for a terminal only

    found = _LEVEL.match(line)
    console.print(Text(line, _STYLES[found[1]] if found else ""), soft_wrap=True)


class Meter:
    """Shows how far a run is, on standard error; leave it through `with`.

    Args:
        unit: What is counted: `rows`.
        first: What is being done before anything is counted.

    Attributes:
        count: How many are done.
    """

    def __init__(self, unit: str = "rows", first: str = "getting ready") -> None:
        self._unit = unit
        self._first = visible(first)
        self._begin = time.monotonic()
        self._last_line = self._begin
        self._bar: tuple[Progress, TaskID] | None = None
        self._open = ExitStack()
        self.count = 0

    def __enter__(self) -> Self:
        if color_wanted():
            bar = _bar()
            self._bar = self._open.enter_context(bar), bar.add_task(self._first, total=None, told="")
            # The log's lines come above the bar, not into it.
            self._open.enter_context(told_to(lambda line: say_above(bar.console, line)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

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
            bar.update(task, description=visible(what), total=total, completed=share or 0.0, told=told)
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = f", about {seconds * (1 - share) / share:.0f} s left" if share else ""
            logger.info("%s: %s%s", what, told, left)


def _bar() -> "Progress":
    """A bar on standard error, which leaves nothing behind."""
    # Loaded for a terminal only: it takes longer to load than a small file to score.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    cut = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    whole = Column(no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=cut),
        BarColumn(bar_width=20 if console.width > _NARROW else 5),
        TextColumn("{task.fields[told]}", markup=False, table_column=whole),
        TimeRemainingColumn(compact=True, table_column=whole),
        console=console,
        transient=True,
        expand=True,
    )


def show_json(content: Mapping[str, Any]) -> None:
    """Prints a run's closing summary on standard output for a script: one JSON object, and nothing else."""
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def show_summary(lines: Mapping[str, str]) -> None:
    """Prints a run's closing summary on standard output: a name and its value a line, in two columns."""
    width = max(map(len, lines), default=0)
    for name, value in lines.items():
        print(f"{name:<{width}}  {visible(value)}")
